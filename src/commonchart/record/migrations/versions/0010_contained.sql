-- What resources contain, so that it can be searched (`_contained`); everything is indexed again.

-- patient-sharded, under the container's key: `n` is the place in its list, `local` the id in it, `kept` (JSON) what the other
-- tables of search values would hold of it
CREATE TABLE contained_row (
    pk bigint NOT NULL, tenant int NOT NULL, rtype text NOT NULL, id text NOT NULL, n int NOT NULL,
    ctype text NOT NULL, local text NOT NULL, tokens bigint[] NOT NULL, date_lo timestamptz, date_hi timestamptz, kept text NOT NULL,
    PRIMARY KEY (pk, tenant, rtype, id, n)
);
CREATE INDEX contained_row_type ON contained_row (tenant, ctype, local);
CREATE INDEX contained_row_tokens ON contained_row USING gin (tokens);
INSERT INTO reindex (tenant, name, version, state, asked)
SELECT 0, 'index', 3, 'waiting', now() WHERE EXISTS (SELECT 1 FROM resource)
ON CONFLICT (tenant, name) DO UPDATE SET version = 3, state = 'waiting', done = 0, place = '', total = 0, asked = now(), finished = NULL;
