-- The registry, condition registries and the dashboard: what is filtered, sorted and counted stands in columns with an index.

ALTER TABLE due ADD COLUMN within text NOT NULL DEFAULT '';         -- in | out | alert | none (no value that counts) | '' (not measured)
ALTER TABLE due ADD COLUMN last_on date;                            -- the newest evidence that counts
ALTER TABLE due ADD COLUMN rank smallint GENERATED ALWAYS AS (
    CASE status WHEN 'overdue' THEN 0 WHEN 'due' THEN 1 WHEN 'cannot-tell' THEN 2 WHEN 'due-soon' THEN 3 WHEN 'deferred' THEN 4
    WHEN 'declined' THEN 5 WHEN 'up-to-date' THEN 6 WHEN 'excluded' THEN 7 ELSE 8 END) STORED;
DROP INDEX due_rule_status;
CREATE INDEX due_rule ON due (tenant, rule, rank, due_on, patient) INCLUDE (within, pk);
CREATE INDEX due_urgency ON due (tenant, rank, due_on, patient, rule);
CREATE INDEX due_day ON due (tenant, due_on, patient, rule);
CREATE INDEX due_last ON due (tenant, last_on, patient, rule);
CREATE INDEX due_attention ON due (tenant, rank, due_on, patient, rule) WHERE rank = 0 OR within IN ('out', 'alert');
CREATE INDEX due_measured ON due (tenant, within, rank, due_on, patient, rule) WHERE within <> '';

CREATE TABLE panel_member (
    pk bigint NOT NULL, tenant int NOT NULL, patient text NOT NULL,
    name text NOT NULL, born date, sex text NOT NULL,
    org text NOT NULL,                                              -- who keeps this Patient
    clinicians text[] NOT NULL, clinician text NOT NULL,            -- ids of Practitioners; the name of the first, folded
    overdue smallint NOT NULL, due smallint NOT NULL, cannot_tell smallint NOT NULL, due_soon smallint NOT NULL,
    deferred smallint NOT NULL, declined smallint NOT NULL, up_to_date smallint NOT NULL, excluded smallint NOT NULL,
    not_applicable smallint NOT NULL, attention smallint NOT NULL,  -- how many rows of `due` are in which status; out of range or overdue
    assessed_at timestamptz NOT NULL,
    xid xid8 NOT NULL,                                              -- the transaction that kept it: counts are made again by its order
    PRIMARY KEY (pk, tenant, patient)
);
CREATE INDEX panel_member_name ON panel_member (tenant, name, patient);
CREATE INDEX panel_member_born ON panel_member (tenant, born, patient);
CREATE INDEX panel_member_clinician ON panel_member (tenant, clinician, patient);
CREATE INDEX panel_member_xid ON panel_member (tenant, xid);

CREATE TABLE registry_row (
    pk bigint NOT NULL, tenant int NOT NULL, patient text NOT NULL, registry text NOT NULL,
    urgency smallint NOT NULL,                                      -- 0 alert, 1 out of range, 2 overdue, 3 due, 4 cannot tell, 5 due soon, 6 nothing open
    status text NOT NULL, within text NOT NULL,                     -- the most urgent status; alert | out | in | none, the worst of the columns
    main text NOT NULL,                                             -- within of the column whose control is reported
    due_on date, inside smallint NOT NULL, known smallint NOT NULL, -- months in control, of so many known
    numbers numeric[] NOT NULL, days date[] NOT NULL,               -- by column of the registry, for sorting
    assessed_on date NOT NULL, pack text NOT NULL,
    cells text NOT NULL,                                            -- care.registries.Cell by column, as JSON
    PRIMARY KEY (pk, tenant, patient, registry)
) WITH (toast_tuple_target = 256);
CREATE INDEX registry_row_urgency ON registry_row (tenant, registry, urgency, due_on, patient) INCLUDE (status, within, main);

-- How many rows of `due` are in which status, by day: today's is made again while it lasts, then it stays. No patient is in it.
CREATE TABLE panel_count (
    tenant int NOT NULL, day date NOT NULL, org text NOT NULL, clinician text NOT NULL, -- clinician '': everybody's
    rule text NOT NULL, title text NOT NULL, status text NOT NULL, within text NOT NULL, n int NOT NULL,
    PRIMARY KEY (tenant, day, org, clinician, rule, status, within)
);
CREATE TABLE panel_state (
    tenant int NOT NULL PRIMARY KEY, counted_at timestamptz NOT NULL, seen xid8 NOT NULL -- every transaction before `seen` is in it
);
CREATE TABLE registry_view (
    tenant int NOT NULL, id text NOT NULL, owner text NOT NULL, org text NOT NULL, shared boolean NOT NULL,
    name text NOT NULL, filters text NOT NULL,                      -- access.due.Filters as JSON
    at timestamptz NOT NULL, deleted_at timestamptz,
    counted int, counted_at timestamptz,
    PRIMARY KEY (tenant, id)
);
CREATE TABLE registry_default (
    tenant int NOT NULL, user_id text NOT NULL, view text NOT NULL,
    PRIMARY KEY (tenant, user_id)
);
