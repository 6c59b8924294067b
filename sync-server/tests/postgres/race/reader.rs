//! A reader that follows the cursor and compares its copy with the tables at each checkpoint.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sync_protocol::{RecordId, RowVersion, Scope, TenantId};
use sync_server::store::postgres::PostgresStore;
use sync_server::store::{BackfillQuery, DeltaQuery, PageRows, Position, ReadTx, RowKey, Store};

use super::{Dice, Race};

/// Pages are small, so that there are many places to cut; in a large race a little larger.
const PAGE_ROWS_MIN: usize = 20;
const PAGE_ROWS_MAX: usize = 500;
/// A copy of up to this many rows is compared with the tables at every checkpoint, a larger one
/// whenever half as many changes have come as it has rows.
const ALWAYS_COMPARED_MAX: usize = 10_000;

/// What a reader saw.
#[derive(Debug, Default)]
pub struct Rounds {
    pub checkpoints: u32,
    pub compared: u32,
    pub cuts: u32,
    pub rows: usize,
    pub exits: usize,
}

impl Rounds {
    pub fn add(&mut self, other: &Self) {
        self.checkpoints += other.checkpoints;
        self.compared += other.compared;
        self.cuts += other.cuts;
        self.rows += other.rows;
        self.exits += other.exits;
    }
}

/// Version, scopes and content of each row, by collection and id.
type Content = BTreeMap<(String, RecordId), (RowVersion, Vec<Scope>, String)>;

/// Follows until the race is over, and then once more.
pub async fn follow(
    race: Arc<Race>,
    store: PostgresStore,
    tenant: TenantId,
    number: u64,
    seed: u64,
) -> Rounds {
    let mut dice = Dice(seed | 1);
    let mut rounds = Rounds::default();
    let scopes = scopes(&race, number);
    let mut tx = store.read(tenant).await.expect("read");
    let mut since = tx.position().clone();
    let mut copy = all(tx.as_mut(), &store, &scopes).await;
    drop(tx);
    let mut compared_at = 0;
    loop {
        let last = race.over.load(Ordering::SeqCst);
        if last {
            // The newest witness must see everything that was committed.
            tokio::time::sleep(Duration::from_millis(600)).await;
        }
        let (end, cut, tx) =
            round(&store, tenant, &scopes, &since, &mut copy, &mut dice, &mut rounds).await;
        since = end;
        if !cut {
            rounds.checkpoints += 1;
            let changes = rounds.rows + rounds.exits - compared_at;
            if last || copy.len() <= ALWAYS_COMPARED_MAX || changes > copy.len() / 2 {
                compare(tx, &store, &scopes, &copy, number).await;
                rounds.compared += 1;
                compared_at = rounds.rows + rounds.exits;
            }
            if last {
                return rounds;
            }
        }
        tokio::time::sleep(Duration::from_millis(dice.roll(60))).await;
    }
}

/// One delta, cut at random. Answers the cursor, whether it was cut, and the last snapshot.
async fn round(
    store: &PostgresStore,
    tenant: TenantId,
    scopes: &[Scope],
    since: &Position,
    copy: &mut Content,
    dice: &mut Dice,
    rounds: &mut Rounds,
) -> (Position, bool, Box<dyn ReadTx>) {
    let mut tx = store.read(tenant).await.expect("read");
    assert!(tx.knows(since).await.expect("knows"), "the history lost {since:?}");
    let limit = (copy.len() / 200).clamp(PAGE_ROWS_MIN, PAGE_ROWS_MAX);
    // A round that was cut ends with the cursor of its first page.
    let end = tx.position().clone();
    let mut cut = false;
    let mut after: Option<RowKey> = None;
    loop {
        let query = DeltaQuery {
            since,
            scopes,
            partial: None,
            visible: store.schema(),
            after: after.as_ref(),
            limit,
        };
        let page = tx.delta(query).await.expect("delta");
        assert!(page.count <= limit);
        rounds.rows += page.tables.iter().map(|t| t.ids.len()).sum::<usize>();
        rounds.exits += page.tables.iter().map(|t| t.exits.len()).sum::<usize>();
        let next = page.next.clone();
        apply(copy, store, page);
        let Some(key) = next else { return (end, cut, tx) };
        after = Some(key);
        if dice.roll(8) == 0 {
            drop(tx);
            tokio::time::sleep(Duration::from_millis(dice.roll(40))).await;
            tx = store.read(tenant).await.expect("read");
            cut = true;
            rounds.cuts += 1;
        }
    }
}

fn apply(copy: &mut Content, store: &PostgresStore, page: PageRows) {
    for table in page.tables {
        let collection = store.schema().collection(&table.collection).expect("known");
        let columns: Vec<_> = collection
            .fields
            .iter()
            .zip(&table.columns)
            .map(|(field, column)| column.values(&field.kind).expect("values"))
            .collect();
        for (row, id) in table.ids.iter().enumerate() {
            let values: Vec<_> = columns.iter().map(|column| &column[row]).collect();
            let set = usize::try_from(table.scope_sets[row]).expect("small");
            let set = page.scope_sets[set].clone();
            let content = (table.versions[row], set, format!("{values:?}"));
            copy.insert((table.collection.clone(), *id), content);
        }
        for id in table.exits {
            copy.remove(&(table.collection.clone(), id));
        }
    }
}

/// Everything of the scopes, straight from the tables.
async fn all(tx: &mut dyn ReadTx, store: &PostgresStore, scopes: &[Scope]) -> Content {
    let mut content = Content::new();
    let mut after: Option<RowKey> = None;
    loop {
        let query = BackfillQuery {
            scopes,
            held: &[],
            visible: store.schema(),
            after: after.as_ref(),
            limit: 5_000,
        };
        let page = tx.backfill(query).await.expect("backfill");
        after = page.next.clone();
        apply(&mut content, store, page);
        if after.is_none() {
            return content;
        }
    }
}

async fn compare(
    mut tx: Box<dyn ReadTx>,
    store: &PostgresStore,
    scopes: &[Scope],
    copy: &Content,
    number: u64,
) {
    let truth = all(tx.as_mut(), store, scopes).await;
    if truth == *copy {
        return;
    }
    let missing = truth.keys().filter(|key| !copy.contains_key(key)).count();
    let ghosts: Vec<_> = copy.keys().filter(|key| !truth.contains_key(key)).take(3).collect();
    let stale: Vec<_> = truth
        .iter()
        .filter_map(|(key, row)| copy.get(key).filter(|has| *has != row).map(|has| (key, row, has)))
        .take(3)
        .collect();
    panic!("reader {number}: {missing} missing, ghosts {ghosts:?}, stale {stale:?}");
}

/// Everything, some sites, or a few people's.
fn scopes(race: &Race, number: u64) -> Vec<Scope> {
    let sites = race.sites.iter().map(|id| Scope::entity("site", *id));
    let people = race.people.iter().map(|id| Scope::entity("user", *id));
    match number {
        0 => sites.chain(people).chain([Scope::tenant()]).collect(),
        1 => sites.take(4).collect(),
        2 => people.take(2).collect(),
        _ => sites.skip(8).chain(people.take(1)).collect(),
    }
}
