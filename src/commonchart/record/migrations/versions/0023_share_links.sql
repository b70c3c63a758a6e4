-- Links by which a patient lets one reader into their record, and encrypted files that such a reader fetches once.

CREATE TABLE share_link (
    id text PRIMARY KEY, tenant int NOT NULL, sha256 bytea NOT NULL UNIQUE, salt bytea NOT NULL,
    patient text NOT NULL, actor text NOT NULL, reader text NOT NULL, scope text NOT NULL, sections text[] NOT NULL,
    passcode text, failures int NOT NULL DEFAULT 0, opened int NOT NULL DEFAULT 0, most int,
    made timestamptz NOT NULL, expires timestamptz NOT NULL, used timestamptz, revoked timestamptz
);
CREATE INDEX share_link_patient ON share_link (tenant, patient);
CREATE TABLE share_file (
    sha256 bytea PRIMARY KEY, link text NOT NULL, body text NOT NULL, expires timestamptz NOT NULL
);
