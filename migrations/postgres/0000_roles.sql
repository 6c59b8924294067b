-- The three roles, which belong to the cluster and may exist already. Run as whoever migrates: a
-- superuser, or a role that may create roles or is a member of those that exist.
DO $roles$
DECLARE
    r text;
BEGIN
    FOREACH r IN ARRAY ARRAY['campo_owner', 'campo_capture', 'campo_server'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE %s', r,
                    CASE r WHEN 'campo_server' THEN 'LOGIN' ELSE 'NOLOGIN' END);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- made at the same moment for another database of the cluster
            END;
        END IF;
    END LOOP;
    EXECUTE format('GRANT CREATE, CONNECT ON DATABASE %I TO campo_owner', current_database());
    -- Temporary tables: the server compares the tables' rules with such as it makes itself.
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO campo_server', current_database());
END
$roles$;
