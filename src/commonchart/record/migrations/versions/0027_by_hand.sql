-- Labels put on one entry and lifted from one by hand: who, when, why, and what came of looking at it again. And notices to
-- users about their own accounts.

CREATE TABLE label_act (
    pk bigint NOT NULL, tenant int NOT NULL, patient text NOT NULL, rtype text NOT NULL, id text NOT NULL, n int NOT NULL,
    label text NOT NULL, act text NOT NULL,                             -- put lifted restored
    hand boolean NOT NULL, codes text NOT NULL DEFAULT '',              -- lifted: whether it was put by hand; the codes that carry it
    vid int NOT NULL, at timestamptz NOT NULL, actor text NOT NULL, reason text NOT NULL,
    reviewed timestamptz, reviewer text NOT NULL DEFAULT '',            -- a lifted one: who else agreed
    PRIMARY KEY (pk, tenant, patient, rtype, id, n)
);
CREATE INDEX label_act_entry ON label_act (tenant, rtype, id);
CREATE INDEX label_act_at ON label_act (tenant, at);
ALTER TABLE label_act ENABLE ROW LEVEL SECURITY;
ALTER TABLE label_act FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON label_act TO CURRENT_USER USING (true);
CREATE POLICY program ON label_act TO commonchart_program USING (true);
CREATE POLICY asker ON label_act TO commonchart_app USING (tenant = (SELECT current_setting('commonchart.tenant')::int));

CREATE TABLE account_notice (
    id text PRIMARY KEY, tenant int NOT NULL, actor text NOT NULL,      -- whose account
    kind text NOT NULL,                                                 -- password factor-added factor-removed codes email browser
    address text NOT NULL, at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'waiting',                              -- waiting sent none failed
    next_try timestamptz, error text NOT NULL DEFAULT ''
);
CREATE INDEX account_notice_waiting ON account_notice (next_try) WHERE state = 'waiting';
