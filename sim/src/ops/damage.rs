//! Phones whose files are damaged while the app is closed. Afterwards they must be right again, and no edit
//! may be lost.
//!
//! Damage of the server's rows is for ordinary rounds to find: by the scrub, the digests, and the checksums
//! of what is staged. Damage of anything is for `verify`. Left out is one thing that is in the bargain: the
//! receipt of an edit whose content the phone has forgotten is kept once, and may be lost.

use mobile_core::core::Verification;
use rusqlite::Connection;
use sync_protocol::RecordId;
use uuid::Uuid;

use super::{office, session, sync};
use crate::operation;
use crate::oracle::ledger::Place;
use crate::oracle::{Checked, Violation, damage, violated};
use crate::registry::Operation;
use crate::rng::Rng;
use crate::world::{World, broken};

/// The table.
pub const OPERATIONS: &[Operation] = &[
    operation!("a phone's rows are damaged", 5, rows_are_damaged),
    operation!("a phone's file is damaged", 5, file_is_damaged),
];

/// Ordinary rounds in which damaged rows are found and brought: the scrub goes on where it stopped, so it
/// has seen everything after the second.
const ROUNDS: usize = 3;
/// Attempts to verify: the server may die at one, and at the next.
const ATTEMPTS_MAX: usize = 6;

/// A part of the server's rows on a phone.
async fn rows_are_damaged(world: &mut World, rng: &mut Rng) -> Checked {
    let Some((device, person)) = world.used_phone(rng) else { return Ok(()) };
    if rng.percent(50) && world.devices[device].online {
        // Amid a round that brings several pages, so that rows wait for their checkpoint.
        for _ in 0..2 + rng.below(4) {
            office::updates(world, rng).await?;
        }
        if world.devices[device].flight.is_none() {
            world.counts.syncs += 1;
            world.devices[device].begin_sync();
        }
        for _ in 0..1 + rng.below(2) {
            sync::cut(world, rng, device).await?;
        }
        if world.user_of(device) != Some(person) {
            return Ok(());
        }
    }
    let snapshot = world.snapshot();
    let rows: Vec<(String, RecordId)> = snapshot.rows.keys().cloned().collect();
    let Some(sql) = tamper(world, (device, person), |db| row_damage(db, rng, &rows)).await? else {
        return Ok(());
    };
    world.tell(format!("phone {device}: damaged: {sql}"));
    if rng.percent(40) {
        sync::unchecked(world, rng, device).await?;
    }
    world.devices[device].online = true;
    world.devices[device].digests = true;
    // The session may have ended meanwhile.
    session::login(world, rng, device, person, false).await?;
    for _ in 0..ROUNDS {
        sync::healthy(world, rng, device).await?;
    }
    is_right(world, device, person)
}

/// Anything in a phone's file.
async fn file_is_damaged(world: &mut World, rng: &mut Rng) -> Checked {
    let Some((device, person)) = world.used_phone(rng) else { return Ok(()) };
    let Some(sql) = tamper(world, (device, person), |db| any_damage(db, rng)).await? else {
        return Ok(());
    };
    world.tell(format!("phone {device}: damaged: {sql}"));
    if rng.percent(40) {
        sync::unchecked(world, rng, device).await?;
    }
    verify(world, rng, device, person).await
}

/// Verifies a damaged phone until that comes to an end, and looks whether all is right then.
///
/// # Errors
/// What the oracle finds.
pub async fn verify(world: &mut World, rng: &mut Rng, device: usize, person: usize) -> Checked {
    world.devices[device].online = true;
    let first = one_verification(world, rng, device, person).await?;
    if !first.clean || first.lost > 0 {
        return violated(
            "damage is mended, and no edit lost",
            format!("phone {device}: {first:#?}"),
        );
    }
    let again = one_verification(world, rng, device, person).await?;
    if (again.mended, again.damaged, again.differing, again.unlike) != (0, 0, 0, 0) {
        return violated("what was mended is right", format!("phone {device}: {again:#?}"));
    }
    is_right(world, device, person)
}

async fn one_verification(
    world: &mut World,
    rng: &mut Rng,
    device: usize,
    person: usize,
) -> Result<Verification, Violation> {
    for _ in 0..ATTEMPTS_MAX {
        world.devices[device].begin_verify();
        sync::to_the_end(world, rng, device, false).await?;
        if let Some(verification) = world.devices[device].verified() {
            return Ok(verification);
        }
        // The session may have been what was damaged.
        session::login(world, rng, device, person, false).await?;
    }
    violated("a damaged phone can be verified", format!("phone {device}"))
}

/// From here on the phone counts as any other.
fn is_right(world: &mut World, device: usize, person: usize) -> Checked {
    let engine = world.devices[device].core().engine().map_err(|error| broken(&error))?;
    let log = engine.store().read(|db| Ok(damage::end(db))).map_err(|error| broken(&error))?;
    let known = world.ledger.known.entry((device, person)).or_default();
    known.damage = damage::Standing::Sound { log_end: log? };
    (known.base, known.cursor) = (None, None);
    world.look_at(device)?;
    let known = &world.ledger.known[&(device, person)];
    if known.base.is_none() {
        return violated("a mended phone stands at a checkpoint", format!("phone {device}"));
    }
    world.counts.damages += 1;
    Ok(())
}

/// Lets somebody at the closed file. Answers what was done; nothing where nothing could be.
async fn tamper(
    world: &mut World,
    place: Place,
    damage: impl FnOnce(&Connection) -> rusqlite::Result<Option<String>>,
) -> Result<Option<String>, Violation> {
    let engine = world.devices[place.0].core().engine().map_err(|error| broken(&error))?;
    let file = engine.store().path().to_owned();
    drop(engine);
    // The app may die when it is opened again.
    let before = world.ledger.damage(place);
    let done = world.devices[place.0].tamper(&file, damage).await;
    let done = done.expect("a phone's file can be damaged");
    if done.is_none() {
        world.ledger.known.entry(place).or_default().damage = before;
    }
    Ok(done)
}

/// The rows' tables.
fn row_tables(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut tables = db.prepare(
        r"SELECT name FROM sqlite_master WHERE type = 'table'
          AND name NOT LIKE 'campo\_%' ESCAPE '\' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name",
    )?;
    tables.query_map([], |row| row.get(0))?.collect()
}

fn count(db: &Connection, from: &str) -> rusqlite::Result<usize> {
    let rows: i64 = db.query_row(&format!("SELECT count(*) FROM {from}"), [], |row| row.get(0))?;
    Ok(usize::try_from(rows).unwrap_or(0))
}

/// Damages one of the server's rows that has no edits on top; `server` are all that the server has.
fn row_damage(
    db: &Connection,
    rng: &mut Rng,
    server: &[(String, RecordId)],
) -> rusqlite::Result<Option<String>> {
    let staged = count(db, "campo_staged WHERE content IS NOT NULL")?;
    if staged > 0 && rng.percent(60) {
        let sql = format!(
            "UPDATE campo_staged SET content = '{{}}'
             WHERE (collection, record) = (SELECT collection, record FROM campo_staged
                 WHERE content IS NOT NULL ORDER BY 1, 2 LIMIT 1 OFFSET {})",
            rng.below(staged)
        );
        return did(db, sql);
    }
    let mut places = Vec::new();
    for table in row_tables(db)? {
        let rows = count(db, &format!("\"{table}\" WHERE _pending = 0"))?;
        if rows > 0 {
            places.push((table, rows));
        }
    }
    let Some((table, rows)) = rng.pick(&places).cloned() else { return Ok(None) };
    let row = format!(
        "id = (SELECT id FROM \"{table}\" WHERE _pending = 0 ORDER BY id LIMIT 1 OFFSET {})",
        rng.below(rows)
    );
    let sql = match rng.below(6) {
        0 => format!("DELETE FROM \"{table}\" WHERE {row}"),
        1 => format!("UPDATE \"{table}\" SET _version = _version + 1 WHERE {row}"),
        2 => {
            let id = Uuid::from_u128(u128::from(rng.draw()) << 64 | u128::from(rng.draw()));
            format!("UPDATE \"{table}\" SET id = '{id}' WHERE {row}")
        }
        3 => {
            // That of another row, perhaps one that this person may not see.
            let others: Vec<_> = server.iter().filter(|(name, _)| *name == table).collect();
            let Some((_, id)) = rng.pick(&others) else { return Ok(None) };
            format!("UPDATE OR IGNORE \"{table}\" SET id = '{id}' WHERE {row}")
        }
        _ => {
            let fields: Vec<String> =
                columns(db, &table)?.into_iter().map(|c| c.name).filter(|n| !own(n)).collect();
            let Some(field) = rng.pick(&fields) else { return Ok(None) };
            let garbage = if rng.percent(50) {
                "NULL".to_owned()
            } else {
                format!("'§' || coalesce(\"{field}\", '')")
            };
            format!(
                "UPDATE \"{table}\" SET \"{field}\" = {garbage} WHERE {row} AND \"{field}\" IS NOT {garbage}"
            )
        }
    };
    did(db, sql)
}

/// Whether a column of a row's table is no field.
fn own(column: &str) -> bool {
    column == "id" || column.starts_with('_')
}

struct Column {
    name: String,
    kind: String,
    key: i64,
}

fn columns(db: &Connection, table: &str) -> rusqlite::Result<Vec<Column>> {
    let mut statement = db.prepare("SELECT name, type, pk FROM pragma_table_info(?1)")?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Column { name: row.get(0)?, kind: row.get(1)?, key: row.get(2)? })
    };
    statement.query_map([table], read)?.collect()
}

/// Damages a column of a row, or of all rows, or deletes a row, of any table.
fn any_damage(db: &Connection, rng: &mut Rng) -> rusqlite::Result<Option<String>> {
    let mut tables = db.prepare(
        r"SELECT name FROM sqlite_master WHERE type = 'table'
          AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name",
    )?;
    let all: Vec<String> =
        tables.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut places = Vec::new();
    for table in all {
        // The receipts of forgotten edits are kept once.
        let which = match table.as_str() {
            "campo_outbox" => " WHERE seq IN (SELECT seq FROM campo_outbox_copy)",
            // What is left of a decided edit in the view, under the names that records have by now, is as well.
            "campo_mutation" => {
                " WHERE seq IN (SELECT seq FROM campo_outbox WHERE receipt IS NULL)"
            }
            // So is which picture it is that waits for an export, when its record has left.
            "campo_photo" => " WHERE adrift = 0",
            _ => "",
        };
        let rows = count(db, &format!("\"{table}\"{which}"))?;
        if rows > 0 {
            places.push((table, which, rows));
        }
    }
    let Some((table, which, rows)) = rng.pick(&places).cloned() else { return Ok(None) };
    let columns = columns(db, &table)?;
    let keys: Vec<String> =
        columns.iter().filter(|c| c.key > 0).map(|c| format!("\"{}\"", c.name)).collect();
    let keys = keys.join(", ");
    let one = format!(
        " WHERE ({keys}) = (SELECT {keys} FROM \"{table}\"{which} ORDER BY {keys} LIMIT 1 OFFSET {})",
        rng.below(rows)
    );
    let which = if rng.percent(20) { which.to_owned() } else { one };
    if rng.percent(25) {
        return did(db, format!("DELETE FROM \"{table}\"{which}"));
    }
    let Some(column) = rng.pick(&columns) else { return Ok(None) };
    // An INTEGER PRIMARY KEY is SQLite's own rowid, which it does not let be anything else.
    let garbage = if column.key == 1 && column.kind == "INTEGER" {
        format!("9000000 + \"{}\"", column.name)
    } else {
        format!("'§' || \"{}\"", column.name)
    };
    did(db, format!("UPDATE OR IGNORE \"{table}\" SET \"{}\" = {garbage}{which}", column.name))
}

/// Does it. Answers what was done, if that changed anything.
fn did(db: &Connection, sql: String) -> rusqlite::Result<Option<String>> {
    let changed = db.execute(&sql, [])?;
    Ok((changed > 0).then_some(sql))
}
