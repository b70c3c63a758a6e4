-- Every row about a patient carries the patient's key: the planner must not think that the two narrow each other, or it
-- sorts a whole record where the newest twenty are wanted.
CREATE STATISTICS resource_whose (dependencies) ON pk, patient FROM resource;
ANALYZE resource;
