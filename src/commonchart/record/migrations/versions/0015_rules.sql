-- Rules of care that a site changed: their versions, which is used since when, who approved what; and previews of a change.

CREATE TABLE site_rule (
    tenant int NOT NULL, rule text NOT NULL, n int NOT NULL,
    body text NOT NULL,                                             -- care.editions: the whole text
    based_on text NOT NULL,                                         -- "us-2026 2026.2/2" or "site.1"; "" for a new rule
    author text NOT NULL, author_name text NOT NULL, at timestamptz NOT NULL, why text NOT NULL,
    PRIMARY KEY (tenant, rule, n)
);
CREATE TABLE rule_use (
    tenant int NOT NULL, rule text NOT NULL, seq int NOT NULL,      -- the highest is what is used now
    state text NOT NULL,                                            -- site: version n | box: as in the pack in the box | off: not at all
    n int NOT NULL DEFAULT 0,
    actor text NOT NULL, actor_name text NOT NULL, at timestamptz NOT NULL, why text NOT NULL,
    PRIMARY KEY (tenant, rule, seq)
);
CREATE TABLE rule_approval (
    tenant int NOT NULL, rule text NOT NULL, version text NOT NULL, seq int NOT NULL,
    actor text NOT NULL, actor_name text NOT NULL, at timestamptz NOT NULL, comment text NOT NULL,
    withdrawn timestamptz, withdrawn_by text NOT NULL DEFAULT '', withdrawn_why text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, rule, version, seq)
);
CREATE TABLE rule_preview (
    tenant int NOT NULL, id text NOT NULL, rule text NOT NULL,
    state text NOT NULL, n int NOT NULL,                            -- what is tried, as in rule_use
    before_hash text NOT NULL, after_hash text NOT NULL,            -- the packs that are compared
    as_of date NOT NULL,
    run text NOT NULL,                                              -- running | done | failed
    after_id text NOT NULL DEFAULT '', done int NOT NULL DEFAULT 0, total int NOT NULL,
    counts text NOT NULL DEFAULT '{}',                              -- JSON: "before>after" -> people
    actor text NOT NULL, actor_name text NOT NULL, begun timestamptz NOT NULL, ended timestamptz,
    error text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, id)
);
CREATE INDEX rule_preview_running ON rule_preview (begun) WHERE run = 'running';
CREATE TABLE rule_preview_change (
    pk bigint NOT NULL, tenant int NOT NULL, patient text NOT NULL, preview text NOT NULL,
    before text NOT NULL, after text NOT NULL,                      -- statuses of the due table, "" where the rule says nothing
    before_due date, after_due date, because text NOT NULL,
    PRIMARY KEY (pk, tenant, patient, preview)
);
CREATE INDEX rule_preview_change_list ON rule_preview_change (tenant, preview, before, after);
