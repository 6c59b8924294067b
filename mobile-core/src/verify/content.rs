//! Compares content with the server's, row by row: on a person's request, because it reads everything.

use rusqlite::Connection;
use sync_protocol::digest::Digest;
use sync_protocol::schema::Collection;
use sync_protocol::wire::compare::CompareRequest;
use sync_protocol::{RecordId, RowVersion, Scope};

use super::damage::{self, Kind};
use super::{held, repair};
use crate::CoreError;
use crate::store::rows;
use crate::sync::Engine;
use crate::transport::TransportError;

/// Compares all rows of all scopes held. What differs at the same version is damaged, noted, and to be asked
/// for; what has another version by now is not. Answers how many rows were compared, and how many differ.
///
/// # Errors
/// Those of the server and the way to it, and of the database.
pub(crate) async fn compare(engine: &Engine) -> Result<(u64, u64), CoreError> {
    let keys = engine.store().read(|db| {
        let schema = engine.store().schema_in(db)?;
        Ok(held::all(db, &schema)?.into_keys().collect::<Vec<_>>())
    })?;
    let (mut compared, mut differing) = (0, 0);
    for (scope, collection) in keys {
        let (rows, damaged) = one(engine, &scope, &collection).await?;
        compared += rows;
        differing += damaged;
    }
    Ok((compared, differing))
}

async fn one(engine: &Engine, scope: &Scope, collection: &str) -> Result<(u64, u64), CoreError> {
    let mut request = CompareRequest {
        scope: scope.clone(),
        collection: collection.to_owned(),
        buckets: None,
        content: true,
        after: None,
    };
    let (mut compared, mut differing) = (0, 0);
    loop {
        let answer = match repair::ask(engine, &request).await {
            // The scope was lost meanwhile.
            Err(CoreError::Transport(TransportError::Problem(problem)))
                if problem.status == 404 =>
            {
                return Ok((compared, differing));
            }
            answer => answer?,
        };
        differing += engine.store().write(|db| {
            let schema = engine.store().schema_in(db)?;
            let Some(known) = schema.collection(collection) else { return Ok(0) };
            let mut damaged = 0;
            for row in &answer.rows {
                let own = digest_of(db, known, row.id, row.version)?;
                if own.is_some() && own != row.content.map(Some) {
                    damaged += 1;
                    let place = damage::row_place(collection, &row.id.to_string());
                    damage::found(db, Kind::Content, &place, "the content is not the server's")?;
                    damage::refetch(db, collection, row.id)?;
                }
            }
            Ok(damaged)
        })?;
        compared += u64::try_from(answer.rows.len()).unwrap_or(0);
        if answer.next <= request.after {
            return Ok((compared, differing));
        }
        request.after = answer.next;
    }
}

/// The digest of the server's state of a row, if it is here in this version; no digest if its content cannot
/// be read.
fn digest_of(
    db: &Connection,
    collection: &Collection,
    record: RecordId,
    version: RowVersion,
) -> Result<Option<Option<Digest>>, CoreError> {
    match rows::server_state(db, collection, record) {
        Ok(Some(row)) if row.version == version => {
            Ok(Some(Some(Digest::of_content(collection, &row.fields))))
        }
        Ok(_) => Ok(None),
        Err(CoreError::Stored(_)) => Ok(Some(None)),
        Err(error) => Err(error),
    }
}
