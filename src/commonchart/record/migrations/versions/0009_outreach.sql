-- Outreach: campaigns, the outbox of their messages, the words they use, and the digests of clinicians.

CREATE TABLE outreach_message (
    pk bigint NOT NULL, tenant int NOT NULL, patient text NOT NULL, campaign text NOT NULL,
    channel text NOT NULL,                                          -- letter | email | sms | voice | portal
    rules text[] NOT NULL, linked text[] NOT NULL,                  -- what it reminds of; every record of the person
    state text NOT NULL,                                            -- waiting sending sent doubt failed left-out stopped
    why text NOT NULL DEFAULT '',                                   -- why left out, failed or in doubt; the last error while waiting
    attempts int NOT NULL DEFAULT 0, next_try timestamptz, held_until timestamptz,
    message_id text NOT NULL DEFAULT '', content text NOT NULL DEFAULT '', -- what is or was sent: access.outreach.outbox.Content as JSON
    created timestamptz NOT NULL, sent_at timestamptz,
    answer text NOT NULL DEFAULT '', answered_at timestamptz,
    PRIMARY KEY (pk, tenant, patient, campaign)
);
CREATE INDEX outreach_message_queue ON outreach_message (tenant, next_try) WHERE state IN ('waiting', 'sending');
CREATE INDEX outreach_message_campaign ON outreach_message (tenant, campaign, state);
CREATE TABLE outreach_campaign (
    tenant int NOT NULL, id text NOT NULL, title text NOT NULL,
    filters text NOT NULL,                                          -- access.due.Filters as JSON
    channel text NOT NULL, wording text NOT NULL,                   -- the name of the wording
    state text NOT NULL,                                            -- running | stopped
    actor text NOT NULL,                                            -- who began it: access.actors.Actor as JSON
    at timestamptz NOT NULL, error text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, id)
);
CREATE TABLE outreach_wording (
    tenant int NOT NULL, name text NOT NULL, channel text NOT NULL, language text NOT NULL, level text NOT NULL,
    n int NOT NULL,                                                 -- its version: the highest is used
    subject text NOT NULL, general text NOT NULL, detail text NOT NULL,
    actor text NOT NULL, at timestamptz NOT NULL,
    PRIMARY KEY (tenant, name, channel, language, level, n)
);
CREATE TABLE outreach_digest (
    tenant int NOT NULL, user_id text NOT NULL, kind text NOT NULL, day date NOT NULL, -- kind: day | week
    state text NOT NULL,                                            -- waiting sending sent doubt
    attempts int NOT NULL DEFAULT 0, next_try timestamptz, held_until timestamptz, error text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, user_id, kind, day)
);
