-- Medication alerts: what a review found and covered, what was checked on an order, what was shown to whom and what they did.

-- patient-sharded: the last review of a person's medicines; `basis` is the hash of pack and approvals, `again` the day it is due anew
CREATE TABLE medication_review (
    pk bigint NOT NULL, tenant int NOT NULL, patient text NOT NULL, covered text NOT NULL, lines text NOT NULL, pack text NOT NULL,
    basis text NOT NULL, again date, reviewed_at timestamptz NOT NULL,
    PRIMARY KEY (pk, tenant, patient)
);
CREATE INDEX medication_review_again ON medication_review (again);
CREATE INDEX medication_review_basis ON medication_review (tenant, basis);

-- patient-sharded: alerts over the whole record; closed when the cause went, answered when a clinician said why it goes on
CREATE TABLE medication_alert (
    pk bigint NOT NULL, tenant int NOT NULL, patient text NOT NULL, key text NOT NULL, rule text NOT NULL, kind text NOT NULL,
    tier text NOT NULL, title text NOT NULL, why text NOT NULL, source text NOT NULL, review text NOT NULL, pack text NOT NULL,
    facts text NOT NULL, opened timestamptz NOT NULL, closed timestamptz, answered timestamptz, answered_by text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    PRIMARY KEY (pk, tenant, patient, key)
);
CREATE INDEX medication_alert_open ON medication_alert (tenant, tier, opened) WHERE closed IS NULL AND answered IS NULL;

-- patient-sharded: what was checked when a version of an order was stored, whole, with the reason if it was overridden
CREATE TABLE medication_check (
    pk bigint NOT NULL, tenant int NOT NULL, patient text NOT NULL, id text NOT NULL, vid int NOT NULL, at timestamptz NOT NULL,
    actor text NOT NULL, text text NOT NULL, pack text NOT NULL, lines text NOT NULL, alerts text NOT NULL, reason text NOT NULL,
    PRIMARY KEY (pk, tenant, patient, id, vid)
);

-- patient-sharded: one stopping alert shown to one user, and what they did: shown, overridden, changed or withdrawn
CREATE TABLE alert_event (
    pk bigint NOT NULL, tenant int NOT NULL, patient text NOT NULL, id text NOT NULL, at timestamptz NOT NULL, actor text NOT NULL,
    origin text NOT NULL, rule text NOT NULL, title text NOT NULL, pack text NOT NULL, digest text NOT NULL, about text NOT NULL,
    state text NOT NULL, decided timestamptz, reason text NOT NULL DEFAULT '',
    PRIMARY KEY (pk, tenant, patient, id)
);
CREATE INDEX alert_event_at ON alert_event (tenant, at);
CREATE INDEX alert_event_actor ON alert_event (pk, tenant, patient, actor, digest);

-- local: rules of a medication pack that a named clinician of the site approved, so that they may interrupt
CREATE TABLE alert_approval (
    tenant int NOT NULL, rule text NOT NULL, approved timestamptz NOT NULL, actor text NOT NULL, name text NOT NULL,
    comment text NOT NULL, withdrawn timestamptz,
    PRIMARY KEY (tenant, rule, approved)
);
