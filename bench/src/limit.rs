//! The limits that first syncs are compared with: what reading and writing cost by themselves.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params_from_iter};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};

use crate::Result;
use crate::rows::COLUMNS;
use crate::world::World;

/// (a) `COPY (…) TO STDOUT (FORMAT binary)` of the rows with their versions, thrown away. In no
/// order, and by a superuser whom no policy slows down.
pub async fn copy(sql: &mut PgConnection, tenant: uuid::Uuid) -> Result<(Duration, usize)> {
    let columns: String = COLUMNS.iter().map(|column| format!(", b.{column}")).collect();
    let statement = format!(
        "COPY (SELECT b.id, r.version{columns} FROM medicion.mediciones b \
         JOIN sync.rows r ON r.tenant_id = b.tenant_id AND r.collection = 'mediciones' \
         AND r.record_id = b.id WHERE b.tenant_id = '{tenant}') TO STDOUT (FORMAT binary)"
    );
    let since = Instant::now();
    let mut bytes = 0;
    let mut copied = sql.copy_out_raw(&statement).await?;
    while let Some(piece) = copied.next().await {
        bytes += piece?.len();
    }
    drop(copied);
    Ok((since.elapsed(), bytes))
}

/// The rows as SQLite takes them, in key order: what (b) inserts.
pub async fn rows(world: &World) -> Result<Vec<Vec<Sql>>> {
    let statement = format!(
        "SELECT id::text, obra_id::text, fecha::text, \
         (extract(epoch FROM tomada) * 1000000)::bigint, trabajador, concepto, estado, \
         (cantidad * 1000)::bigint, (precio * 100)::bigint, avance_pct, latitud, \
         terminada::int::bigint, notas FROM medicion.mediciones WHERE tenant_id = '{}' ORDER BY id",
        world.tenant
    );
    let mut sql = world.connect().await?;
    let found = sqlx::query(AssertSqlSafe(statement)).fetch_all(&mut sql).await?;
    let mut rows = Vec::with_capacity(found.len());
    for row in &found {
        let mut values = Vec::with_capacity(16);
        for position in 0..13 {
            values.push(match position {
                3 | 7 | 8 | 9 | 11 => Sql::Integer(row.try_get(position)?),
                10 => Sql::Real(row.try_get(position)?),
                _ => Sql::Text(row.try_get(position)?),
            });
        }
        // Version, scopes, pending.
        values.extend([1, 1, 0].map(Sql::Integer));
        rows.push(values);
    }
    Ok(rows)
}

/// (b) Prepared INSERTs of them: WAL, `synchronous=FULL`, one transaction, in key order, into a
/// table with the columns of the device's and no other index than its key.
pub fn insert(rows: &[Vec<Sql>], path: &Path) -> Result<Duration> {
    let mut db = Connection::open(path)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch(
        "CREATE TABLE mediciones (id TEXT PRIMARY KEY NOT NULL, obra_id TEXT, fecha TEXT, \
         tomada INTEGER, trabajador TEXT, concepto TEXT, estado TEXT, cantidad INTEGER, \
         precio INTEGER, avance_pct INTEGER, latitud REAL, terminada INTEGER, notas TEXT, \
         _version INTEGER NOT NULL, _scopes INTEGER NOT NULL, _pending INTEGER NOT NULL) \
         WITHOUT ROWID",
    )?;
    let since = Instant::now();
    let transaction = db.transaction()?;
    {
        let places = vec!["?"; 16].join(", ");
        let mut statement =
            transaction.prepare(&format!("INSERT INTO mediciones VALUES ({places})"))?;
        for row in rows {
            statement.execute(params_from_iter(row))?;
        }
    }
    transaction.commit()?;
    Ok(since.elapsed())
}
