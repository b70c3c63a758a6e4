-- The patient's door: who may act for whom, invitations, and results whose release a clinician delayed.

-- local
CREATE TABLE proxy_grant (
    id text PRIMARY KEY, tenant int NOT NULL, actor text NOT NULL, patient text NOT NULL,
    kind text NOT NULL,                                             -- parent | authorised
    scope text NOT NULL,                                            -- full | limited
    relation text NOT NULL DEFAULT '',                              -- what the actor is to the patient, in words
    starts timestamptz NOT NULL, ends timestamptz,
    made timestamptz NOT NULL, made_by text NOT NULL, why text NOT NULL,
    used timestamptz,
    revoked timestamptz, revoked_by text NOT NULL DEFAULT '', revoked_why text NOT NULL DEFAULT ''
);
CREATE INDEX proxy_grant_actor ON proxy_grant (tenant, actor) WHERE revoked IS NULL;
CREATE INDEX proxy_grant_patient ON proxy_grant (tenant, patient, made);
CREATE TABLE portal_invitation (
    sha256 bytea PRIMARY KEY, tenant int NOT NULL, patient text NOT NULL, org text NOT NULL,
    name text NOT NULL,                                             -- of the person invited
    kind text NOT NULL,                                             -- self | parent | authorised
    scope text NOT NULL, relation text NOT NULL DEFAULT '', ends timestamptz,
    why text NOT NULL, channel text NOT NULL,                       -- hand | email
    made timestamptz NOT NULL, made_by text NOT NULL, expires timestamptz NOT NULL,
    used timestamptz, used_by text NOT NULL DEFAULT '', withdrawn timestamptz
);
CREATE INDEX portal_invitation_patient ON portal_invitation (tenant, patient, made);

-- look-up: a result that the patient does not see before `until`, because a clinician said so and why
CREATE TABLE result_hold (
    tenant int NOT NULL, patient text NOT NULL, rtype text NOT NULL, id text NOT NULL, made timestamptz NOT NULL,
    made_by text NOT NULL, reason text NOT NULL, until timestamptz NOT NULL,
    lifted timestamptz, lifted_by text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, patient, rtype, id, made)
);
