-- Nothing that matters is silent. Critical values that nobody may open: whether one is, why and since when, and who was told that.

ALTER TABLE critical_alert
    ADD COLUMN looked timestamptz,                                  -- when it was last asked whether a clinician may open it
    ADD COLUMN unseen text NOT NULL DEFAULT '',                     -- why none may: label:NAME,NAME | closed | nobody; '' if one may
    ADD COLUMN unseen_since timestamptz;
CREATE INDEX critical_alert_unseen ON critical_alert (tenant, org) WHERE state = 'open' AND unseen <> '';
ALTER TABLE critical_notice
    ADD COLUMN kind text NOT NULL DEFAULT '';                       -- '' of the step | beside: those of the step may not open it | unseen: no clinician may

-- Letters that bring developers a link wait beside the other notices; the token is made when one is sent.
ALTER TABLE developer_link ADD COLUMN letter text NOT NULL DEFAULT '';  -- the account_notice that brings it; '' none
CREATE UNIQUE INDEX developer_link_letter ON developer_link (letter) WHERE letter <> '';
