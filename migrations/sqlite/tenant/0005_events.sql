-- What changed about a user besides rows: grants, roles, whether they and their devices may sync, receipts
-- that somebody else settled. The event streams look at it; old lines go. `user` is the id in hex.
CREATE TABLE sync_user_log (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user TEXT NOT NULL
) STRICT;

CREATE TRIGGER sync_grants_come AFTER INSERT ON sync_grants
BEGIN
    INSERT INTO sync_user_log (user) VALUES (lower(hex(NEW.user)));
END;
CREATE TRIGGER sync_grants_change AFTER UPDATE ON sync_grants WHEN NEW.stamp <> OLD.stamp
BEGIN
    INSERT INTO sync_user_log (user) VALUES (lower(hex(NEW.user)));
END;
CREATE TRIGGER sync_users_change AFTER UPDATE ON sync_users
WHEN NEW.disabled <> OLD.disabled OR NEW.roles <> OLD.roles
BEGIN
    INSERT INTO sync_user_log (user) VALUES (lower(hex(NEW.id)));
END;
CREATE TRIGGER sync_devices_change AFTER UPDATE ON sync_devices WHEN NEW.revoked <> OLD.revoked
BEGIN
    INSERT INTO sync_user_log (user) VALUES (lower(hex(NEW.user)));
END;
-- A receipt that is written again is somebody else's decision or question; those that a push brings are
-- its device's to know.
CREATE TRIGGER sync_receipts_change AFTER UPDATE OF body ON sync_receipts WHEN NEW.stamp <> OLD.stamp
BEGIN
    INSERT INTO sync_user_log (user)
    SELECT replace(json_extract(NEW.body, '$.user'), '-', '')
    WHERE json_extract(NEW.body, '$.user') IS NOT NULL;
END;
