-- What the capture functions of all collections share (see store::postgres::capture). Run as
-- campo_capture.

-- Who writes. Only the server may say that it is a device's stream; everybody else is plain SQL.
CREATE FUNCTION sync.writer() RETURNS uuid LANGUAGE sql STABLE
RETURN CASE
    WHEN pg_catalog.current_setting('campo.stream', true) <> ''
        AND pg_catalog.pg_has_role(session_user, 'campo_server', 'USAGE')
    THEN pg_catalog.current_setting('campo.stream')::uuid
    ELSE '00000000-0000-0000-0000-000000000000'::uuid
END;

-- Times of the edits that a statement carries: {"<record id>": [microseconds, uncertain]}.
CREATE FUNCTION sync.edit_times() RETURNS jsonb LANGUAGE sql STABLE
RETURN CASE
    WHEN pg_catalog.current_setting('campo.edit_times', true) <> ''
        AND pg_catalog.pg_has_role(session_user, 'campo_server', 'USAGE')
    THEN pg_catalog.current_setting('campo.edit_times')::jsonb
END;

CREATE FUNCTION sync.restoring() RETURNS boolean LANGUAGE sql STABLE
RETURN pg_catalog.current_setting('campo.restore', true) = 'on'
    AND pg_catalog.pg_has_role(session_user, 'campo_server', 'USAGE');

CREATE FUNCTION sync.digest(record_id uuid, version bigint) RETURNS bit LANGUAGE sql IMMUTABLE
RETURN ('x' || pg_catalog.md5(record_id::text || ':' || version::text))::bit(128);

-- A set in canonical JSON: sorted by bytes, each element once.
CREATE FUNCTION sync.set_json(elements text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE
RETURN CASE WHEN elements IS NOT NULL THEN coalesce(
    (SELECT jsonb_agg(DISTINCT e COLLATE "C" ORDER BY e COLLATE "C") FROM unnest(elements) e), '[]'::jsonb)
END;

-- RowMeta::record_update. `changes` has a key for each changed field: true, or for a set
-- [elements now, elements added].
CREATE FUNCTION sync.fields_after(
    fields jsonb, changes jsonb, born_w uuid, version bigint, w uuid, t bigint, u boolean
) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    field text;
    change jsonb;
    before jsonb;
    after jsonb;
    elements jsonb;
    other bigint;
BEGIN
    FOR field, change IN SELECT key, value FROM jsonb_each(changes) LOOP
        before := fields -> field;
        after := jsonb_build_object('v', version, 'w', w, 't', t);
        IF u THEN
            after := after || '{"u": true}';
        END IF;
        IF coalesce((before ->> 'w')::uuid, born_w) <> w THEN
            other := coalesce((before ->> 'v')::bigint, 1);
        ELSE
            other := (before ->> 'o')::bigint;
        END IF;
        IF other > 0 THEN
            after := after || jsonb_build_object('o', other);
        END IF;
        elements := before -> 'e';
        IF jsonb_typeof(change) = 'array' AND change -> 0 <> 'null' THEN
            elements := coalesce((SELECT jsonb_object_agg(key, value)
                    FROM jsonb_each(elements) WHERE (change -> 0) ? key), '{}')
                || coalesce((SELECT jsonb_object_agg(e, jsonb_build_object('v', version, 'w', w))
                    FROM jsonb_array_elements_text(change -> 1) e), '{}');
        END IF;
        IF elements <> '{}' THEN
            after := after || jsonb_build_object('e', elements);
        END IF;
        fields := fields || jsonb_build_object(field, after);
    END LOOP;
    RETURN fields;
END
$$;

-- What a restored row changed of its tombstone, in the form that fields_after takes.
CREATE FUNCTION sync.tombstone_changes(before jsonb, after jsonb, sets text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(jsonb_object_agg(key, CASE WHEN key = ANY (sets)
        THEN jsonb_build_array(value, coalesce((SELECT jsonb_agg(e)
            FROM jsonb_array_elements_text(CASE jsonb_typeof(value) WHEN 'array' THEN value ELSE '[]' END) e
            WHERE NOT coalesce((before -> key) ? e, false)), '[]'))
        ELSE 'true'::jsonb END), '{}')
    FROM jsonb_each(after) WHERE before ? key AND before -> key <> value
$$;

-- Elements of sets that were added again while present: their last addition is the row's present
-- version. The row's change itself was captured by the statement before.
CREATE FUNCTION sync.touch(of_collection text, ids uuid[], names text[], elements text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tenant uuid := NULLIF(current_setting('app.current_tenant_id', true), '')::uuid;
    w uuid := sync.writer();
BEGIN
    FOR i IN 1 .. coalesce(array_length(ids, 1), 0) LOOP
        UPDATE sync.rows r SET fields = r.fields || jsonb_build_object(names[i], m.meta
            || jsonb_build_object('e', coalesce(m.meta -> 'e', '{}')
                || jsonb_build_object(elements[i], jsonb_build_object('v', r.version, 'w', w)
                    || CASE WHEN m.other > 0 THEN jsonb_build_object('o', m.other) ELSE '{}' END)))
        FROM (SELECT coalesce(x.fields -> names[i],
                jsonb_build_object('v', 1, 'w', x.born_w, 't', x.born_t)
                    || CASE WHEN x.born_u THEN '{"u": true}'::jsonb ELSE '{}' END) AS meta,
                -- The newest addition by somebody else.
                CASE WHEN coalesce((b.before ->> 'w')::uuid, x.born_w) <> w
                    THEN coalesce((b.before ->> 'v')::bigint, 1)
                    ELSE coalesce((b.before ->> 'o')::bigint, 0) END AS other
            FROM sync.rows x, LATERAL (SELECT x.fields -> names[i] -> 'e' -> elements[i] AS before) b
            WHERE x.tenant_id = tenant AND x.collection = of_collection AND x.record_id = ids[i]) m
        WHERE r.tenant_id = tenant AND r.collection = of_collection AND r.record_id = ids[i];
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION sync.touch FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sync.touch TO campo_server;

-- At login the tenant is not known yet, so the wall would hide it.
CREATE FUNCTION sync.tenant_by_slug(wanted text) RETURNS TABLE (tenant_id uuid, slug text, name text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.tenant_id, t.slug, t.name FROM sync.tenants t WHERE t.slug = wanted
$$;
REVOKE ALL ON FUNCTION sync.tenant_by_slug FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sync.tenant_by_slug TO campo_server;

-- Refusals, each with a sentence.
CREATE FUNCTION sync.refuse_used_id(id uuid) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the id % was used by a row that is deleted: ids are never used again', id
        USING ERRCODE = 'unique_violation', HINT = 'insert with a new id';
END
$$;

CREATE FUNCTION sync.refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE of %.% is refused: devices would keep the rows', TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'feature_not_supported', HINT = 'use DELETE, which leaves tombstones';
END
$$;

CREATE FUNCTION sync.refuse_key_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'id and tenant_id of a row in %.% cannot be changed', TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'feature_not_supported', HINT = 'insert a new row and delete this one';
END
$$;

CREATE FUNCTION sync.refuse_direct_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'campo_capture' THEN
        RAISE EXCEPTION 'sync.% is kept by triggers and cannot be written directly', TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege', HINT = 'write to the collection''s own table';
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION sync.refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is only appended to' USING ERRCODE = 'insufficient_privilege';
END
$$;

-- Grants and receipts are read by what changed, too; whoever changes them, they are stamped.
CREATE FUNCTION sync.stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.stamp := pg_catalog.pg_current_xact_id();
    RETURN NEW;
END
$$;
