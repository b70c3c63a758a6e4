-- Terminology that a site loads: reference data, the same for every tenant (all local). Numbers and packed sets:
-- terminology/bits.py; why: docs/decisions, terminology as numbered sets.
CREATE TABLE code_system (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url text NOT NULL, version text NOT NULL, name text NOT NULL, content text NOT NULL, concepts int NOT NULL,
    value_set text NOT NULL DEFAULT '', types text NOT NULL DEFAULT '{}', copyright text NOT NULL DEFAULT '',
    sha256 text NOT NULL, source text NOT NULL, loaded timestamptz NOT NULL, chosen boolean NOT NULL, receipt text NOT NULL DEFAULT '{}',
    UNIQUE (url, version)
);
CREATE TABLE concept (
    system int NOT NULL, n int NOT NULL, code text COLLATE "C" NOT NULL, display text NOT NULL, inactive boolean NOT NULL,
    parents int[] NOT NULL, children int[] NOT NULL, below bytea NOT NULL, extra text,
    PRIMARY KEY (system, n)
);
CREATE UNIQUE INDEX concept_code ON concept (system, code);
CREATE TABLE concept_set (
    system int NOT NULL, kind text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, held bytea NOT NULL,
    PRIMARY KEY (system, kind, key)
);
CREATE TABLE value_set (
    url text NOT NULL, version text NOT NULL, name text NOT NULL, body text NOT NULL, source text NOT NULL,
    loaded timestamptz NOT NULL, chosen boolean NOT NULL,
    PRIMARY KEY (url, version)
);
CREATE TABLE concept_map (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url text NOT NULL, version text NOT NULL, name text NOT NULL, body text NOT NULL, source text NOT NULL,
    loaded timestamptz NOT NULL, chosen boolean NOT NULL,
    UNIQUE (url, version)
);
CREATE TABLE terminology_state (one boolean PRIMARY KEY DEFAULT true, generation text NOT NULL);
