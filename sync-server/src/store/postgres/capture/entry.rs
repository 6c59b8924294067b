//! What the statements that write row entries have in common.

/// When the edit of row `n` was made, and whether that is uncertain: told by the server, else now.
pub(super) const TIME: &str = "coalesce((campo_times -> (n.id::text) ->> 0)::bigint, campo_now)";
pub(super) const UNCERTAIN: &str = "coalesce((campo_times -> (n.id::text) ->> 1)::boolean, false)";
/// When the server learned of the change of row `n`: told by the server, else now.
pub(super) const RECEIVED: &str =
    "coalesce((campo_times -> (n.id::text) ->> 2)::bigint, campo_now)";
pub(super) const COLUMNS: &str =
    "(tenant_id, collection, record_id, version, stamp, born_w, born_t, born_u, fields";
pub(super) const CONFLICT: &str = "ON CONFLICT (tenant_id, collection, record_id) DO UPDATE SET";
