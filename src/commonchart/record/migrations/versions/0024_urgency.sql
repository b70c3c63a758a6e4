-- The registry's order: alerts, then what is out of range and overdue, then other work; overdue vaccines, most of which have
-- been since birth, after what else is overdue.

ALTER TABLE due ADD COLUMN urgency smallint GENERATED ALWAYS AS (
    CASE WHEN within = 'alert' THEN 0 WHEN status = 'overdue' AND within = 'out' THEN 1
    WHEN status = 'overdue' AND kind <> 'immunization' THEN 2 WHEN within = 'out' THEN 3 WHEN status = 'overdue' THEN 4
    WHEN status = 'due' THEN 5 WHEN status = 'cannot-tell' THEN 6 WHEN status = 'due-soon' THEN 7 WHEN status = 'deferred' THEN 8
    WHEN status = 'declined' THEN 9 WHEN status = 'up-to-date' THEN 10 WHEN status = 'excluded' THEN 11 ELSE 12 END) STORED;
DROP INDEX due_attention;
CREATE INDEX due_attention ON due (tenant, urgency, due_on, patient, rule) WHERE rank = 0 OR within IN ('out', 'alert');
CREATE INDEX due_open ON due (tenant, urgency, due_on, patient, rule) WHERE rank < 4;
