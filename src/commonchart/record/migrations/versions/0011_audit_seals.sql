-- The audit trail by month, in an order that late commits cannot upset, and the seals over it.

ALTER TABLE audit RENAME TO audit_unsealed;
ALTER INDEX audit_pkey RENAME TO audit_unsealed_pkey;
ALTER INDEX audit_patients RENAME TO audit_unsealed_patients;
ALTER INDEX audit_actor RENAME TO audit_unsealed_actor;
CREATE SEQUENCE audit_number;

-- local; `xid` only orders (it is not sealed): a sequence number is drawn before its transaction commits
CREATE TABLE audit (
    seq bigint NOT NULL DEFAULT nextval('audit_number'), xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at timestamptz NOT NULL, tenant int NOT NULL, actor text NOT NULL, role text NOT NULL, org text NOT NULL,
    client text NOT NULL, purpose text NOT NULL, action text NOT NULL, outcome smallint NOT NULL DEFAULT 0,
    rtype text, id text, vid int, patients text[] NOT NULL DEFAULT '{}', query text, detail text,
    PRIMARY KEY (seq, at)
) PARTITION BY RANGE (at);
ALTER SEQUENCE audit_number OWNED BY audit.seq;
CREATE INDEX audit_order ON audit (xid, seq);
CREATE INDEX audit_patients ON audit USING gin (patients);
CREATE INDEX audit_actor ON audit (tenant, actor, at);
-- what has no month of its own yet; `record.audit_months` makes the months ahead of time
CREATE TABLE audit_rest PARTITION OF audit DEFAULT;
INSERT INTO audit (seq, xid, at, tenant, actor, role, org, client, purpose, action, outcome, rtype, id, vid, patients, query, detail)
SELECT seq, '1', at, tenant, actor, role, org, client, purpose, action, outcome, rtype, id, vid, patients, query, detail
FROM audit_unsealed ORDER BY seq;
SELECT setval('audit_number', coalesce((SELECT max(seq) + 1 FROM audit), 1), false);
DROP TABLE audit_unsealed;

-- local; one seal: the rows `seqs` with their digests, chained to the seal before and signed. `upto` is the place in the
-- order (it is not sealed); `at_lo` and `at_hi` bound the rows' moments
CREATE TABLE audit_seal (
    n bigint PRIMARY KEY, at timestamptz NOT NULL, total bigint NOT NULL, seqs bigint[] NOT NULL, digests bytea NOT NULL,
    before bytea NOT NULL, head bytea NOT NULL, key text NOT NULL, signature bytea NOT NULL,
    upto_xid xid8 NOT NULL, upto_seq bigint NOT NULL, at_lo timestamptz NOT NULL, at_hi timestamptz NOT NULL
);
-- local; a month that was written to a file and taken out of the table
CREATE TABLE audit_archive (
    month date PRIMARY KEY, made timestamptz NOT NULL, rows bigint NOT NULL, digest bytea NOT NULL, name text NOT NULL
);
