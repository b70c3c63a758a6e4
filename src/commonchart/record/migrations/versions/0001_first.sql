-- The first schema. Table classes (DESIGN 4; listed in record/schema.py, held by tests/house/test_ddl.py):
--   patient-sharded: first column pk, primary key starts (pk, tenant, ...); no triggers, EXCLUDE, foreign keys, UNIQUE without pk
--   look-up: resource_loc; person_link
--   local: everything else

-- patient-sharded ---------------------------------------------------------------------------------------------
CREATE TABLE resource (
    pk        bigint      NOT NULL,
    tenant    int         NOT NULL,
    rtype     text        NOT NULL,
    id        text        NOT NULL,
    vid       int         NOT NULL,
    recorded  timestamptz NOT NULL,
    org       text        NOT NULL,
    actor     text        NOT NULL,
    source    text        NOT NULL DEFAULT '',
    deleted   boolean     NOT NULL DEFAULT false,
    patient   text,
    status    text,
    code      bigint,
    category  bigint,
    date_lo   timestamptz,
    date_hi   timestamptz,
    tokens    bigint[]    NOT NULL DEFAULT '{}',
    body      text,
    PRIMARY KEY (pk, tenant, rtype, id)
);
CREATE INDEX resource_patient_code_date ON resource (pk, tenant, rtype, code, date_lo DESC NULLS LAST, id) WHERE NOT deleted;
CREATE INDEX resource_patient_date ON resource (pk, tenant, rtype, date_lo DESC NULLS LAST, id) WHERE NOT deleted;
CREATE INDEX resource_code_date ON resource (tenant, rtype, code, date_lo DESC NULLS LAST, id) WHERE NOT deleted;
CREATE INDEX resource_date ON resource (tenant, rtype, date_lo DESC NULLS LAST, id) WHERE NOT deleted;
CREATE INDEX resource_recorded ON resource (tenant, rtype, recorded DESC, id);
CREATE INDEX resource_long ON resource (tenant, rtype, date_hi) WHERE NOT deleted AND date_hi - date_lo > interval '40 days';
CREATE INDEX resource_tokens ON resource USING gin (tokens) WITH (fastupdate = on, gin_pending_list_limit = 512);

-- superseded versions; a current one is in `resource` only. Known at t: recorded <= t < superseded.
CREATE TABLE history (
    pk         bigint      NOT NULL,
    tenant     int         NOT NULL,
    rtype      text        NOT NULL,
    id         text        NOT NULL,
    vid        int         NOT NULL,
    recorded   timestamptz NOT NULL,
    superseded timestamptz NOT NULL,
    org        text        NOT NULL,
    actor      text        NOT NULL,
    source     text        NOT NULL DEFAULT '',
    deleted    boolean     NOT NULL,
    patient    text,
    status     text,
    code       bigint,
    category   bigint,
    date_lo    timestamptz,
    date_hi    timestamptz,
    body       text,
    PRIMARY KEY (pk, tenant, rtype, id, vid)
);
CREATE INDEX history_patient ON history (pk, tenant, rtype, date_lo DESC NULLS LAST);
CREATE INDEX history_recorded ON history (tenant, rtype, recorded DESC, id);

-- typed search rows, only for what tokens and hot scalars cannot answer (owner: search)
CREATE TABLE string_row (
    pk bigint NOT NULL, tenant int NOT NULL, rtype text NOT NULL, id text NOT NULL, n int NOT NULL,
    param text NOT NULL, folded text NOT NULL, exact text NOT NULL,
    PRIMARY KEY (pk, tenant, rtype, id, n)
);
CREATE INDEX string_row_folded ON string_row (tenant, rtype, param, folded text_pattern_ops);
CREATE TABLE quantity_row (
    pk bigint NOT NULL, tenant int NOT NULL, rtype text NOT NULL, id text NOT NULL, n int NOT NULL,
    param text NOT NULL, unit bigint, lo numeric, hi numeric,
    PRIMARY KEY (pk, tenant, rtype, id, n)
);
CREATE INDEX quantity_row_value ON quantity_row (tenant, rtype, param, lo);
CREATE TABLE date_row (
    pk bigint NOT NULL, tenant int NOT NULL, rtype text NOT NULL, id text NOT NULL, n int NOT NULL,
    param text NOT NULL, lo timestamptz NOT NULL, hi timestamptz NOT NULL,
    PRIMARY KEY (pk, tenant, rtype, id, n)
);
CREATE INDEX date_row_lo ON date_row (tenant, rtype, param, lo);
CREATE TABLE uri_row (
    pk bigint NOT NULL, tenant int NOT NULL, rtype text NOT NULL, id text NOT NULL, n int NOT NULL,
    param text NOT NULL, value text NOT NULL,
    PRIMARY KEY (pk, tenant, rtype, id, n)
);
CREATE INDEX uri_row_value ON uri_row (tenant, rtype, param, value text_pattern_ops);
CREATE TABLE composite_row (
    pk bigint NOT NULL, tenant int NOT NULL, rtype text NOT NULL, id text NOT NULL, n int NOT NULL,
    param text NOT NULL, token bigint NOT NULL, unit bigint, lo numeric, hi numeric, date_lo timestamptz, date_hi timestamptz, folded text,
    PRIMARY KEY (pk, tenant, rtype, id, n)
);
CREATE INDEX composite_row_token ON composite_row (tenant, rtype, param, token, lo);
CREATE TABLE identifier_row (
    pk bigint NOT NULL, tenant int NOT NULL, rtype text NOT NULL, id text NOT NULL, n int NOT NULL,
    system text NOT NULL, value text NOT NULL,
    PRIMARY KEY (pk, tenant, rtype, id, n)
);
CREATE INDEX identifier_row_value ON identifier_row (tenant, rtype, value, system);
-- the due list: one row per patient and rule (owner: jobs/care)
CREATE TABLE due (
    pk             bigint      NOT NULL,
    tenant         int         NOT NULL,
    patient        text        NOT NULL,
    rule           text        NOT NULL,
    kind           text        NOT NULL,   -- preventive | monitoring
    title          text        NOT NULL,
    status         text        NOT NULL,   -- overdue due due-soon cannot-tell up-to-date excluded not-applicable
    due_on         date,
    overdue_on     date,
    until          date,
    next_change_on date,
    why            text        NOT NULL,   -- JSON: care.assess.Due
    pack           text        NOT NULL,
    version        text        NOT NULL,
    assessed_on    date        NOT NULL,
    assessed_at    timestamptz NOT NULL,
    PRIMARY KEY (pk, tenant, patient, rule)
);
CREATE INDEX due_rule_status ON due (tenant, rule, status, due_on);
CREATE INDEX due_next ON due (tenant, next_change_on);

-- look-up -----------------------------------------------------------------------------------------------------
CREATE TABLE resource_loc (
    tenant int NOT NULL, rtype text NOT NULL, id text NOT NULL, pk bigint NOT NULL, former bigint[] NOT NULL DEFAULT '{}',
    source text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, rtype, id)
);
CREATE TABLE person_link (
    tenant int NOT NULL, patient text NOT NULL, person text NOT NULL,
    linked_at timestamptz NOT NULL, unlinked_at timestamptz, actor text NOT NULL, reason text NOT NULL,
    PRIMARY KEY (tenant, patient, linked_at)
);
CREATE INDEX person_link_person ON person_link (tenant, person) WHERE unlinked_at IS NULL;

-- local -------------------------------------------------------------------------------------------------------
CREATE TABLE change (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    tenant int NOT NULL, pk bigint NOT NULL, rtype text NOT NULL, id text NOT NULL, vid int NOT NULL,
    patient text, org text NOT NULL, recorded timestamptz NOT NULL, op text NOT NULL
);
CREATE INDEX change_order ON change (xid, seq);
CREATE TABLE change_cursor (
    name text PRIMARY KEY, xid xid8 NOT NULL DEFAULT '0', seq bigint NOT NULL DEFAULT 0, moved timestamptz
);
CREATE TABLE audit (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL, tenant int NOT NULL, actor text NOT NULL, role text NOT NULL, org text NOT NULL,
    client text NOT NULL, purpose text NOT NULL, action text NOT NULL, outcome smallint NOT NULL DEFAULT 0,
    rtype text, id text, vid int, patients text[] NOT NULL DEFAULT '{}', query text, detail text
);
CREATE INDEX audit_patients ON audit USING gin (patients);
CREATE INDEX audit_actor ON audit (tenant, actor, at);
CREATE TABLE app_user (
    id text PRIMARY KEY, tenant int NOT NULL, login text NOT NULL, name text NOT NULL, password text,
    role text NOT NULL, org text NOT NULL, patient text, practitioner text, active boolean NOT NULL DEFAULT true,
    preferences text NOT NULL DEFAULT '{}', created timestamptz NOT NULL,
    failures int NOT NULL DEFAULT 0, locked_until timestamptz,
    UNIQUE (login)
);
CREATE TABLE credential (
    sha256 bytea PRIMARY KEY, kind text NOT NULL, actor text NOT NULL, client text NOT NULL,
    created timestamptz NOT NULL, expires timestamptz NOT NULL, used timestamptz NOT NULL, revoked timestamptz,
    scopes text NOT NULL DEFAULT '', label text NOT NULL DEFAULT '', csrf text NOT NULL DEFAULT ''
);
CREATE TABLE site_setting (tenant int NOT NULL, key text NOT NULL, value text NOT NULL, PRIMARY KEY (tenant, key));
CREATE TABLE draft (
    tenant int NOT NULL, actor text NOT NULL, key text NOT NULL, body text NOT NULL, saved timestamptz NOT NULL,
    PRIMARY KEY (tenant, actor, key)
);
CREATE TABLE recent_patient (
    tenant int NOT NULL, actor text NOT NULL, patient text NOT NULL, opened timestamptz NOT NULL,
    PRIMARY KEY (tenant, actor, patient)
);
CREATE TABLE load_run (
    id text PRIMARY KEY, tenant int NOT NULL, started timestamptz NOT NULL, finished timestamptz,
    actor text NOT NULL, org text NOT NULL, source text NOT NULL, state text NOT NULL, progress text NOT NULL DEFAULT '{}', receipt text
);
CREATE TABLE load_entry (
    run text NOT NULL, n bigint NOT NULL, file text NOT NULL, place text NOT NULL, rtype text, sent_id text, id text,
    outcome text NOT NULL, reason text, PRIMARY KEY (run, n)
);
CREATE TABLE content_pack (
    id text NOT NULL, version text NOT NULL, hash text NOT NULL, authority text NOT NULL, activated timestamptz NOT NULL,
    retired timestamptz, body text NOT NULL, PRIMARY KEY (id, version, hash)
);
