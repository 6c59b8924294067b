-- What the event streams look at (docs/decisions/0011): which scopes and users moved since a snapshot.
-- Run as campo_owner; the functions are campo_capture's, who sees all companies.

-- What changed about a user besides rows: grants, roles, whether they and their devices may sync,
-- receipts that somebody else settled. Appended by triggers, whoever writes; nobody waits for it. Lines
-- go after a day.
CREATE TABLE sync.user_log (
    seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id uuid NOT NULL,
    user_id   uuid NOT NULL,
    stamp     xid8 NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX user_log_stamp ON sync.user_log (stamp);
CREATE INDEX user_log_user ON sync.user_log (tenant_id, user_id, stamp);
ALTER TABLE sync.user_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE sync.user_log FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sync.user_log USING (tenant_id = NULLIF(current_setting('app.current_tenant_id', true), '')::uuid) WITH CHECK (tenant_id = NULLIF(current_setting('app.current_tenant_id', true), '')::uuid);
CREATE POLICY capture ON sync.user_log TO campo_capture USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON sync.user_log TO campo_capture;
GRANT SELECT ON sync.user_log TO campo_server;
GRANT SELECT ON sync.witnesses TO campo_capture;

RESET ROLE;
SET LOCAL ROLE campo_capture;

CREATE FUNCTION sync.log_user() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tenant uuid;
    who uuid;
BEGIN
    IF TG_OP = 'DELETE' THEN
        tenant := OLD.tenant_id;
        who := OLD.user_id;
    ELSE
        tenant := NEW.tenant_id;
        IF TG_TABLE_NAME = 'users' THEN
            who := NEW.id;
        ELSIF TG_TABLE_NAME = 'receipts' THEN
            who := (NEW.body::jsonb ->> 'user')::uuid;
        ELSE
            who := NEW.user_id;
        END IF;
    END IF;
    IF who IS NOT NULL THEN
        INSERT INTO sync.user_log (tenant_id, user_id, stamp) VALUES (tenant, who, pg_current_xact_id());
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION sync.log_user FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sync.log_user TO campo_owner;

-- What moved in these companies since a snapshot: scopes with the collections of the rows, and users.
-- Each once, at most `rows_max` of them.
CREATE FUNCTION sync.moved(since pg_snapshot, tenants uuid[], rows_max integer)
RETURNS TABLE (tenant_id uuid, user_id uuid, scope text, collection text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
    -- By the stamp alone: with the company beside it, the planner reads the company's whole log.
    WITH rows_moved AS MATERIALIZED (
        SELECT tenant_id, scope, collection FROM sync.scope_log
        WHERE stamp >= pg_snapshot_xmin(since) AND NOT pg_visible_in_snapshot(stamp, since)),
    users_moved AS MATERIALIZED (
        SELECT tenant_id, user_id FROM sync.user_log
        WHERE stamp >= pg_snapshot_xmin(since) AND NOT pg_visible_in_snapshot(stamp, since))
    (SELECT DISTINCT m.tenant_id, NULL::uuid, m.scope, m.collection FROM rows_moved m
        WHERE m.tenant_id = ANY (tenants)
    UNION ALL
    SELECT DISTINCT m.tenant_id, m.user_id, NULL, NULL FROM users_moved m
        WHERE m.tenant_id = ANY (tenants))
    LIMIT rows_max
$$;
REVOKE ALL ON FUNCTION sync.moved FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sync.moved TO campo_server;

-- As before, but only lines that a witness of at least a minute ago saw. One line keeps the newest stamp
-- of those it stands for: folded earlier, it would hide from a look a line whose transaction was still
-- open when the look before was made. Every look is less than a minute after the one before.
CREATE OR REPLACE FUNCTION sync.fold_scope_log(rows_max integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH settled AS MATERIALIZED (
        SELECT snapshot FROM sync.witnesses WHERE at < clock_timestamp() - interval '1 minute'
        ORDER BY seq DESC LIMIT 1),
    many AS (
        SELECT tenant_id, scope, collection FROM sync.scope_log, settled
        WHERE pg_visible_in_snapshot(stamp, settled.snapshot)
        GROUP BY tenant_id, scope, collection HAVING count(*) > 1 LIMIT rows_max),
    old AS (
        DELETE FROM sync.scope_log WHERE seq IN (
            SELECT l.seq FROM settled, many m JOIN sync.scope_log l
                ON l.tenant_id = m.tenant_id AND l.scope = m.scope AND l.collection = m.collection
            WHERE pg_visible_in_snapshot(l.stamp, settled.snapshot)
            ORDER BY l.tenant_id, l.scope, l.collection LIMIT rows_max FOR UPDATE OF l SKIP LOCKED)
        RETURNING tenant_id, scope, collection, came, went, digest, stamp),
    folded AS (
        INSERT INTO sync.scope_log (tenant_id, scope, collection, came, went, digest, stamp)
        SELECT tenant_id, scope, collection, sum(came), sum(went), bit_xor(digest),
            (array_agg(stamp ORDER BY stamp DESC))[1]
        FROM old GROUP BY tenant_id, scope, collection RETURNING 1)
    SELECT (SELECT count(*) FROM old) - (SELECT count(*) FROM folded)
$$;

CREATE FUNCTION sync.tidy_user_log(rows_max integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH gone AS (
        DELETE FROM sync.user_log WHERE seq IN (
            SELECT seq FROM sync.user_log WHERE at < clock_timestamp() - interval '1 day'
            ORDER BY seq LIMIT rows_max) RETURNING 1)
    SELECT count(*) FROM gone
$$;
REVOKE ALL ON FUNCTION sync.tidy_user_log FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sync.tidy_user_log TO campo_server;

RESET ROLE;
SET LOCAL ROLE campo_owner;

CREATE TRIGGER moved AFTER INSERT OR UPDATE OR DELETE ON sync.grants
    FOR EACH ROW EXECUTE FUNCTION sync.log_user();
ALTER TABLE sync.grants ENABLE ALWAYS TRIGGER moved;
CREATE TRIGGER moved AFTER UPDATE ON sync.users
    FOR EACH ROW WHEN (NEW.disabled <> OLD.disabled OR NEW.roles <> OLD.roles)
    EXECUTE FUNCTION sync.log_user();
ALTER TABLE sync.users ENABLE ALWAYS TRIGGER moved;
CREATE TRIGGER moved AFTER UPDATE ON sync.devices
    FOR EACH ROW WHEN (NEW.revoked <> OLD.revoked) EXECUTE FUNCTION sync.log_user();
ALTER TABLE sync.devices ENABLE ALWAYS TRIGGER moved;
-- A receipt that is written again is somebody else's decision or question; those that a push brings are
-- its device's to know.
CREATE TRIGGER moved AFTER UPDATE OF body ON sync.receipts
    FOR EACH ROW WHEN (NEW.stamp <> OLD.stamp) EXECUTE FUNCTION sync.log_user();
ALTER TABLE sync.receipts ENABLE ALWAYS TRIGGER moved;
