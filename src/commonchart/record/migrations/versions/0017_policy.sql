-- Who may see what: labels on every version and due row, relationships, consents, emergency access, notices.

-- a constant default costs no rewrite; what is there already carries the bit "not looked at yet" until it is indexed again
ALTER TABLE resource ADD COLUMN labels bigint NOT NULL DEFAULT 4611686018427387904;
ALTER TABLE resource ALTER COLUMN labels SET DEFAULT 0;
ALTER TABLE history ADD COLUMN labels bigint NOT NULL DEFAULT 4611686018427387904;
ALTER TABLE history ALTER COLUMN labels SET DEFAULT 0;
-- `labels` and `orgs` (one a line) of the facts that decided
ALTER TABLE due ADD COLUMN labels bigint NOT NULL DEFAULT 4611686018427387904;
ALTER TABLE due ALTER COLUMN labels SET DEFAULT 0;
ALTER TABLE due ADD COLUMN orgs text NOT NULL DEFAULT '';
-- the due rows are worked out again, so that each says what decided it
UPDATE content_pack SET retired = now() WHERE retired IS NULL;
INSERT INTO reindex (tenant, name, version, state, asked)
SELECT 0, 'index', 4, 'waiting', now() WHERE EXISTS (SELECT 1 FROM resource)
ON CONFLICT (tenant, name) DO UPDATE SET version = 4, state = 'waiting', done = 0, place = '', total = 0, asked = now(), finished = NULL;

-- look-up: an organisation that treats a patient, from when until when, and the resource that says so
CREATE TABLE relationship (
    tenant int NOT NULL, patient text NOT NULL, org text NOT NULL, source text NOT NULL,
    kind text NOT NULL, starts timestamptz NOT NULL, ends timestamptz NOT NULL, why text NOT NULL,
    PRIMARY KEY (tenant, patient, org, source)
);
CREATE INDEX relationship_source ON relationship (tenant, source);
-- what is there already: whoever keeps a Patient stands in relation to it; the rest when it is indexed again
INSERT INTO relationship (tenant, patient, org, source, kind, starts, ends, why)
SELECT tenant, id, org, 'Patient/' || id, 'record', '0001-01-01 00:00+00', '9999-12-31 00:00+00', 'keeps the record of the patient'
FROM resource WHERE rtype = 'Patient' AND NOT deleted AND org <> '';

-- look-up: one provision of one Consent, with what all those above it ask as well; NULL asks nothing. In `actors` and
-- `purposes` each text is the list ("|a|b|") of one provision, of each of which one must fit; `labels` are masks likewise
CREATE TABLE consent_rule (
    tenant int NOT NULL, patient text NOT NULL, consent text NOT NULL, n int NOT NULL,
    depth int NOT NULL, permit boolean NOT NULL, starts timestamptz NOT NULL, ends timestamptz NOT NULL,
    actors text[], people text[] NOT NULL DEFAULT '{}', keepers text[], purposes text[], rtypes text[], labels bigint[], opens bigint NOT NULL DEFAULT 0,
    codes text[], hashes bigint[], data text[], data_from timestamptz, data_until timestamptz,
    PRIMARY KEY (tenant, patient, consent, n)
);
CREATE INDEX consent_rule_people ON consent_rule USING gin (people) WHERE NOT permit;

-- local
CREATE TABLE emergency_access (
    id text PRIMARY KEY, tenant int NOT NULL, actor text NOT NULL, org text NOT NULL, patient text NOT NULL,
    purpose text NOT NULL, reason text NOT NULL, starts timestamptz NOT NULL, ends timestamptz NOT NULL,
    revoked timestamptz, revoked_by text, reviewed timestamptz, reviewed_by text, verdict text,
    CHECK (ends <= starts + interval '60 minutes')
);
CREATE INDEX emergency_access_actor ON emergency_access (tenant, actor, patient, ends);
CREATE INDEX emergency_access_patient ON emergency_access (tenant, patient, starts);
CREATE TABLE privacy_notice (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant int NOT NULL, at timestamptz NOT NULL, kind text NOT NULL,
    org text NOT NULL, patient text, source text NOT NULL, words text NOT NULL, seen timestamptz, seen_by text
);
CREATE INDEX privacy_notice_open ON privacy_notice (tenant, at) WHERE seen IS NULL;
