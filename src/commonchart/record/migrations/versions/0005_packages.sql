-- FHIR packages that a site loaded: constraint tables of profiles and listed value sets, no texts. All local.

CREATE TABLE package (
    tenant int NOT NULL, name text NOT NULL, version text NOT NULL,
    sha256 text NOT NULL, source text NOT NULL, loaded timestamptz NOT NULL,
    profiles int NOT NULL, value_sets int NOT NULL, left_out text NOT NULL DEFAULT '[]',  -- urls as JSON
    PRIMARY KEY (tenant, name, version)
);
CREATE TABLE package_entry (
    tenant int NOT NULL, name text NOT NULL, version text NOT NULL,
    kind text NOT NULL,                                         -- profile | set
    url text COLLATE "C" NOT NULL, body text NOT NULL,          -- fhir.profiles.compiled.Table, value_sets.Listed as JSON
    PRIMARY KEY (tenant, name, version, kind, url)
);
