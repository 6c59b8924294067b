-- Who brought a deleted row back last, and at which version: a deletion whose author saw the row before is
-- concurrent with it. Run as campo_owner.

ALTER TABLE sync.rows ADD COLUMN restored_v bigint, ADD COLUMN restored_w uuid;
