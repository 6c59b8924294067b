-- Triggers on the bookkeeping itself. Run as campo_owner.

DO $guards$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['rows', 'memberships', 'scope_log'] LOOP
        EXECUTE format('CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON sync.%I FOR EACH STATEMENT EXECUTE FUNCTION sync.refuse_direct_write()', t);
        EXECUTE format('ALTER TABLE sync.%I ENABLE ALWAYS TRIGGER guard', t);
    END LOOP;
END
$guards$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON sync.grants
    FOR EACH ROW EXECUTE FUNCTION sync.stamp();
ALTER TABLE sync.grants ENABLE ALWAYS TRIGGER stamp;
-- That a receipt was seen is nothing to tell its device.
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE OF body ON sync.receipts
    FOR EACH ROW EXECUTE FUNCTION sync.stamp();
ALTER TABLE sync.receipts ENABLE ALWAYS TRIGGER stamp;
CREATE TRIGGER guard BEFORE UPDATE OR DELETE OR TRUNCATE ON sync.audit
    FOR EACH STATEMENT EXECUTE FUNCTION sync.refuse_audit_change();
ALTER TABLE sync.audit ENABLE ALWAYS TRIGGER guard;
