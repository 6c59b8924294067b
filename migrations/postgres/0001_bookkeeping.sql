-- Bookkeeping. Run as campo_owner, who owns every table. campo_server owns nothing and is held to one
-- tenant by the policies; campo_capture owns the capture functions and sees all tenants, because a
-- writer that set no tenant must be captured too.


GRANT USAGE ON SCHEMA sync TO PUBLIC;
GRANT CREATE ON SCHEMA sync TO campo_capture;

CREATE TABLE sync.tenants (
    tenant_id uuid PRIMARY KEY,
    slug      text NOT NULL CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
    name      text NOT NULL,
    CONSTRAINT tenants_slug_key UNIQUE (slug)
);

CREATE TABLE sync.users (
    tenant_id     uuid NOT NULL REFERENCES sync.tenants,
    id            uuid NOT NULL,
    login         text NOT NULL,
    name          text NOT NULL,
    password_hash text NOT NULL,
    roles         text[] NOT NULL DEFAULT '{}',
    disabled      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT users_login_key UNIQUE (tenant_id, login)
);

CREATE TABLE sync.devices (
    tenant_id    uuid NOT NULL REFERENCES sync.tenants,
    id           uuid NOT NULL,
    user_id      uuid NOT NULL,
    name         text,
    last_seen_us bigint NOT NULL,
    revoked      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, id)
);

-- Hashes only. `family` is the hash of the first token since the login.
CREATE TABLE sync.refresh_tokens (
    tenant_id     uuid NOT NULL REFERENCES sync.tenants,
    hash          text NOT NULL,
    family        text NOT NULL,
    parent_hash   text,
    user_id       uuid NOT NULL,
    device_id     uuid NOT NULL,
    issued_at_us  bigint NOT NULL,
    expires_at_us bigint NOT NULL,
    replaced      boolean NOT NULL DEFAULT false,
    child_used    boolean NOT NULL DEFAULT false,
    family_ended  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, hash)
);
CREATE INDEX refresh_tokens_family ON sync.refresh_tokens (tenant_id, family);
CREATE INDEX refresh_tokens_device ON sync.refresh_tokens (tenant_id, device_id);

CREATE TABLE sync.grants (
    tenant_id uuid NOT NULL REFERENCES sync.tenants,
    user_id   uuid NOT NULL,
    scope     text COLLATE "C" NOT NULL,
    stamp     xid8 NOT NULL,
    gone      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, user_id, scope)
);

-- One entry for each record that ever was: RowMeta of the merge rules. `fields` is RowMeta::fields.
CREATE TABLE sync.rows (
    tenant_id  uuid NOT NULL,
    collection text COLLATE "C" NOT NULL,
    record_id  uuid NOT NULL,
    version    bigint NOT NULL,
    stamp      xid8 NOT NULL,
    born_w     uuid NOT NULL,
    born_t     bigint NOT NULL,
    born_u     boolean NOT NULL DEFAULT false,
    fields     jsonb NOT NULL DEFAULT '{}',
    deleted_v  bigint,
    deleted_w  uuid,
    deleted_t  bigint,
    deleted_u  boolean,
    tombstone  jsonb,
    PRIMARY KEY (tenant_id, collection, record_id)
) WITH (fillfactor = 80);

-- One entry for each scope that a record is or was in. `version` is the row's version that the
-- scope's digest counts.
CREATE TABLE sync.memberships (
    tenant_id  uuid NOT NULL,
    scope      text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL,
    record_id  uuid NOT NULL,
    stamp      xid8 NOT NULL,
    gone       boolean NOT NULL,
    version    bigint NOT NULL,
    PRIMARY KEY (tenant_id, collection, record_id, scope)
) WITH (fillfactor = 80);
CREATE INDEX memberships_stamp ON sync.memberships (tenant_id, scope, stamp);

-- Per statement, scope and collection: what came, what went, and the change of the digest (xor of
-- md5('<record id>:<version>') over the rows in the scope).
CREATE TABLE sync.scope_log (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    scope      text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL,
    came       bigint NOT NULL,
    went       bigint NOT NULL,
    digest     bit(128) NOT NULL,
    stamp      xid8 NOT NULL
);
CREATE INDEX scope_log_scope ON sync.scope_log (tenant_id, scope, collection);
CREATE INDEX scope_log_stamp ON sync.scope_log (stamp);

CREATE TABLE sync.receipts (
    tenant_id     uuid NOT NULL REFERENCES sync.tenants,
    id            uuid NOT NULL,
    stream        uuid NOT NULL,
    settled_at_us bigint NOT NULL,
    seen          boolean NOT NULL DEFAULT false,
    stamp         xid8 NOT NULL,
    body          text NOT NULL,
    PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 85);
-- The only one: each more costs every push, and `seen` in one would make telling it as dear as the
-- receipt itself.
CREATE INDEX receipts_stream_stamp ON sync.receipts (tenant_id, stream, stamp);

CREATE TABLE sync.conflicts (
    tenant_id    uuid NOT NULL REFERENCES sync.tenants,
    id           uuid NOT NULL,
    collection   text COLLATE "C" NOT NULL,
    record_id    uuid NOT NULL,
    status       text NOT NULL,
    severity     text NOT NULL,
    opened_at_us bigint NOT NULL,
    revision     bigint NOT NULL,
    body         text NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX conflicts_record ON sync.conflicts (tenant_id, collection, record_id);
CREATE INDEX conflicts_opened ON sync.conflicts (tenant_id, opened_at_us, id);

CREATE TABLE sync.audit (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   uuid NOT NULL REFERENCES sync.tenants,
    at_us       bigint NOT NULL,
    user_id     uuid,
    action      text NOT NULL,
    conflict_id uuid,
    detail      text NOT NULL
);
CREATE INDEX audit_conflict ON sync.audit (tenant_id, conflict_id, seq);

-- What cursors name (see store::postgres::witness). Of no tenant.
CREATE TABLE sync.witnesses (
    seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    value    text NOT NULL UNIQUE,
    snapshot pg_snapshot NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE sync.keys (
    name  text PRIMARY KEY,
    value bytea NOT NULL
);

-- The wall between tenants, on every table that has a tenant. A transaction-local setting reverts to
-- '' and not to NULL, hence NULLIF.
DO $wall$
DECLARE
    t text;
BEGIN
    FOR t IN
        SELECT c.relname FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
        WHERE c.relnamespace = 'sync'::regnamespace AND c.relkind = 'r'
    LOOP
        EXECUTE format('ALTER TABLE sync.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE sync.%I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format(
            'CREATE POLICY tenant ON sync.%I USING (tenant_id = NULLIF(current_setting(''app.current_tenant_id'', true), '''')::uuid) WITH CHECK (tenant_id = NULLIF(current_setting(''app.current_tenant_id'', true), '''')::uuid)', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['rows', 'memberships', 'scope_log'] LOOP
        EXECUTE format('CREATE POLICY capture ON sync.%I TO campo_capture USING (true) WITH CHECK (true)', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON sync.%I TO campo_capture', t);
        EXECUTE format('GRANT SELECT ON sync.%I TO campo_server', t);
    END LOOP;
END
$wall$;
CREATE POLICY capture ON sync.tenants FOR SELECT TO campo_capture USING (true);
GRANT SELECT ON sync.tenants TO campo_capture;

GRANT SELECT, INSERT, UPDATE ON
    sync.tenants, sync.users, sync.devices, sync.refresh_tokens, sync.grants, sync.receipts, sync.conflicts
    TO campo_server;
GRANT SELECT, INSERT ON sync.audit, sync.keys TO campo_server;
GRANT SELECT, INSERT, DELETE ON sync.witnesses TO campo_server;
-- Row locks ask for the right to update some column; the guard below refuses the update itself.
GRANT UPDATE (version) ON sync.rows TO campo_server;
