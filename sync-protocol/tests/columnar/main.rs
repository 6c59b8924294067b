//! Pages in both forms: they come back as they were, and nothing else is taken for a page.

mod pages;
mod values;

use pages::{any_page, big_page, schema};
use proptest::prelude::*;
use sync_protocol::Scope;
use sync_protocol::columnar::{
    DecodeError, FRAME_BYTES_MAX, FrameReader, PAGE_BYTES_MAX, decode_frame, decode_page,
    encode_frame, encode_page, page_from_json, page_to_json,
};
use sync_protocol::wire::pull::{Column, PageTable, PullPage};

fn code(result: Result<PullPage, DecodeError>) -> &'static str {
    result.expect_err("is no page").code()
}

/// What the JSON form keeps: scope sets that rows use, in the order of their first use, and columns
/// of tables with rows.
fn as_json_keeps_it(mut page: PullPage) -> PullPage {
    let mut sets: Vec<Vec<Scope>> = Vec::new();
    for table in &mut page.tables {
        for set in &mut table.scope_sets {
            let scopes = &page.scope_sets[*set as usize];
            let known = sets.iter().position(|other| other == scopes).unwrap_or_else(|| {
                sets.push(scopes.clone());
                sets.len() - 1
            });
            *set = u32::try_from(known).expect("few sets");
        }
        if table.ids.is_empty() {
            table.fields.clear();
            table.columns.clear();
        }
    }
    page.scope_sets = sets;
    page
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_page_comes_back_from_a_frame_as_it_was(page in any_page()) {
        let frame = encode_frame(&page);
        prop_assert_eq!(decode_frame(&frame).expect("a page"), page.clone());
        prop_assert_eq!(decode_page(&encode_page(&page)).expect("a page"), page);
    }

    #[test]
    fn a_page_comes_back_from_json_as_it_was(page in any_page()) {
        let json = page_to_json(&page, &schema());
        prop_assert_eq!(page_from_json(&json, &schema()).expect("a page"), as_json_keeps_it(page));
    }

    #[test]
    fn a_cut_page_is_never_taken_for_a_whole_one(page in any_page(), part in 0.0..1.0f64) {
        let plain = encode_page(&page);
        let frame = encode_frame(&page);
        for (whole, cut) in [(plain.len(), true), (frame.len(), false)] {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let length = (whole as f64 * part) as usize;
            let result = if cut { decode_page(&plain[..length]) } else { decode_frame(&frame[..length]) };
            prop_assert!(result.is_err(), "{length} of {whole} bytes");
        }
    }

    /// Uncompressed, so that the changes reach the decoder of pages and not only zstd.
    #[test]
    fn changed_bytes_never_panic(
        page in any_page(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut plain = encode_page(&page);
        let mut frame = encode_frame(&page);
        for (index, byte) in &changes {
            let (at, in_frame) = (index.index(plain.len()), index.index(frame.len()));
            plain[at] = *byte;
            frame[in_frame] = *byte;
        }
        // Either answer is right: a changed text is still a page. Reading its columns must hold too.
        if let Ok(page) = decode_page(&plain) {
            let json = page_to_json(&page, &schema());
            let _ = page_from_json(&json, &schema());
            let _ = encode_frame(&page);
        }
        let _ = decode_frame(&frame);
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode_page(&bytes);
        let _ = decode_frame(&bytes);
        let mut reader = FrameReader::new();
        reader.feed(&bytes);
        while let Ok(Some(_)) = reader.next_page() {}
    }

    #[test]
    fn frames_come_out_however_the_stream_is_cut(
        pages in prop::collection::vec(any_page(), 1..4),
        piece_bytes in 1..200usize,
        missing in 0..20usize,
    ) {
        let mut stream: Vec<u8> = pages.iter().flat_map(encode_frame).collect();
        stream.truncate(stream.len() - missing);
        let mut reader = FrameReader::new();
        let mut read = Vec::new();
        for piece in stream.chunks(piece_bytes) {
            reader.feed(piece);
            while let Some(page) = reader.next_page().expect("frames") {
                read.push(page);
            }
        }
        let whole = if missing == 0 { pages.len() } else { pages.len() - 1 };
        prop_assert_eq!(&read[..], &pages[..whole]);
        prop_assert_eq!(reader.is_clean_end(), missing == 0);
    }
}

#[test]
fn a_stream_that_ends_in_the_middle_of_a_page_is_noticed() {
    let frame = encode_frame(&big_page(10));
    let mut reader = FrameReader::new();
    assert!(reader.is_clean_end(), "nothing is a clean end: the caller looks for a checkpoint");
    for length in 1..frame.len() {
        let mut reader = FrameReader::new();
        reader.feed(&frame[..length]);
        assert!(reader.next_frame().expect("no damage").is_none());
        assert!(!reader.is_clean_end(), "{length} bytes of {}", frame.len());
    }
    reader.feed(&frame);
    assert_eq!(reader.next_frame().expect("whole"), Some(&frame[..]));
    assert!(reader.is_clean_end());
}

#[test]
fn a_page_that_unfolds_beyond_its_announcement_is_refused_without_unfolding() {
    let bomb = zstd::bulk::compress(&vec![0u8; 32 * 1024 * 1024], 1).expect("compresses");
    let framed = |size: usize, packed: &[u8]| {
        let mut frame = u32::try_from(packed.len() + 4).unwrap().to_le_bytes().to_vec();
        frame.push(0x11);
        frame.extend(u32::try_from(size).unwrap().to_le_bytes());
        frame.extend(packed);
        frame
    };
    assert!(bomb.len() < 10_000, "{} bytes", bomb.len());
    assert_eq!(code(decode_frame(&framed(1_000, &bomb))), "page_damaged");
    assert_eq!(code(decode_frame(&framed(PAGE_BYTES_MAX + 1, &bomb))), "page_too_large");
    assert_eq!(code(decode_frame(&framed(33 * 1024 * 1024, &bomb))), "page_damaged");
}

#[test]
fn a_frame_that_is_too_long_or_of_another_version_is_refused_by_its_header() {
    let header = |length: usize, flags: u8| {
        let mut reader = FrameReader::new();
        reader.feed(&u32::try_from(length).unwrap().to_le_bytes());
        reader.feed(&[flags]);
        reader.next_frame().map(|frame| frame.is_some()).map_err(|error| error.code())
    };
    assert_eq!(header(FRAME_BYTES_MAX, 0x10), Ok(false));
    assert_eq!(header(FRAME_BYTES_MAX + 1, 0x10), Err("page_too_large"));
    assert_eq!(header(1, 0x20), Err("page_version_unknown"));
    assert_eq!(header(1, 0x14), Err("page_damaged"));
    let mut frame = encode_frame(&big_page(1));
    frame.push(0);
    assert_eq!(code(decode_frame(&frame)), "page_damaged", "something follows");
}

/// Bytes of a page up to its tables, whose number is the first of `rest`.
fn page_with_tables(rest: &[u8]) -> Vec<u8> {
    let mut bytes = encode_page(&PullPage::default());
    let tail = bytes.split_off(bytes.len() - 2);
    assert_eq!(tail, [0, 0], "an empty page ends with no tables and nothing settled");
    bytes.extend(rest);
    bytes
}

#[test]
fn counts_are_checked_before_anything_is_reserved() {
    let endless = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let with = |parts: &[&[u8]]| page_with_tables(&parts.concat());
    for (what, bytes) in [
        ("tables", with(&[&endless])),
        ("name", with(&[&[1], &endless])),
        ("ids", with(&[&[1, 1, b'x'], &endless])),
        ("columns", with(&[&[1, 1, b'x', 0, 0, 0], &endless])),
    ] {
        assert_eq!(code(decode_page(&bytes)), "page_too_large", "{what}");
    }
}

#[test]
fn a_dictionary_cannot_unfold_to_more_text_than_a_page_may_have() {
    let mut column = sync_protocol::wire::pull::TextColumn::default();
    let long = "x".repeat(1024 * 1024);
    (0..100).for_each(|_| column.push(Some(&long)));
    let table = PageTable {
        collection: "notas".into(),
        ids: (0..100u128).map(|n| uuid::Uuid::from_u128(n).into()).collect(),
        versions: vec![1; 100],
        scope_sets: vec![0; 100],
        fields: vec!["nota".into()],
        columns: vec![Column::Text(column)],
        exits: Vec::new(),
    };
    let scope_sets = vec![vec![Scope::tenant()]];
    let frame = encode_frame(&PullPage { tables: vec![table], scope_sets, ..PullPage::default() });
    assert!(frame.len() < 10_000);
    assert_eq!(code(decode_frame(&frame)), "page_too_large");
}

#[test]
fn a_real_that_is_not_finite_travels_as_null_in_both_forms() {
    let mut page = big_page(1);
    let table = &mut page.tables[0];
    let column = table.fields.iter().position(|f| f == "lluvia_mm").expect("a real");
    table.columns[column] = Column::Real(vec![Some(f64::NAN)]);
    let read = decode_frame(&encode_frame(&page)).expect("a page");
    assert_eq!(read.tables[0].columns[column], Column::Real(vec![None]));
    let json = page_to_json(&page, &schema());
    assert!(json["tables"][0]["rows"][0]["fields"]["lluvia_mm"].is_null());
}

#[test]
fn json_that_does_not_fit_says_what_is_wrong() {
    let good = page_to_json(&big_page(2), &schema());
    let bad = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut json = good.clone();
        change(&mut json);
        let error = page_from_json(&json, &schema()).expect_err("does not fit");
        (error.code(), format!("{error}"))
    };
    let row = |json: &mut serde_json::Value, name: &str, value: serde_json::Value| {
        json["tables"][0]["rows"][1]["fields"][name] = value;
    };
    assert_eq!(bad(&|j| row(j, "costales", "many".into())).0, "page_beside_schema");
    let (code, text) = bad(&|j| row(j, "desconocido", 1.into()));
    assert_eq!(code, "page_damaged");
    assert!(text.contains("desconocido"), "{text}");
    let (code, text) = bad(&|j| j["tables"][0]["collection"] = "otra".into());
    assert_eq!(code, "page_damaged");
    assert!(text.contains("otra"), "{text}");
    assert_eq!(bad(&|j| j["extra"] = 1.into()).0, "page_damaged");
    assert_eq!(bad(&|j| j["cursor"] = 1.into()).0, "page_damaged");
}

#[test]
fn values_beyond_the_declared_limits_still_reach_the_device() {
    // `costales` has `min = 0`; as a counter, or by plain SQL, it may be below.
    let mut json = page_to_json(&big_page(1), &schema());
    json["tables"][0]["rows"][0]["fields"]["costales"] = (-4).into();
    json["tables"][0]["rows"][0]["fields"]["lluvia_mm"] = 900.0.into();
    let page = page_from_json(&json, &schema()).expect("a page");
    assert_eq!(page_to_json(&page, &schema()), json);
}

#[test]
fn a_full_page_is_read_and_takes_less_room_than_its_json() {
    let page = big_page(sync_protocol::limits::PAGE_ROWS_MAX);
    let started = std::time::Instant::now();
    let frame = encode_frame(&page);
    let written = started.elapsed();
    let read = decode_frame(&frame).expect("a page");
    let took = started.elapsed() - written;
    assert_eq!(read, page);
    let json = page_to_json(&page, &schema()).to_string();
    println!(
        "5,000 rows: {} bytes as a frame, {} plain, {} as JSON; written in {written:?}, read in {took:?}",
        frame.len(),
        encode_page(&page).len(),
        json.len()
    );
    assert!(frame.len() * 5 < json.len(), "{} and {}", frame.len(), json.len());
}
