-- Apps that their developers register themselves: what was asked before it is an app, what is asked to change beside one, and
-- the links by which an e-mail address is proven.

ALTER TABLE app
    ADD COLUMN publisher text NOT NULL DEFAULT '',                  -- the organization its developer named; '' for an administrator's
    ADD COLUMN terms_url text NOT NULL DEFAULT '', ADD COLUMN policy_url text NOT NULL DEFAULT '',
    ADD COLUMN revision int NOT NULL DEFAULT 1,                     -- what is decided on is what was shown
    ADD COLUMN reason text NOT NULL DEFAULT '';                     -- why it was refused
CREATE TABLE developer_registration (
    tenant int NOT NULL, id text PRIMARY KEY,                       -- id: the client_id that it becomes
    email text NOT NULL, name text NOT NULL, organization text NOT NULL,
    asked text NOT NULL, via text NOT NULL,                         -- access.oauth.apps.NewApp as JSON; via: page | protocol
    created timestamptz NOT NULL, proven timestamptz                -- proven: when the address was, and it became an app
);
CREATE INDEX developer_registration_email ON developer_registration (tenant, email);
CREATE INDEX developer_registration_open ON developer_registration (tenant, created) WHERE proven IS NULL;
CREATE TABLE developer_change (
    tenant int NOT NULL, app text PRIMARY KEY, asked text NOT NULL, -- access.oauth.apps.NewApp as JSON: the whole, as it would be
    revision int NOT NULL, created timestamptz NOT NULL,
    state text NOT NULL,                                            -- waiting | refused
    reason text NOT NULL DEFAULT '', decided timestamptz
);
CREATE TABLE developer_link (
    sha256 bytea PRIMARY KEY, tenant int NOT NULL, email text NOT NULL,
    kind text NOT NULL,                                             -- proof | apps | session
    registration text NOT NULL DEFAULT '',                          -- proof: of which registration
    created timestamptz NOT NULL, expires timestamptz NOT NULL, ended timestamptz
);
CREATE INDEX developer_link_email ON developer_link (tenant, email, created);
ALTER TABLE account_notice
    ADD COLUMN about text NOT NULL DEFAULT '', ADD COLUMN words text NOT NULL DEFAULT '';   -- the name of an app; a reason
