-- Vaccine stock of an organisation: lots, and every movement of doses. Local: no patient's data beyond the id of what was given.

CREATE TABLE vaccine_lot (
    tenant int NOT NULL, id text NOT NULL, org text NOT NULL,
    cvx text NOT NULL, product text NOT NULL, manufacturer text NOT NULL DEFAULT '',  -- manufacturer: MVX
    lot text NOT NULL, expires date NOT NULL,
    funding text NOT NULL,                                          -- private | vfc | state
    doses int NOT NULL,                                             -- left
    withdrawn text NOT NULL DEFAULT '',                             -- why it must not be given, "" if it may
    added timestamptz NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, org, cvx, lot, funding)
);
CREATE INDEX vaccine_lot_open ON vaccine_lot (tenant, org, cvx, expires) WHERE withdrawn = '';
CREATE TABLE vaccine_movement (
    tenant int NOT NULL, lot text NOT NULL, n int NOT NULL,
    at timestamptz NOT NULL, actor text NOT NULL,
    doses int NOT NULL, why text NOT NULL,                          -- received | given | returned | counted | wasted
    note text NOT NULL DEFAULT '', immunization text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, lot, n)
);
