-- Persons: what somebody decided about two patient records, and what follows of it; look-ups in an emergency.

-- look-up: one decision about two records (a < b): the same human, or not. `person_link` is worked out from those in force
CREATE TABLE person_pair (
    id text PRIMARY KEY, tenant int NOT NULL, a text NOT NULL, b text NOT NULL, same boolean NOT NULL,
    at timestamptz NOT NULL, by text NOT NULL, why text NOT NULL,
    ended_at timestamptz, ended_by text, ended_why text, CHECK (a < b)
);
CREATE UNIQUE INDEX person_pair_in_force ON person_pair (tenant, a, b) WHERE ended_at IS NULL;
CREATE INDEX person_pair_b ON person_pair (tenant, b) WHERE ended_at IS NULL;
ALTER TABLE person_link ADD COLUMN unlinked_by text;
ALTER TABLE person_link ADD COLUMN unlinked_why text;
-- links that were there before: each member with the first of its person
INSERT INTO person_pair (id, tenant, a, b, same, at, by, why)
SELECT gen_random_uuid()::text, l.tenant, f.first, l.patient, true, l.linked_at, l.actor, l.reason
FROM person_link l JOIN (SELECT tenant, person, min(patient) AS first FROM person_link WHERE unlinked_at IS NULL GROUP BY 1, 2) f
ON f.tenant = l.tenant AND f.person = l.person WHERE l.unlinked_at IS NULL AND l.patient <> f.first;

-- local: who looked for a patient in an emergency, when, and whom they found; the words only as a digest
CREATE TABLE emergency_lookup (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant int NOT NULL, actor text NOT NULL, at timestamptz NOT NULL,
    digest text NOT NULL, found text[] NOT NULL
);
CREATE INDEX emergency_lookup_actor ON emergency_lookup (tenant, actor, at);
ALTER TABLE emergency_access ADD COLUMN comment text;
