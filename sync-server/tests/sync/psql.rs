//! The same database as the tests' companies have, in psql.

use sqlx::{Connection as _, PgConnection};

use crate::company::shipped_schema;

/// Somebody in psql, with an open transaction.
pub async fn psql(statements: &[String]) -> PgConnection {
    let url = crate::fresh::postgres_url(&shipped_schema()).await;
    let mut psql =
        PgConnection::connect(&url.replace("campo_server", "postgres")).await.expect("connected");
    for sql in ["BEGIN".to_owned()].iter().chain(statements) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone())).execute(&mut psql).await.expect("psql");
    }
    psql
}
