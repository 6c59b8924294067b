-- An update that moves no row is noted in the scope log alone: its line names the records, and their
-- memberships stay as they are (docs/decisions/0005). What a scope's delta brings is named by both. Run as
-- campo_owner.

-- Records that the line's statement changed and did not move, by whatever transaction `stamp` says. A line
-- without them counts only; what it counts is stamped in the memberships.
ALTER TABLE sync.scope_log ADD COLUMN records uuid[];
ALTER TABLE sync.scope_log ALTER COLUMN records SET STORAGE EXTERNAL;
-- Deltas read a scope's lines by their stamps. It serves the sums of a scope as well.
CREATE INDEX scope_log_changes ON sync.scope_log (tenant_id, scope, stamp);
DROP INDEX sync.scope_log_scope;

-- A row counts in all its scopes with the version of its entry. The column goes with a later file: functions
-- made before this one write it until they are replaced.
ALTER TABLE sync.memberships ALTER COLUMN version DROP NOT NULL;

RESET ROLE;
SET LOCAL ROLE campo_capture;

-- As before: lines of a scope and collection become one, if a witness of at least a minute ago saw them.
-- The records that they name are stamped in their memberships, with the stamp of the row's last change:
-- what the membership would have if each change had raised it. Rows are locked first, as writers do before
-- they write memberships; who would have to wait for one leaves its lines to the next time.
-- Answers how many lines went and records were looked at, about `rows_max` at most.
CREATE OR REPLACE FUNCTION sync.fold_scope_log(rows_max integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off AS $$
DECLARE
    settled pg_snapshot := (SELECT w.snapshot FROM sync.witnesses w
        WHERE w.at < clock_timestamp() - interval '1 minute' ORDER BY w.seq DESC LIMIT 1);
    part record;
    lines bigint[];
    named uuid[];
    locked uuid[];
    done bigint := 0;
BEGIN
    FOR part IN
        SELECT l.tenant_id, l.scope, l.collection FROM sync.scope_log l
        WHERE pg_visible_in_snapshot(l.stamp, settled)
        GROUP BY l.tenant_id, l.scope, l.collection
        HAVING count(*) > 1 OR bool_or(l.records IS NOT NULL) LIMIT rows_max
    LOOP
        -- As many as fit, but one that names records and one besides in any case.
        SELECT array_agg(w.seq) INTO lines FROM (
            SELECT l.seq, row_number() OVER in_turn AS number,
                sum(1 + coalesce(cardinality(l.records), 0)) OVER in_turn AS weight
            FROM sync.scope_log l
            WHERE l.tenant_id = part.tenant_id AND l.scope = part.scope AND l.collection = part.collection
                AND pg_visible_in_snapshot(l.stamp, settled)
            WINDOW in_turn AS (ORDER BY l.seq)) w
        WHERE w.weight <= rows_max - done OR w.number <= 2;
        SELECT array_agg(o.seq) INTO lines FROM (
            SELECT l.seq FROM sync.scope_log l WHERE l.seq = ANY (lines)
            ORDER BY l.seq FOR UPDATE SKIP LOCKED) o;
        SELECT array_agg(o.record_id) INTO locked FROM (
            SELECT r.record_id FROM sync.rows r
            WHERE r.tenant_id = part.tenant_id AND r.collection = part.collection AND r.record_id IN (
                SELECT unnest(l.records) FROM sync.scope_log l WHERE l.seq = ANY (lines))
            ORDER BY r.record_id FOR NO KEY UPDATE SKIP LOCKED) o;
        -- A statement of its own, which sees what was committed while the locks were taken.
        SELECT array_agg(l.seq) INTO lines FROM sync.scope_log l
        WHERE l.seq = ANY (lines) AND NOT EXISTS (SELECT unnest(l.records) EXCEPT SELECT unnest(locked));
        SELECT array_agg(DISTINCT n.id) INTO named
        FROM sync.scope_log l CROSS JOIN LATERAL unnest(l.records) n (id) WHERE l.seq = ANY (lines);
        UPDATE sync.memberships m SET stamp = r.stamp
        FROM unnest(named) n (id) CROSS JOIN LATERAL (SELECT e.stamp FROM sync.rows e
            WHERE e.tenant_id = part.tenant_id AND e.collection = part.collection AND e.record_id = n.id
            LIMIT 1) r
        WHERE m.tenant_id = part.tenant_id AND m.collection = part.collection AND m.record_id = n.id
            AND m.scope = part.scope AND NOT m.gone AND m.stamp <> r.stamp;
        WITH old AS (
            DELETE FROM sync.scope_log l WHERE l.seq = ANY (lines)
            RETURNING l.came, l.went, l.digest, l.stamp),
        folded AS (
            INSERT INTO sync.scope_log (tenant_id, scope, collection, came, went, digest, stamp)
            SELECT part.tenant_id, part.scope, part.collection, sum(o.came), sum(o.went), bit_xor(o.digest),
                (array_agg(o.stamp ORDER BY o.stamp DESC))[1]
            FROM old o HAVING count(*) > 0)
        SELECT done + greatest(count(*) - 1, 0) + coalesce(cardinality(named), 0) INTO done FROM old;
        EXIT WHEN done >= rows_max;
    END LOOP;
    RETURN done;
END
$$;
