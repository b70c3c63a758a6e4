-- The few rows with a label, by patient: lists ask of whom nothing is hidden.
CREATE INDEX resource_labelled ON resource (pk, patient) WHERE labels <> 0;
