-- One digest on both kinds of database and on devices (sync-protocol/src/digest.rs): md5 of the id's 16 bytes
-- and the version's 8, big endian. Run as campo_capture.

-- Writers at work are waited for; those that come wait, and then count by the new function.
LOCK TABLE sync.scope_log IN EXCLUSIVE MODE;

CREATE OR REPLACE FUNCTION sync.digest(record_id uuid, version bigint) RETURNS bit LANGUAGE sql IMMUTABLE
RETURN ('x' || pg_catalog.md5(pg_catalog.uuid_send(record_id) || pg_catalog.int8send(version)))::bit(128);

DELETE FROM sync.scope_log;
INSERT INTO sync.scope_log (tenant_id, scope, collection, came, went, digest, stamp)
SELECT tenant_id, scope, collection, count(*), 0, bit_xor(sync.digest(record_id, version)), pg_current_xact_id()
FROM sync.memberships WHERE NOT gone GROUP BY tenant_id, scope, collection;
