-- Immunization schedules: packs that a site installed, kept for good, and which is used from which day. Local: no patient's data.

CREATE TABLE schedule_pack (
    tenant int NOT NULL, name text NOT NULL, hash text NOT NULL,
    authority text NOT NULL, version text NOT NULL, published text NOT NULL,
    body text NOT NULL,                                             -- care.immunizations.schema.Pack as JSON
    checked text NOT NULL DEFAULT '',                               -- what published cases said: "683 passed, 13 failed"
    installed timestamptz NOT NULL, installed_by text NOT NULL,
    PRIMARY KEY (tenant, name)
);
CREATE TABLE schedule_use (
    tenant int NOT NULL, effective date NOT NULL, name text NOT NULL,
    chosen timestamptz NOT NULL, chosen_by text NOT NULL,
    PRIMARY KEY (tenant, effective)
);
