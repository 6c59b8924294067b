//! Deltas and backfills: which rows, in which scopes, in key order, page by page.

use sync_protocol::schema::{FieldType, Schema};
use sync_protocol::{Fields, RecordId, Scope, Value};
use sync_server::store::{
    BackfillQuery, DeltaQuery, PageRows, Position, ReadTx, RowKey, WriteKind,
};

use crate::bench::{Bench, fields, parte, project, record, text, uuid, write};

/// One line of a page: a row with its scopes and content, or an exit.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub collection: String,
    pub id: RecordId,
    /// None: an exit.
    pub row: Option<(i64, Vec<Scope>, Fields)>,
}

/// The lines of a page in key order. Checks the form of the page on the way.
pub fn lines(page: &PageRows, schema: &Schema) -> Vec<Line> {
    let mut lines = Vec::new();
    for table in &page.tables {
        let collection = schema.collection(&table.collection).expect("a known collection");
        assert_eq!(table.ids.len(), table.versions.len());
        assert_eq!(table.ids.len(), table.scope_sets.len());
        let kinds: Vec<&FieldType> = table
            .fields
            .iter()
            .map(|name| &collection.field(name).expect("a known field").kind)
            .collect();
        let columns: Vec<Vec<Value>> = table
            .columns
            .iter()
            .zip(&kinds)
            .map(|(column, kind)| column.values(kind).expect("values of the field's type"))
            .collect();
        for column in &columns {
            assert_eq!(column.len(), table.ids.len());
        }
        let mut of_table: Vec<Line> = table
            .exits
            .iter()
            .map(|id| Line { collection: collection.name.clone(), id: *id, row: None })
            .collect();
        for (i, id) in table.ids.iter().enumerate() {
            let scopes = page.scope_sets[table.scope_sets[i] as usize].clone();
            assert!(scopes.is_sorted() && !scopes.is_empty());
            let content =
                table.fields.iter().zip(&columns).map(|(f, c)| (f.clone(), c[i].clone())).collect();
            of_table.push(Line {
                collection: collection.name.clone(),
                id: *id,
                row: Some((table.versions[i], scopes, content)),
            });
        }
        of_table.sort_by_key(|line| line.id);
        lines.extend(of_table);
    }
    assert_eq!(lines.len(), page.count);
    lines
}

/// All pages of a delta.
pub async fn delta(
    b: &Bench,
    tx: &mut dyn ReadTx,
    since: &Position,
    scopes: &[Scope],
    partial: Option<(&[Scope], &RowKey)>,
    limit: usize,
) -> Vec<Line> {
    let visible = b.store.schema();
    let mut all = Vec::new();
    let mut after: Option<RowKey> = None;
    loop {
        let query = DeltaQuery { since, scopes, partial, visible, after: after.as_ref(), limit };
        let page = tx.delta(query).await.expect("a page");
        all.extend(checked(b, &page, limit));
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

/// All pages of a backfill.
pub async fn backfill(
    b: &Bench,
    tx: &mut dyn ReadTx,
    scopes: &[Scope],
    held: &[Scope],
    limit: usize,
) -> Vec<Line> {
    let visible = b.store.schema();
    let mut all = Vec::new();
    let mut after: Option<RowKey> = None;
    loop {
        let query = BackfillQuery { scopes, held, visible, after: after.as_ref(), limit };
        let page = tx.backfill(query).await.expect("a page");
        all.extend(checked(b, &page, limit));
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

fn checked(b: &Bench, page: &PageRows, limit: usize) -> Vec<Line> {
    assert!(page.count <= limit, "{} rows in a page of {limit}", page.count);
    let lines = lines(page, b.store.schema());
    if let Some(next) = &page.next {
        let last = lines.last().expect("a page that goes on has rows");
        assert_eq!((&next.collection, next.record), (&last.collection, last.id));
    }
    lines
}

fn names(lines: &[Line]) -> Vec<(&str, RecordId, Option<Vec<Scope>>)> {
    lines
        .iter()
        .map(|line| (line.collection.as_str(), line.id, line.row.as_ref().map(|row| row.1.clone())))
        .collect()
}

pub async fn a_delta_brings_only_what_changed_in_the_scopes_asked(b: Bench) {
    let (here, there) = (b.obra().await, b.obra().await);
    let (old, new, elsewhere) = (record(), record(), record());
    b.insert("partes", old, parte(here, "A1")).await;
    let since = b.now().await;
    b.insert("partes", new, parte(here, "A2")).await;
    b.insert("partes", elsewhere, parte(there, "A3")).await;
    let mut tx = b.read().await;
    let got = delta(&b, tx.as_mut(), &since, &[project(here)], None, 100).await;
    assert_eq!(names(&got), [("partes", new, Some(vec![project(here)]))]);
    let content = &got[0].row.as_ref().expect("a row").2;
    assert_eq!(content["folio"], text("A2"));
    assert_eq!(content["gente"], Value::Set(["ana".to_owned()].into()));
    assert!(delta(&b, tx.as_mut(), &since, &[], None, 100).await.is_empty());
    drop(tx);
    let now = b.now().await;
    let mut tx = b.read().await;
    assert!(delta(&b, tx.as_mut(), &now, &[project(here)], None, 100).await.is_empty());
}

pub async fn a_row_that_left_all_scopes_or_was_deleted_is_an_exit(b: Bench) {
    let (one, two, three) = (b.obra().await, b.obra().await, b.obra().await);
    let (moved, gone) = (record(), record());
    b.insert("partes", moved, parte(one, "A1")).await;
    b.insert("partes", gone, parte(one, "A2")).await;
    let since = b.now().await;
    // A chain of moves: the holders of the first and of the second project lose the row.
    for obra in [two, three] {
        b.update("partes", moved, fields([("obra_id", Value::Uuid(obra.0))])).await;
    }
    b.delete("partes", gone).await;
    let mut tx = b.read().await;
    let first = delta(&b, tx.as_mut(), &since, &[project(one)], None, 100).await;
    let mut expected = [("partes", moved, None), ("partes", gone, None)];
    expected.sort_by_key(|line| line.1);
    assert_eq!(names(&first), expected);
    let second = delta(&b, tx.as_mut(), &since, &[project(two)], None, 100).await;
    assert_eq!(names(&second), [("partes", moved, None)]);
    let both = [project(one), project(three)];
    let third = delta(&b, tx.as_mut(), &since, &both, None, 100).await;
    assert!(names(&third).contains(&("partes", moved, Some(vec![project(three)]))));
}

pub async fn a_row_in_several_scopes_comes_once_with_those_held(b: Bench) {
    let obra = b.obra().await;
    let author = Scope::entity("user", uuid());
    let Ok(id) = author.as_str()[5..].parse() else { panic!("a user's scope") };
    let row = record();
    let since = b.now().await;
    let mut set = parte(obra, "A1");
    set.insert("autor_id".to_owned(), Value::Uuid(id));
    b.insert("partes", row, set).await;
    let mut both = vec![author.clone(), project(obra)];
    both.sort();
    let mut tx = b.read().await;
    let got = delta(&b, tx.as_mut(), &since, &both, None, 100).await;
    assert_eq!(names(&got), [("partes", row, Some(both.clone()))]);
    let got = delta(&b, tx.as_mut(), &since, std::slice::from_ref(&author), None, 100).await;
    assert_eq!(names(&got), [("partes", row, Some(vec![author.clone()]))]);
    let got = backfill(&b, tx.as_mut(), std::slice::from_ref(&author), &[project(obra)], 100).await;
    assert_eq!(names(&got), [("partes", row, Some(both))]);
    drop(tx);

    // It leaves one of the two.
    let since = b.now().await;
    b.update("partes", row, fields([("autor_id", Value::Null)])).await;
    let mut tx = b.read().await;
    let got = delta(&b, tx.as_mut(), &since, &[author], None, 100).await;
    assert_eq!(names(&got), [("partes", row, None)]);
}

pub async fn a_moved_parent_takes_its_children_along(b: Bench) {
    let (here, there) = (b.obra().await, b.obra().await);
    let (parte_id, concepto, medicion) = (record(), record(), record());
    b.insert("partes", parte_id, parte(here, "A1")).await;
    b.insert("conceptos", concepto, fields([("parte_id", Value::Uuid(parte_id.0))])).await;
    b.insert("mediciones", medicion, fields([("concepto_id", Value::Uuid(concepto.0))])).await;
    let since = b.now().await;
    b.update("partes", parte_id, fields([("obra_id", Value::Uuid(there.0))])).await;
    let mut tx = b.read().await;
    let here = [project(here)];
    let left = delta(&b, tx.as_mut(), &since, &here, None, 100).await;
    let all = [("partes", parte_id), ("conceptos", concepto), ("mediciones", medicion)];
    assert_eq!(names(&left), all.map(|(collection, id)| (collection, id, None)));
    let there = [project(there)];
    let came = delta(&b, tx.as_mut(), &since, &there, None, 100).await;
    let came_all = all.map(|(collection, id)| (collection, id, Some(there.to_vec())));
    assert_eq!(names(&came), came_all);
}

pub async fn small_pages_bring_each_row_once_in_key_order(b: Bench) {
    let (here, there) = (b.obra().await, b.obra().await);
    let since = b.now().await;
    let mut expected = Vec::new();
    for (i, obra) in [here, there].into_iter().cycle().take(20).enumerate() {
        let id = record();
        b.insert("partes", id, parte(obra, &format!("A{i}"))).await;
        expected.push(("partes", id));
    }
    for (_, parte_id) in expected.clone().into_iter().take(7) {
        let id = record();
        b.insert("conceptos", id, fields([("parte_id", Value::Uuid(parte_id.0))])).await;
        expected.push(("conceptos", id));
    }
    b.delete("partes", expected[19].1).await;
    let scopes = [project(here), project(there)];
    let mut tx = b.read().await;
    for limit in [1, 2, 3, 7, 20, 27, 100] {
        let got = delta(&b, tx.as_mut(), &since, &scopes, None, limit).await;
        let order: Vec<_> = got.iter().map(|line| (line.collection.as_str(), line.id)).collect();
        assert_eq!(order, expected, "a delta in pages of {limit}");
        let got = backfill(&b, tx.as_mut(), &scopes, &[], limit).await;
        let order: Vec<_> = got.iter().map(|line| (line.collection.as_str(), line.id)).collect();
        let mut live = vec![("obras", here), ("obras", there)];
        live.extend(expected.iter().copied().filter(|line| *line != expected[19]));
        assert_eq!(order, live, "a backfill in pages of {limit}");
    }
}

pub async fn what_remains_of_a_backfill_shrinks_to_nothing(b: Bench) {
    let obra = b.obra().await;
    for i in 0..5 {
        b.insert("partes", record(), parte(obra, &format!("A{i}"))).await;
    }
    let scopes = [project(obra)];
    let schema = b.store.schema().clone();
    let mut tx = b.read().await;
    let query =
        |after| BackfillQuery { scopes: &scopes, held: &[], visible: &schema, after, limit: 3 };
    let first = tx.backfill_remaining(query(None)).await.expect("a number");
    assert!(first >= 6, "{first} of the project and its 5 reports");
    let all = backfill(&b, tx.as_mut(), &scopes, &[], 3).await;
    let last = all.last().expect("a row");
    let last = RowKey { collection: last.collection.clone(), record: last.id };
    assert_eq!(tx.backfill_remaining(query(Some(&last))).await.expect("a number"), 0);
}

pub async fn a_partial_scope_counts_up_to_its_key(b: Bench) {
    let (whole, partial) = (b.obra().await, b.obra().await);
    let ids: Vec<RecordId> = (0..6).map(|_| record()).collect();
    for (i, id) in ids.iter().enumerate() {
        let obra = if i % 2 == 0 { partial } else { whole };
        b.insert("partes", *id, parte(obra, &format!("A{i}"))).await;
    }
    let concepto = record();
    b.insert("conceptos", concepto, fields([("parte_id", Value::Uuid(ids[0].0))])).await;
    let since = b.now().await;
    for id in &ids {
        b.update("partes", *id, fields([("entero", Value::Integer(1))])).await;
    }
    b.update("conceptos", concepto, fields([("texto", text("x"))])).await;
    // Moves within reach: from the partial scope to the whole one, and back beyond reach.
    b.update("partes", ids[4], fields([("obra_id", Value::Uuid(whole.0))])).await;
    b.update("partes", ids[5], fields([("obra_id", Value::Uuid(partial.0))])).await;
    let (w, p) = ([project(whole)], [project(partial)]);
    let key = RowKey { collection: "partes".to_owned(), record: ids[2] };
    let mut tx = b.read().await;
    for limit in [1, 100] {
        let got = delta(&b, tx.as_mut(), &since, &w, Some((&p, &key)), limit).await;
        let expected = [
            ("partes", ids[0], Some(p.to_vec())),
            ("partes", ids[1], Some(w.to_vec())),
            ("partes", ids[2], Some(p.to_vec())),
            ("partes", ids[3], Some(w.to_vec())),
            ("partes", ids[4], Some(w.to_vec())),
            // Left the whole scope for the part of the partial one that is still to come.
            ("partes", ids[5], None),
        ];
        assert_eq!(names(&got), expected, "pages of {limit}");
    }
    let end = RowKey { collection: "mediciones".to_owned(), record: record() };
    let got = delta(&b, tx.as_mut(), &since, &w, Some((&p, &end)), 100).await;
    assert_eq!(got.len(), 7, "a later collection's key reaches over all before it");
}

pub async fn hidden_fields_and_collections_stay_hidden(b: Bench) {
    let obra = b.obra().await;
    let id = record();
    let mut set = parte(obra, "A1");
    set.insert("secreto".to_owned(), text("nadie"));
    b.insert("partes", id, set).await;
    let mut visible = b.store.schema().visible_to(|permission| permission != "secret:read");
    visible.collections.remove("obras");
    // Even the column that names the scope.
    if let Some(partes) = visible.collections.get_mut("partes") {
        partes.fields.retain(|field| field.name != "obra_id");
    }
    let scopes = [project(obra)];
    let mut tx = b.read().await;
    let query =
        BackfillQuery { scopes: &scopes, held: &[], visible: &visible, after: None, limit: 10 };
    let page = tx.backfill(query).await.expect("a page");
    assert_eq!(page.count, 1);
    assert_eq!(page.tables[0].collection, "partes");
    let fields: Vec<&str> =
        visible.collections["partes"].fields.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(page.tables[0].fields, fields);
    assert!(!fields.contains(&"secreto"));
}

pub async fn positions_of_this_history_are_known_and_no_others(b: Bench) {
    let first = b.now().await;
    let obra = b.obra().await;
    let second = b.now().await;
    assert_ne!(first, second);
    let other = Bench::new(b.store.clone(), b.witness_age).await;
    b.delete("obras", obra).await;
    let mut tx = b.read().await;
    assert!(tx.knows(&first).await.expect("history"));
    assert!(tx.knows(&second).await.expect("history"));
    drop(tx);
    let tx = b.begin().await;
    tx.commit().await.expect("nothing to commit");
    if let Position::Sqlite { epoch, commit } = &second {
        assert!(!other.read().await.knows(&second).await.expect("history"), "another file's");
        for position in [
            Position::Sqlite { epoch: epoch.clone(), commit: commit + 1_000 },
            Position::Sqlite { epoch: epoch.clone(), commit: commit + 1 },
            Position::Sqlite { epoch: "x".to_owned(), commit: *commit },
            Position::Sqlite { epoch: "x:y".to_owned(), commit: *commit },
        ] {
            assert!(!b.read().await.knows(&position).await.expect("history"), "{position:?}");
        }
    }
}

pub async fn a_restored_row_comes_again(b: Bench) {
    let obra = b.obra().await;
    let id = record();
    b.insert("partes", id, parte(obra, "A1")).await;
    b.delete("partes", id).await;
    let since = b.now().await;
    let restore = write(id, WriteKind::Restore, fields([]));
    b.try_one("partes", restore).await.expect("restored");
    let mut tx = b.read().await;
    let got = delta(&b, tx.as_mut(), &since, &[project(obra)], None, 10).await;
    assert_eq!(names(&got), [("partes", id, Some(vec![project(obra)]))]);
    assert_eq!(got[0].row.as_ref().expect("a row").0, 3);
}
