//! Pages over the wire.

use serde_json::json;
use sync_protocol::columnar::FrameReader;
use sync_protocol::wire::pull::COLUMNAR_MEDIA_TYPE;

use crate::World;
use crate::company::{Company, id, report};

/// Both forms bring the same rows; the stream comes in pages of the size asked for and ends with
/// the checkpoint.
pub async fn a_stream_of_pages_ends_at_the_checkpoint(world: World) {
    let company = Company::new(&world, &["supervisor"]).await;
    let phone = company.phone(&world).await;
    report(&world, &phone).await;
    report(&world, &phone).await;
    let token = Some(phone.token.as_str());
    let body = json!({ "stream": id(), "page_rows_max": 2 }).to_string().into_bytes();
    let headers = [("accept", COLUMNAR_MEDIA_TYPE), ("accept-encoding", "gzip")];
    let answer = world.post_bytes("sync/pull", token, body, &headers).await.ok();
    assert_eq!(answer.header("content-type"), COLUMNAR_MEDIA_TYPE);
    assert_eq!(answer.header("content-encoding"), "", "frames compress themselves");
    let mut reader = FrameReader::new();
    reader.feed(&answer.body);
    let mut pages = Vec::new();
    while let Some(page) = reader.next_page().expect("a page") {
        pages.push(page);
    }
    assert!(reader.is_clean_end(), "the stream ends inside a frame");
    let rows = |page: &sync_protocol::wire::pull::PullPage| {
        page.tables.iter().map(|table| table.ids.len()).sum::<usize>()
    };
    assert!(pages.iter().all(|page| rows(page) <= 2), "a page is larger than asked for");
    assert!(pages.last().is_some_and(|page| page.checkpoint), "no checkpoint at the end");
    assert_eq!(pages.iter().map(rows).sum::<usize>(), 6);

    let page = world.post("sync/pull", token, &json!({ "stream": id() })).await.ok().json();
    let tables = page["tables"].as_array().expect("tables");
    let rows: usize = tables.iter().filter_map(|t| Some(t["rows"].as_array()?.len())).sum();
    assert_eq!((rows, &page["checkpoint"]), (6, &json!(true)));
}
