-- Bulk exports and imports, and topic-based subscriptions with their outbox. All local: no content of a record, ids only.

CREATE TABLE bulk_run (
    id text PRIMARY KEY, tenant int NOT NULL, kind text NOT NULL,   -- export | import
    state text NOT NULL,                                            -- waiting running finished failed cancelled removed
    user_id text NOT NULL, actor text NOT NULL,                     -- access.actors.Actor as JSON
    request text NOT NULL, wanted text NOT NULL,                    -- the kick-off address; exchange.bulk.wanted as JSON
    at timestamptz NOT NULL, finished timestamptz, expires timestamptz,
    progress text NOT NULL DEFAULT '', resources bigint NOT NULL DEFAULT 0,
    attempts int NOT NULL DEFAULT 0, error text NOT NULL DEFAULT '', polled timestamptz
);
CREATE INDEX bulk_run_state ON bulk_run (state, at);
CREATE TABLE bulk_file (
    run text NOT NULL, n int NOT NULL, kind text NOT NULL,          -- output | deleted | error
    rtype text NOT NULL, name text NOT NULL, resources bigint NOT NULL, bytes bigint NOT NULL,
    PRIMARY KEY (run, n)
);

CREATE TABLE subscription_state (
    tenant int NOT NULL, id text NOT NULL, vid int NOT NULL,
    user_id text NOT NULL, topic text NOT NULL, plan text NOT NULL, -- exchange.subscriptions.plan as JSON
    state text NOT NULL,                                            -- requested active error off
    events bigint NOT NULL DEFAULT 0, delivered bigint NOT NULL DEFAULT 0,
    failures int NOT NULL DEFAULT 0, retry_at timestamptz, sent_at timestamptz, held_until timestamptz,
    ends timestamptz, error text NOT NULL DEFAULT '', changed timestamptz NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX subscription_state_topic ON subscription_state (tenant, topic) WHERE state <> 'off';
CREATE TABLE subscription_event (
    tenant int NOT NULL, subscription text NOT NULL, n bigint NOT NULL,
    at timestamptz NOT NULL, rtype text NOT NULL, id text NOT NULL, vid int NOT NULL, op text NOT NULL,
    PRIMARY KEY (tenant, subscription, n)
);
CREATE TABLE subscription_ticket (
    sha256 bytea PRIMARY KEY, tenant int NOT NULL, user_id text NOT NULL, actor text NOT NULL,
    subscriptions text[] NOT NULL, expires timestamptz NOT NULL
);
