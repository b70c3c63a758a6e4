-- The results inbox: what waits to be looked at, what was done with it, critical values that somebody has to answer, and covers.

CREATE TABLE inbox_item (
    pk bigint NOT NULL, tenant int NOT NULL, patient text NOT NULL,
    item text NOT NULL,                                             -- DiagnosticReport/id, or Observation/id of a result without a report
    org text NOT NULL DEFAULT '',                                   -- whose pool it falls into; '' every organisation's
    owner text NOT NULL DEFAULT '',                                 -- the user it is addressed to; '' the pool
    owner_by text NOT NULL DEFAULT '',                              -- why: ordered it, ...
    kind smallint NOT NULL,                                         -- 0 critical 1 abnormal 2 cannot tell 3 normal
    title text NOT NULL, content text NOT NULL,                     -- care.inbox.judge.Judged as JSON
    version text NOT NULL,                                          -- Type/id/vid of everything it was made of
    partial boolean NOT NULL, batch boolean NOT NULL,               -- not final yet; may be signed with others
    taken timestamptz,                                              -- the clinical date
    received timestamptz NOT NULL,                                  -- when the newest part of it was recorded
    state text NOT NULL,                                            -- open | seen (a partial one) | signed | gone
    changed text NOT NULL DEFAULT '',                               -- what is different from what was signed, JSON list
    corrected text NOT NULL DEFAULT '',                             -- why it came back, in words
    forwarded_to text NOT NULL DEFAULT '', forwarded_by text NOT NULL DEFAULT '', forward_note text NOT NULL DEFAULT '',
    PRIMARY KEY (pk, tenant, patient, item)
);
CREATE INDEX inbox_item_open ON inbox_item (tenant, owner, kind, received DESC) WHERE state = 'open';
CREATE INDEX inbox_item_forwarded ON inbox_item (tenant, forwarded_to) WHERE state = 'open' AND forwarded_to <> '';
CREATE TABLE inbox_act (
    pk bigint NOT NULL, tenant int NOT NULL, patient text NOT NULL, item text NOT NULL, n int NOT NULL,
    at timestamptz NOT NULL, actor text NOT NULL, absent text NOT NULL DEFAULT '', -- who did it, and for whom, if for somebody
    act text NOT NULL,                                              -- signed seen undone forwarded took commented ordered notified acknowledged
    version text NOT NULL, content text NOT NULL DEFAULT '',        -- what was signed, as it was shown
    note text NOT NULL DEFAULT '',
    resource text NOT NULL DEFAULT '',                              -- the Provenance, ServiceRequest or campaign that it made
    batch text NOT NULL DEFAULT '',                                 -- the same for everything signed together
    undone timestamptz,
    PRIMARY KEY (pk, tenant, patient, item, n)
);
CREATE INDEX inbox_act_batch ON inbox_act (tenant, batch) WHERE batch <> '';
CREATE TABLE critical_alert (
    pk bigint NOT NULL, tenant int NOT NULL, patient text NOT NULL,
    ref text NOT NULL, part text NOT NULL, n int NOT NULL,          -- the Observation, which value of it, and the how manieth alert
    item text NOT NULL, org text NOT NULL DEFAULT '', owner text NOT NULL DEFAULT '',
    what text NOT NULL,                                             -- care.inbox.judge.Line as JSON
    raised timestamptz NOT NULL,
    level int NOT NULL, next_at timestamptz,                        -- the step it is at; when the next begins, NULL at the last
    state text NOT NULL,                                            -- open | acknowledged | withdrawn
    ended timestamptz, ended_by text NOT NULL DEFAULT '', ended_level int,
    read_back text NOT NULL DEFAULT '', called text NOT NULL DEFAULT '', done text NOT NULL DEFAULT '', -- what whoever acknowledged wrote
    PRIMARY KEY (pk, tenant, patient, ref, part, n)
);
CREATE INDEX critical_alert_open ON critical_alert (tenant, next_at) WHERE state = 'open';
CREATE INDEX critical_alert_raised ON critical_alert (tenant, raised);
CREATE TABLE critical_notice (
    pk bigint NOT NULL, tenant int NOT NULL, patient text NOT NULL, ref text NOT NULL, part text NOT NULL, n int NOT NULL,
    user_id text NOT NULL, level int NOT NULL,
    state text NOT NULL,                                            -- waiting sending sent none failed
    attempts int NOT NULL DEFAULT 0, next_try timestamptz, held_until timestamptz, error text NOT NULL DEFAULT '',
    created timestamptz NOT NULL, sent_at timestamptz,
    PRIMARY KEY (pk, tenant, patient, ref, part, n, user_id)
);
CREATE INDEX critical_notice_queue ON critical_notice (tenant, created) WHERE state IN ('waiting', 'sending');
CREATE TABLE inbox_cover (
    tenant int NOT NULL, id text NOT NULL,
    absent text NOT NULL, cover text NOT NULL,                      -- users
    begins timestamptz NOT NULL, ends timestamptz NOT NULL, why text NOT NULL,
    set_by text NOT NULL, set_at timestamptz NOT NULL, ended_by text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, id)
);
-- A message about one result is a campaign of its own, which lists of campaigns leave out.
ALTER TABLE outreach_campaign ADD COLUMN kind text NOT NULL DEFAULT '';
