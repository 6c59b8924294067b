//! The repair: what differs from the server's digests is narrowed down to rows, which are asked for.

use std::collections::BTreeSet;

use sync_protocol::digest::Buckets;
use sync_protocol::wire::compare::{CompareAnswer, CompareRequest};
use sync_protocol::{RecordId, Scope};

use super::{damage, held};
use crate::CoreError;
use crate::sync::{Engine, authorised};
use crate::transport::TransportError;

/// With more rows than this to be asked for, everything is brought anew: it costs less.
pub(crate) const REFETCH_MAX: usize = 10_000;
/// Most answers to one comparison.
const ANSWERS_MAX: usize = 1_000;

/// What a round knows of what is to be repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ToRepair {
    /// Rows that are still to be asked for.
    pub rows: i64,
    /// Whether sets of rows were not what the server counts, at the last checkpoint that told it.
    pub suspects: bool,
}

/// What there is to be repaired.
///
/// # Errors
/// Those of SQLite.
pub(crate) fn to_repair(engine: &Engine) -> Result<ToRepair, CoreError> {
    engine.store().read(|db| {
        let sql =
            "SELECT (SELECT count(*) FROM campo_refetch), EXISTS (SELECT 1 FROM campo_suspect)";
        let read =
            |row: &rusqlite::Row<'_>| Ok(ToRepair { rows: row.get(0)?, suspects: row.get(1)? });
        Ok(db.prepare_cached(sql)?.query_row([], read)?)
    })
}

/// Asks the server which rows of the suspect sets differ, and notes them to be asked for. Answers how many.
///
/// # Errors
/// Those of the server and the way to it, and of the database.
pub(crate) async fn look(engine: &Engine) -> Result<usize, CoreError> {
    let suspects = engine.store().read(|db| {
        let mut statement = db.prepare("SELECT scope, collection FROM campo_suspect")?;
        let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(found.collect::<Result<Vec<(String, String)>, _>>()?)
    })?;
    let mut differing = 0;
    for (scope, collection) in suspects {
        let Ok(scope) = scope.parse::<Scope>() else { continue };
        differing += one(engine, &scope, &collection).await?;
        if differing > REFETCH_MAX {
            break;
        }
    }
    Ok(differing)
}

/// Answers how many rows differ.
async fn one(engine: &Engine, scope: &Scope, collection: &str) -> Result<usize, CoreError> {
    let here = engine.store().read(|db| {
        let schema = engine.store().schema_in(db)?;
        let Some(known) = schema.collection(collection) else { return Ok(None) };
        Ok(Some(held::rows(db, known, scope)?))
    })?;
    let Some(here) = here else { return Ok(0) };
    let mut buckets = Buckets::default();
    here.iter().for_each(|(record, version)| buckets.add(*record, *version));
    let mut request = CompareRequest {
        scope: scope.clone(),
        collection: collection.to_owned(),
        buckets: Some(buckets.digests().to_vec()),
        content: false,
        after: None,
    };
    let mut differing: BTreeSet<RecordId> = BTreeSet::new();
    let mut in_question: Option<BTreeSet<RecordId>> = None;
    for _ in 0..ANSWERS_MAX {
        let answer = match ask(engine, &request).await {
            Ok(answer) => answer,
            Err(CoreError::Transport(TransportError::Problem(problem)))
                if problem.status == 404 =>
            {
                // The server knows nothing of this scope: what is here of it is to be seen anew.
                differing.extend(here.keys());
                break;
            }
            Err(error) => return Err(error),
        };
        let left = in_question.get_or_insert_with(|| {
            let asked = |id: &&RecordId| answer.buckets.contains(&Buckets::of(**id));
            here.keys().filter(asked).copied().collect()
        });
        for row in &answer.rows {
            left.remove(&row.id);
            if here.get(&row.id) != Some(&row.version) {
                differing.insert(row.id);
            }
        }
        if answer.next.is_none() {
            differing.extend(left.iter());
            break;
        }
        if differing.len() > REFETCH_MAX || answer.next <= request.after {
            break;
        }
        request.after = answer.next;
    }
    let count = differing.len();
    engine.store().write(|db| {
        for record in differing.iter().take(REFETCH_MAX) {
            damage::refetch(db, collection, *record)?;
        }
        Ok(())
    })?;
    Ok(count)
}

/// One comparison.
pub(super) async fn ask(
    engine: &Engine,
    request: &CompareRequest,
) -> Result<CompareAnswer, CoreError> {
    Ok(authorised!(engine, |token| engine.transport().compare(token, request))?)
}
