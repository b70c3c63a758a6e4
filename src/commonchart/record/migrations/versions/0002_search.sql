-- Words and coded texts of every resource, search parameters of the tenant's own, and what is still being indexed.

-- patient-sharded: `words` are folded and unique, those of the narrative again with ~ before them; `coded` is one line
-- `param=folded text` for each text of a token parameter
CREATE TABLE text_row (
    pk bigint NOT NULL, tenant int NOT NULL, rtype text NOT NULL, id text NOT NULL, n int NOT NULL,
    words text NOT NULL, coded text NOT NULL,
    PRIMARY KEY (pk, tenant, rtype, id, n)
);
CREATE INDEX text_row_words ON text_row USING gin (array_to_tsvector(string_to_array(words, ' '))) WITH (fastupdate = on, gin_pending_list_limit = 1024);

-- local
CREATE TABLE search_parameter (
    tenant int NOT NULL, id text NOT NULL, code text NOT NULL, base text[] NOT NULL, kind text NOT NULL,
    expression text NOT NULL, target text[] NOT NULL, url text NOT NULL,
    PRIMARY KEY (tenant, id)
);
-- `name` is `index` (tenant 0: everything) or the id of a search parameter; `place` the last key that is done
CREATE TABLE reindex (
    tenant int NOT NULL, name text NOT NULL, version int NOT NULL DEFAULT 0, types text[] NOT NULL DEFAULT '{}',
    state text NOT NULL, done bigint NOT NULL DEFAULT 0, total bigint NOT NULL DEFAULT 0, place text NOT NULL DEFAULT '',
    asked timestamptz NOT NULL, finished timestamptz,
    PRIMARY KEY (tenant, name)
);
INSERT INTO reindex (tenant, name, version, state, asked)
SELECT 0, 'index', 2, 'waiting', now() WHERE EXISTS (SELECT 1 FROM resource);
