//! Capture: the triggers that keep the bookkeeping of a collection, whoever writes (DESIGN 3).
//!
//! Three AFTER … FOR EACH STATEMENT triggers with transition tables call a function each, made for
//! the collection, SECURITY DEFINER and owned by `campo_capture`, whose own policies let it see the
//! row's tenant even where the writer set none. A function works in two statements:
//!
//! 1. **Row entries** ([`insert`], [`update`], [`delete`]): the version grows, the entry is stamped
//!    with the writing transaction's id, and it notes which fields changed
//!    ([`RowMeta`](sync_protocol::merge::RowMeta)'s rules). Each entry is found by the unique index,
//!    whatever the planner knows, and is made where a trigger of somebody else changed the row
//!    before this one runs.
//! 2. **[`memberships`] and scope log**, in a second statement, whose snapshot sees what was
//!    committed while the first one waited for locks. In general the scopes that a row is in *now*
//!    are compared with the ones noted; where a statement cannot have changed them, that is spared.
//!
//! A statement that changes nothing in a row (an ORM that saves it again) is not captured, unless
//! the server itself made it.
//!
//! The functions run with sequential and bitmap scans off (under SERIALIZABLE a sequential scan
//! locks the whole table against everybody) and without JIT; old and new rows are matched by FULL
//! JOIN, for which PostgreSQL has no nested loop: plans are cached, and one made for a single row
//! would be quadratic for a bulk load. They are always the cached ones: planning anew took a third of
//! what capture costs a statement that changes one row.

mod content;
mod delete;
mod entry;
mod insert;
mod memberships;
mod update;

use std::fmt::Write as _;

use sync_protocol::schema::Collection;

use super::ddl::table;
use super::quote::ident;

/// The capture triggers of a table: name, when, and the function's letter.
pub(super) const TRIGGERS: [(&str, &str, &str); 3] = [
    ("zz_campo_insert", "AFTER INSERT", "i"),
    ("zz_campo_update", "AFTER UPDATE", "u"),
    ("zz_campo_delete", "AFTER DELETE", "d"),
];
/// The triggers that refuse.
pub(super) const REFUSALS: [&str; 2] = ["aa_campo_truncate", "aa_campo_key"];

/// The functions, to be made by campo_capture.
pub(super) fn functions(collection: &Collection) -> String {
    let mut sql = String::new();
    for (letter, settings, variables, body) in [
        ("i", insert::SETTINGS, insert::VARIABLES, insert::body(collection)),
        ("u", update::SETTINGS, update::VARIABLES, update::body(collection)),
        ("d", delete::SETTINGS, delete::VARIABLES, delete::body(collection)),
    ] {
        let _ = writeln!(
            sql,
            "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER\n\
             SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off \
             {settings}SET jit = off SET plan_cache_mode = force_generic_plan AS $campo$\n\
             DECLARE\n\
             \x20 campo_w uuid := sync.writer();\n\
             \x20 campo_times jsonb := sync.edit_times();\n\
             \x20 campo_now bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;\n\
             \x20 {variables}\n\
             BEGIN\n{body}  RETURN NULL;\nEND $campo$;",
            function(collection, letter)
        );
    }
    sql
}

/// The triggers, to be made by the table's owner.
pub(super) fn triggers(collection: &Collection) -> String {
    let table = table(collection);
    let mut sql = String::new();
    for (name, when, letter) in TRIGGERS {
        let transition = match letter {
            "i" => "NEW TABLE AS new_rows",
            "u" => "OLD TABLE AS old_rows NEW TABLE AS new_rows",
            _ => "OLD TABLE AS old_rows",
        };
        let _ = writeln!(
            sql,
            "CREATE OR REPLACE TRIGGER {name} {when} ON {table} REFERENCING {transition} \
             FOR EACH STATEMENT EXECUTE FUNCTION {}();",
            function(collection, letter)
        );
    }
    let _ = writeln!(
        sql,
        "CREATE OR REPLACE TRIGGER aa_campo_truncate BEFORE TRUNCATE ON {table} \
         FOR EACH STATEMENT EXECUTE FUNCTION sync.refuse_truncate();\n\
         CREATE OR REPLACE TRIGGER aa_campo_key BEFORE UPDATE ON {table} FOR EACH ROW \
         WHEN (OLD.id IS DISTINCT FROM NEW.id OR OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) \
         EXECUTE FUNCTION sync.refuse_key_change();"
    );
    for name in TRIGGERS.iter().map(|t| t.0).chain(REFUSALS) {
        let _ = writeln!(sql, "ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name};");
    }
    sql
}

fn function(collection: &Collection, letter: &str) -> String {
    format!("sync.{}", ident(&format!("capture_{letter}_{}", collection.name)))
}
