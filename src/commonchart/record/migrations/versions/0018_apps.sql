-- SMART apps: who they are, what people allowed them, and the short-lived things of their sign-in.

CREATE TABLE app (
    tenant int NOT NULL, id text NOT NULL,                          -- id: the client_id
    name text NOT NULL, about text NOT NULL, kind text NOT NULL,    -- kind: public | secret | key
    secret bytea, jwks text NOT NULL DEFAULT '', jwks_url text NOT NULL DEFAULT '',
    redirect_uris text[] NOT NULL, launch_url text NOT NULL DEFAULT '',
    scopes text NOT NULL, audience text NOT NULL,                   -- audience: patient | clinician | both | backend
    state text NOT NULL,                                            -- waiting | approved | disabled
    actor text NOT NULL, created timestamptz NOT NULL,              -- who registered it
    decided_by text NOT NULL DEFAULT '', decided timestamptz,
    PRIMARY KEY (id)
);
CREATE TABLE app_grant (
    id text PRIMARY KEY, tenant int NOT NULL, app text NOT NULL, actor text NOT NULL,
    scopes text NOT NULL, patient text, encounter text,
    context text NOT NULL DEFAULT '{}',                             -- access.oauth.launches.Context as JSON
    nonce text NOT NULL DEFAULT '',
    session bytea,                                                  -- online_access: the session it ends with
    created timestamptz NOT NULL, used timestamptz NOT NULL, expires timestamptz NOT NULL,
    revoked timestamptz, why text NOT NULL DEFAULT ''
);
CREATE INDEX app_grant_actor ON app_grant (tenant, actor) WHERE revoked IS NULL;
CREATE INDEX app_grant_app ON app_grant (tenant, app) WHERE revoked IS NULL;
CREATE TABLE app_code (
    sha256 bytea PRIMARY KEY, app_grant text NOT NULL, app text NOT NULL, redirect_uri text NOT NULL,
    challenge text NOT NULL, expires timestamptz NOT NULL, used timestamptz
);
CREATE TABLE app_launch (
    sha256 bytea PRIMARY KEY, tenant int NOT NULL, app text NOT NULL, actor text NOT NULL,
    patient text NOT NULL, encounter text, context text NOT NULL DEFAULT '{}',
    expires timestamptz NOT NULL, used timestamptz
);
CREATE TABLE app_assertion (                                        -- replay store of client assertions
    app text NOT NULL, jti text NOT NULL, expires timestamptz NOT NULL, PRIMARY KEY (app, jti)
);
CREATE TABLE app_subscription (                                     -- through which app a Subscription was written, and as what
    tenant int NOT NULL, id text NOT NULL, app_grant text NOT NULL, scopes text NOT NULL, patient text,
    PRIMARY KEY (tenant, id)
);
ALTER TABLE credential ADD COLUMN app_grant text;
CREATE INDEX credential_app_grant ON credential (app_grant) WHERE app_grant IS NOT NULL;
