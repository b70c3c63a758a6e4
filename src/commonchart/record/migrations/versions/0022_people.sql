-- People and sign-in: single-use links, second factors, devices that are known, and what counts failures.

ALTER TABLE app_user ADD COLUMN email text NOT NULL DEFAULT '', ADD COLUMN last_sign_in timestamptz;
ALTER TABLE credential ADD COLUMN agent text NOT NULL DEFAULT '',   -- the browser, in its own words, cut short
    ADD COLUMN factor text NOT NULL DEFAULT '',                     -- what was shown last: password totp recovery passkey
    ADD COLUMN factor_at timestamptz;
CREATE TABLE account_link (
    sha256 bytea PRIMARY KEY, tenant int NOT NULL, actor text NOT NULL, kind text NOT NULL,    -- invite reset
    made_by text NOT NULL, created timestamptz NOT NULL, expires timestamptz NOT NULL, ended timestamptz
);
CREATE INDEX account_link_actor ON account_link (actor) WHERE ended IS NULL;
CREATE TABLE factor (
    id text PRIMARY KEY, tenant int NOT NULL, actor text NOT NULL, kind text NOT NULL,         -- totp recovery passkey
    label text NOT NULL, secret bytea NOT NULL,                     -- encrypted, a keyed hash, or a public key
    credential bytea, counter bigint NOT NULL DEFAULT 0,            -- the last time step, or the signature counter
    created timestamptz NOT NULL, confirmed timestamptz, used timestamptz, ended timestamptz
);
CREATE INDEX factor_actor ON factor (actor) WHERE ended IS NULL;
CREATE UNIQUE INDEX factor_credential ON factor (credential) WHERE credential IS NOT NULL AND ended IS NULL;
CREATE TABLE known_device (
    sha256 bytea NOT NULL, actor text NOT NULL, created timestamptz NOT NULL,
    failures int NOT NULL DEFAULT 0, locked_until timestamptz, PRIMARY KEY (sha256, actor)
);
CREATE TABLE sign_in_failures (
    key text PRIMARY KEY, failures int NOT NULL, since timestamptz NOT NULL
);
CREATE TABLE passkey_answer (challenge bytea PRIMARY KEY, until timestamptz NOT NULL);         -- so that none counts twice
