-- The role that the program works as: it owns nothing, is bound by row-level security, and may only add to the audit trail.
-- Whoever migrates owns the tables.

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'commonchart_app') THEN
        CREATE ROLE commonchart_app NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'The role commonchart_app is missing, and % may not make it. Once, as a superuser: CREATE ROLE commonchart_app NOLOGIN; GRANT commonchart_app TO %', quote_ident(current_user), quote_ident(current_user)
            USING ERRCODE = 'insufficient_privilege';
END $$;
DO $$ BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT commonchart_app TO %I', current_user);
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    IF NOT pg_has_role(current_user, 'commonchart_app', 'MEMBER') THEN
        RAISE EXCEPTION '% may not take on the role commonchart_app. Once, as a superuser: GRANT commonchart_app TO %', quote_ident(current_user), quote_ident(current_user)
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END $$;

GRANT USAGE ON SCHEMA public TO commonchart_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO commonchart_app;
GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO commonchart_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO commonchart_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO commonchart_app;
DO $$ BEGIN  -- so that it may ANALYZE; before 17 only autovacuum and the owner do
    IF current_setting('server_version_num')::int >= 170000 THEN
        EXECUTE 'GRANT MAINTAIN ON ALL TABLES IN SCHEMA public TO commonchart_app';
        EXECUTE 'ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT MAINTAIN ON TABLES TO commonchart_app';
    END IF;
END $$;

-- what has happened stays as it is: added to and read, never changed
DO $$
DECLARE name regclass;
BEGIN
    FOR name IN SELECT 'audit'::regclass UNION ALL SELECT inhrelid FROM pg_inherits WHERE inhparent = 'audit'::regclass
        UNION ALL VALUES ('audit_seal'::regclass) LOOP
        EXECUTE format('REVOKE ALL ON %s FROM commonchart_app', name);
        EXECUTE format('GRANT SELECT, INSERT ON %s TO commonchart_app', name);
    END LOOP;
END $$;
REVOKE ALL ON audit_archive, alembic_version FROM commonchart_app;
GRANT SELECT ON audit_archive, alembic_version TO commonchart_app;
REVOKE UPDATE ON SEQUENCE audit_number FROM commonchart_app;
