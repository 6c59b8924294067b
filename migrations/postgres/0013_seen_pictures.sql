-- Which of these hashes deleted records of these collections have, of the present company. Run as campo_capture:
-- under the policy of the wall no expression of a document can be looked up by its index, so the function
-- keeps to the company itself.
CREATE FUNCTION sync.deleted_pictures(hashes text[], collections text[]) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
    SELECT h FROM unnest(hashes) h CROSS JOIN LATERAL (
        SELECT FROM sync.rows r
        WHERE r.tenant_id = NULLIF(current_setting('app.current_tenant_id', true), '')::uuid
            AND r.deleted_v IS NOT NULL AND r.tombstone ->> 'miniatura_sha256' IS NOT NULL
            AND r.tombstone ->> 'miniatura_sha256' = h AND r.collection = ANY (collections)
        LIMIT 1) found
$$;
REVOKE ALL ON FUNCTION sync.deleted_pictures FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sync.deleted_pictures TO campo_server;
