-- Whom somebody works for: a row for each organisation, with the role there. Sessions, tokens and what apps were given name
-- the row that they act for; one that has ended, or was not accepted yet, gives nothing.

CREATE TABLE membership (
    id text PRIMARY KEY, tenant int NOT NULL, actor text NOT NULL, org text NOT NULL, role text NOT NULL,
    asked timestamptz NOT NULL, asked_by text NOT NULL DEFAULT '',
    code bytea,                                                     -- sha256 of what they were given in person to say yes with
    since timestamptz,                                              -- null: whoever was asked has not said yes
    used timestamptz,                                               -- last acted for
    ended timestamptz, ended_by text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX membership_once ON membership (actor, org) WHERE ended IS NULL;
CREATE INDEX membership_org ON membership (tenant, org);
CREATE INDEX membership_actor ON membership (actor);
INSERT INTO membership (id, tenant, actor, org, role, asked, since, used, ended)
    SELECT gen_random_uuid()::text, tenant, id, org, role, created, created, last_sign_in, CASE WHEN NOT active THEN now() END FROM app_user;

-- read by nothing any more, and written by nothing: they go with the next version (expand, then contract)
ALTER TABLE app_user ALTER COLUMN role SET DEFAULT '', ALTER COLUMN org SET DEFAULT '';

ALTER TABLE credential ADD COLUMN membership text NOT NULL DEFAULT '';
ALTER TABLE app_grant ADD COLUMN membership text NOT NULL DEFAULT '';
ALTER TABLE app_launch ADD COLUMN membership text NOT NULL DEFAULT '';
UPDATE credential c SET membership = m.id FROM membership m WHERE m.actor = c.actor;
UPDATE app_grant g SET membership = m.id FROM membership m WHERE m.actor = g.actor;
UPDATE app_launch l SET membership = m.id FROM membership m WHERE m.actor = l.actor;
CREATE INDEX credential_membership ON credential (membership) WHERE revoked IS NULL;

-- the organisation that was acted for when it was made
ALTER TABLE subscription_state ADD COLUMN org text NOT NULL DEFAULT '';
ALTER TABLE account_link ADD COLUMN org text NOT NULL DEFAULT '';
ALTER TABLE inbox_cover ADD COLUMN org text NOT NULL DEFAULT '';
ALTER TABLE draft ADD COLUMN org text NOT NULL DEFAULT '';
ALTER TABLE recent_patient ADD COLUMN org text NOT NULL DEFAULT '';
ALTER TABLE outreach_digest ADD COLUMN org text NOT NULL DEFAULT '';
ALTER TABLE alert_event ADD COLUMN org text NOT NULL DEFAULT '';
UPDATE subscription_state s SET org = u.org FROM app_user u WHERE u.id = s.user_id;
UPDATE account_link l SET org = u.org FROM app_user u WHERE u.id = l.made_by;
UPDATE inbox_cover c SET org = u.org FROM app_user u WHERE u.id = c.absent;
UPDATE draft d SET org = u.org FROM app_user u WHERE u.id = d.actor;
UPDATE recent_patient p SET org = u.org FROM app_user u WHERE u.id = p.actor;
UPDATE outreach_digest d SET org = u.org FROM app_user u WHERE u.id = d.user_id;
UPDATE alert_event e SET org = u.org FROM app_user u WHERE u.id = e.actor;
ALTER TABLE draft DROP CONSTRAINT draft_pkey, ADD PRIMARY KEY (tenant, actor, org, key);
ALTER TABLE recent_patient DROP CONSTRAINT recent_patient_pkey, ADD PRIMARY KEY (tenant, actor, org, patient);
ALTER TABLE outreach_digest DROP CONSTRAINT outreach_digest_pkey, ADD PRIMARY KEY (tenant, user_id, org, kind, day);
