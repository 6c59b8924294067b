//! What a push has to write even if it checked and merged nothing, by plain statements without triggers: the rows
//! locked and read with what is known of their fields, the rows themselves, an entry of each, a receipt of each.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::Result;
use crate::world;

/// Tables like the server's, which nothing watches.
pub async fn prepare(sql: &mut PgConnection) -> Result {
    for statement in [
        "CREATE TABLE medicion.minimo (LIKE medicion.mediciones INCLUDING ALL)",
        "INSERT INTO medicion.minimo SELECT * FROM medicion.mediciones",
        // What `LIKE` does not copy is how much of a page is left free.
        "CREATE TABLE medicion.entradas (LIKE sync.rows INCLUDING ALL) WITH (fillfactor = 80)",
        "INSERT INTO medicion.entradas SELECT * FROM sync.rows WHERE collection = 'mediciones'",
        "CREATE TABLE medicion.recibos (LIKE sync.receipts INCLUDING ALL) WITH (fillfactor = 85)",
        "VACUUM ANALYZE medicion.minimo, medicion.entradas, medicion.recibos",
    ] {
        world::run(sql, statement.to_owned()).await?;
    }
    Ok(())
}

/// Writes it for the rows of `pg_temp.cambios` in `medicion.minimo`, in one transaction, with its commit. The
/// receipts are of the length that a real one of three fields has.
pub async fn write(sql: &mut PgConnection, tenant: Uuid) -> Result<Duration> {
    world::run(
        sql,
        format!(
            "DROP TABLE IF EXISTS pg_temp.recibos_nuevos; CREATE TEMP TABLE recibos_nuevos AS \
             SELECT '{tenant}'::uuid AS tenant_id, '{tenant}'::uuid AS stream, \
             lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') \
                 || substr(replace(gen_random_uuid()::text, '-', ''), 13) AS id, \
             (SELECT max(body) FROM sync.receipts) AS body FROM cambios; ANALYZE recibos_nuevos"
        ),
    )
    .await?;
    let statements = [
        format!(
            "SELECT count(l.notas), count(e.fields) FROM ( \
               SELECT b.id, b.notas FROM medicion.minimo b JOIN cambios c ON c.id = b.id \
               WHERE b.tenant_id = '{tenant}' ORDER BY b.id FOR NO KEY UPDATE OF b) l \
             JOIN medicion.entradas e ON e.tenant_id = '{tenant}' \
               AND e.collection = 'mediciones' AND e.record_id = l.id"
        ),
        format!(
            "UPDATE medicion.minimo b SET avance_pct = c.avance_pct, cantidad = c.cantidad, \
             notas = c.notas FROM cambios c WHERE b.tenant_id = '{tenant}' AND b.id = c.id"
        ),
        format!(
            "UPDATE medicion.entradas e SET version = e.version + 1, stamp = pg_current_xact_id(), \
             fields = e.fields || '{{\"avance_pct\": {{\"v\": 2}}, \"cantidad\": {{\"v\": 2}}, \
             \"notas\": {{\"v\": 2}}}}' FROM cambios c \
             WHERE e.tenant_id = '{tenant}' AND e.collection = 'mediciones' AND e.record_id = c.id"
        ),
        "INSERT INTO medicion.recibos (tenant_id, id, stream, settled_at_us, stamp, body) \
         SELECT tenant_id, id::uuid, stream, 0, pg_current_xact_id(), body FROM recibos_nuevos"
            .to_owned(),
    ];
    let since = Instant::now();
    world::run(sql, format!("BEGIN; {}; COMMIT", statements.join("; "))).await?;
    Ok(since.elapsed())
}
