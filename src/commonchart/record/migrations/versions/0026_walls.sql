-- The second wall: PostgreSQL itself shows a transaction only what it is bound to (record/bounds.py, decision 0031).
-- commonchart_app sees one tenant, without labels that are hidden; commonchart_patient of it only the patients named;
-- commonchart_program, the worker and the command line, and whoever owns the tables, see everything.

DO $$
DECLARE
    name text;
    me text := quote_ident(current_user);
BEGIN
    FOREACH name IN ARRAY ARRAY['commonchart_program', 'commonchart_patient'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE', name);
            END IF;
            IF NOT pg_has_role(name, 'commonchart_app', 'USAGE') THEN
                EXECUTE format('GRANT commonchart_app TO %I', name);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
        IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AND NOT pg_has_role(current_user, name, 'MEMBER') THEN
            EXECUTE format('GRANT %I TO %I', name, current_user);
        END IF;
    END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE EXCEPTION 'Two roles are missing that % may not make or take on. Once, as a superuser: CREATE ROLE commonchart_program NOLOGIN; CREATE ROLE commonchart_patient NOLOGIN; GRANT commonchart_app TO commonchart_program, commonchart_patient; GRANT commonchart_program, commonchart_patient TO %', me, me
        USING ERRCODE = 'insufficient_privilege';
END $$;

-- A policy is asked before what the statement asks, unless PostgreSQL knows that the latter tells nobody of a row that it
-- does not give; only then is an index used for it. It knows so of = and <, not of these, which tell no more.
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['arrayoverlap(anyarray, anyarray)', 'arraycontains(anyarray, anyarray)',
        'ts_match_vq(tsvector, tsquery)', 'array_to_tsvector(text[])', 'string_to_array(text, text)', 'textlike(text, text)', 'numeric_lt(numeric, numeric)', 'numeric_le(numeric, numeric)',
        'numeric_gt(numeric, numeric)', 'numeric_ge(numeric, numeric)', 'numeric_eq(numeric, numeric)'] LOOP
        IF NOT (SELECT proleakproof FROM pg_proc WHERE oid = ('pg_catalog.' || name)::regprocedure) THEN
            EXECUTE format('ALTER FUNCTION pg_catalog.%s LEAKPROOF', name);
        END IF;
    END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'Searches will be slow: % may not mark functions as leakproof. See docs/how-to/own-postgresql.md', current_user;
END $$;

DO $$
DECLARE
    name text;
    tenant text := '(tenant = (SELECT current_setting(''commonchart.tenant'')::int))';
    labels text := ' AND (labels = 0 OR labels & (SELECT current_setting(''commonchart.%s'')::bigint) = 0%s)';
    hidden text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'resource', 'history', 'due',
        'string_row', 'quantity_row', 'date_row', 'uri_row', 'composite_row', 'identifier_row', 'text_row', 'contained_row',
        'outreach_message', 'panel_member', 'registry_row', 'medication_review', 'medication_alert', 'medication_check',
        'alert_event', 'inbox_item', 'inbox_act', 'critical_alert', 'critical_notice', 'quarantine', 'quarantine_answer',
        'rule_preview_change', 'resource_loc', 'person_link', 'person_pair', 'relationship', 'consent_rule', 'result_hold',
        'change', 'audit', 'draft', 'recent_patient', 'subscription_event', 'emergency_access', 'emergency_lookup', 'proxy_grant',
        'portal_invitation', 'privacy_notice', 'share_link'
    ] LOOP
        hidden := CASE name
            WHEN 'resource' THEN format(labels, 'hidden', ' OR actor = (SELECT current_setting(''commonchart.author''))')
            WHEN 'history' THEN format(labels, 'hidden', ' OR actor = (SELECT current_setting(''commonchart.author''))')
            WHEN 'due' THEN format(labels, 'deciding', '')
            ELSE '' END;
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY owner ON %I TO CURRENT_USER USING (true)', name);
        EXECUTE format('CREATE POLICY program ON %I TO commonchart_program USING (true)', name);
        EXECUTE format('CREATE POLICY asker ON %I TO commonchart_app USING (%s%s) WITH CHECK %s', name, tenant, hidden, tenant);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['resource', 'history', 'due'] LOOP
        EXECUTE format('CREATE POLICY compartment ON %I AS RESTRICTIVE TO commonchart_patient USING (patient IS NULL OR '
            'patient = ANY((SELECT string_to_array(current_setting(''commonchart.patients''), '' ''))::text[]))', name);
    END LOOP;
    -- a month is read and added to through `audit`
    FOR name IN SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit'::regclass LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY owner ON %s TO CURRENT_USER USING (true)', name);
        EXECUTE format('CREATE POLICY program ON %s TO commonchart_program USING (true)', name);
    END LOOP;
END $$;
