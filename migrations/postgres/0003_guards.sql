-- Triggers on the bookkeeping itself. Run as campo_owner.

DO $guards$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['rows', 'memberships', 'scope_log'] LOOP
        EXECUTE format('CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON sync.%I FOR EACH STATEMENT EXECUTE FUNCTION sync.refuse_direct_write()', t);
        EXECUTE format('ALTER TABLE sync.%I ENABLE ALWAYS TRIGGER guard', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['grants', 'receipts'] LOOP
        EXECUTE format('CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON sync.%I FOR EACH ROW EXECUTE FUNCTION sync.stamp()', t);
        EXECUTE format('ALTER TABLE sync.%I ENABLE ALWAYS TRIGGER stamp', t);
    END LOOP;
END
$guards$;
CREATE TRIGGER guard BEFORE UPDATE OR DELETE OR TRUNCATE ON sync.audit
    FOR EACH STATEMENT EXECUTE FUNCTION sync.refuse_audit_change();
ALTER TABLE sync.audit ENABLE ALWAYS TRIGGER guard;
