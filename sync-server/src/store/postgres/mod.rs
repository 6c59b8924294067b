//! The store on PostgreSQL.
//!
//! | file | what |
//! |---|---|
//! | `migrate` | bookkeeping from numbered files, tables from the schema |
//! | `ddl`, `capture`, `quote` | the generated statements: tables, triggers, quoted names |
//! | `verify`, `rules` | whether a database fits the schema, and whether the server's role is harmless |
//! | `witness` | what cursors name |
//! | `begin` | how a transaction begins |
//! | `write`, `write_rows`, `records` | transactions that write |
//! | `read`, `page`, `filling`, `copy` | snapshots, and pages from them |
//! | `tidy` | housekeeping |
//! | `moves` | what moved, for the event streams |
//! | `accounts` | tenants, people, devices, tokens |
//! | `decode`, `error` | values from the binary format, errors by SQLSTATE |
//!
//! Every statement runs in a transaction whose settings are local to it, and none is prepared by
//! name, so PgBouncer in transaction mode may hand the session on at each commit.

mod accounts;
mod begin;
mod capture;
mod copy;
mod ddl;
mod decode;
mod digests;
mod error;
mod filling;
mod migrate;
mod moves;
mod page;
mod photos;
mod pictures;
mod quote;
mod read;
mod records;
mod referring;
mod rules;
mod tidy;
mod verify;
mod witness;
mod write;
mod write_rows;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool, Postgres, Transaction};
use sync_protocol::schema::Schema;
use sync_protocol::{StreamId, TenantId};

pub use migrate::migrate;
pub use verify::verify;

use super::{ReadTx, Retention, Store, StoreError, Tidied, WriteTx};
use crate::clock::{Clock as _, SystemClock};
use begin::Purpose;
use copy::CutCopies;
use error::store_error;
use witness::Witnesses;

/// How sessions of a server are named.
const APPLICATION: &str = "campo";
/// Most connections of one server.
const CONNECTIONS_MAX: u32 = 20;
/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// A database with the tables of one schema.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pool: PgPool,
    schema: Arc<Schema>,
    witnesses: Arc<Witnesses>,
    cut: CutCopies,
    tidied: Arc<tidy::Place>,
}

impl PostgresStore {
    /// Connects as the server's role and checks that tables and role are as they must be.
    ///
    /// # Errors
    /// [`StoreError::Setup`] says what differs and what to do; [`StoreError::Busy`] when there is
    /// no connection.
    pub async fn connect(url: &str, schema: Arc<Schema>) -> Result<Self, StoreError> {
        let options: PgConnectOptions = url
            .parse()
            .map_err(|e| StoreError::Setup(format!("the database URL is wrong: {e}")))?;
        let cut = CutCopies::default();
        let kept = cut.clone();
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_release(move |connection, _| {
                let kept = kept.clone();
                Box::pin(async move { Ok(kept.is_intact(connection).await) })
            })
            .connect_with(options.statement_cache_capacity(0).application_name(APPLICATION))
            .await
            .map_err(store_error)?;
        let store = Self { pool, schema, witnesses: Arc::default(), cut, tidied: Arc::default() };
        verify::refuse_powerful_role(&store.pool).await?;
        let differences = verify::differences(&store.pool, &store.schema).await?;
        if !differences.is_empty() {
            return Err(StoreError::Setup(differences.join("\n")));
        }
        store.witnesses.leave(&store.pool).await?;
        Ok(store)
    }

    /// Ends all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// A transaction that reads and writes rows of one tenant.
    async fn begin(
        &self,
        tenant: TenantId,
        writer: StreamId,
    ) -> Result<Transaction<'static, Postgres>, StoreError> {
        let mut tx = begin::begin(&self.pool, Purpose::Write).await?;
        query(
            "SELECT set_config('app.current_tenant_id', $1, true), \
             set_config('campo.stream', $2, true), set_config('lock_timeout', '10s', true), \
             set_config('statement_timeout', '60s', true), \
             set_config('idle_in_transaction_session_timeout', '60s', true)",
        )
        .bind(tenant.to_string())
        .bind(stream_setting(writer))
        .execute(&mut *tx)
        .await
        .map_err(store_error)?;
        Ok(tx)
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    async fn write(
        &self,
        tenant: TenantId,
        writer: StreamId,
    ) -> Result<Box<dyn WriteTx>, StoreError> {
        let tx = self.begin(tenant, writer).await?;
        Ok(Box::new(write::PgWrite { tx, tenant, received_us: SystemClock.now_us() }))
    }

    async fn read(&self, tenant: TenantId) -> Result<Box<dyn ReadTx>, StoreError> {
        self.witnesses.leave_if_old(&self.pool).await?;
        Ok(Box::new(read::begin(&self.pool, self.cut.clone(), tenant).await?))
    }

    async fn tidy(&self, retention: Retention) -> Result<Tidied, StoreError> {
        tidy::tidy(&self.pool, &self.tidied, retention).await
    }
}

/// How `campo.stream` tells the capture triggers who writes.
fn stream_setting(writer: StreamId) -> String {
    if writer == StreamId::SQL { String::new() } else { writer.to_string() }
}

/// A statement that is written out here, or generated by this store's own modules. Not prepared by
/// name, see the module's documentation.
fn query(sql: impl Into<String>) -> sqlx::query::Query<'static, Postgres, PgArguments> {
    sqlx::query(AssertSqlSafe(sql.into())).persistent(false)
}
