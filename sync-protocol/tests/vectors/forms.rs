//! Pages in both forms, values and scopes.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sync_protocol::columnar::{
    decode_frame, decode_page, encode_frame, encode_page, page_from_json, page_to_json,
};
use sync_protocol::schema::{Field, FieldType, MergeRule};
use sync_protocol::wire::pull::PullPage;
use sync_protocol::{Scope, Value};

use crate::golden::{bytes_of, is_hex, is_json, is_text, read};
use crate::samples::{backfill_page, delta_page, schema};

fn in_both_forms(name: &str, page: &PullPage) {
    let json = page_to_json(page, &schema());
    let text = serde_json::to_string_pretty(&json).expect("can be written");
    is_text(&format!("{name}.json"), &format!("{text}\n"));
    let json: Json = serde_json::from_str(&read(&format!("{name}.json"))).expect("is JSON");
    assert_eq!(&page_from_json(&json, &schema()).expect("a page"), page);
    is_hex(&format!("{name}.hex"), &encode_page(page));
    assert_eq!(&decode_page(&bytes_of(&format!("{name}.hex"))).expect("a page"), page);
}

#[test]
fn pages() {
    in_both_forms("page_delta", &delta_page());
    in_both_forms("page_backfill", &backfill_page());
    in_both_forms("page_empty", &PullPage { checkpoint: true, ..PullPage::default() });
}

#[test]
fn an_uncompressed_frame() {
    let page = PullPage { checkpoint: true, ..PullPage::default() };
    is_hex("frame_plain.hex", &encode_frame(&page));
    assert_eq!(decode_frame(&bytes_of("frame_plain.hex")).expect("a page"), page);
}

/// Another release of zstd may pack otherwise, so the bytes are only read, not expected.
#[test]
fn a_compressed_frame() {
    let now = encode_frame(&backfill_page());
    assert_eq!(now[4], 0x11, "long enough to be compressed");
    if std::env::var_os("CAMPO_WRITE_VECTORS").is_some_and(|value| value == "1") {
        is_hex("frame_compressed.hex", &now);
    }
    let kept = bytes_of("frame_compressed.hex");
    assert_eq!(kept[4], 0x11);
    assert_eq!(decode_frame(&kept).expect("a page"), backfill_page());
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct ValueVector {
    r#type: FieldType,
    /// What is accepted.
    given: Vec<Json>,
    /// What all of them are written as.
    canonical: Json,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct RefusedVector {
    r#type: FieldType,
    given: Json,
    code: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct ValueVectors {
    accepted: Vec<ValueVector>,
    refused: Vec<RefusedVector>,
}

fn field(kind: FieldType) -> Field {
    Field {
        name: "campo".into(),
        kind,
        required: false,
        default: None,
        merge: MergeRule::Lww,
        references: None,
        max_length: None,
        min: None,
        max: None,
        from_parent: false,
        read: None,
        write: None,
    }
}

#[test]
fn values() {
    let accepted = |r#type: FieldType, given: Json, canonical: Json| ValueVector {
        r#type,
        given: given.as_array().expect("a list").clone(),
        canonical,
    };
    let refused = |r#type: FieldType, given: Json, code: &str| RefusedVector {
        r#type,
        given,
        code: code.into(),
    };
    let decimal = || FieldType::Decimal { scale: 2 };
    let words = || FieldType::Enum { values: vec!["planeada".into(), "hecha".into()] };
    let vectors = ValueVectors {
        accepted: vec![
            accepted(FieldType::Text, json!(["Jardín ✓"]), json!("Jardín ✓")),
            accepted(FieldType::Text, json!([null]), json!(null)),
            accepted(FieldType::Integer, json!([5, "5"]), json!(5)),
            accepted(
                FieldType::Integer,
                json!(["9007199254740991"]),
                json!(9_007_199_254_740_991i64),
            ),
            accepted(
                FieldType::Integer,
                json!(["9007199254740992", 9_007_199_254_740_992i64]),
                json!("9007199254740992"),
            ),
            accepted(
                FieldType::Integer,
                json!(["-9223372036854775808"]),
                json!("-9223372036854775808"),
            ),
            accepted(decimal(), json!(["12.50", "12.5", 12.5, "12.500"]), json!("12.50")),
            accepted(decimal(), json!(["-0.50", "-0.5", -0.5]), json!("-0.50")),
            accepted(decimal(), json!(["0", "-0", 0, "0.000"]), json!("0.00")),
            accepted(
                FieldType::Decimal { scale: 0 },
                json!(["999999999999999999"]),
                json!("999999999999999999"),
            ),
            accepted(FieldType::Real, json!([2.5]), json!(2.5)),
            accepted(FieldType::Real, json!([-0.0, 0.0, 0]), json!(0.0)),
            accepted(FieldType::Boolean, json!([true]), json!(true)),
            accepted(FieldType::Date, json!(["2024-02-29"]), json!("2024-02-29")),
            accepted(
                FieldType::Timestamp,
                json!([
                    "2026-11-24T16:05:09.000000Z",
                    "2026-11-24T16:05:09Z",
                    "2026-11-24T10:05:09-06:00",
                    "2026-11-24T16:05:09.0000009Z"
                ]),
                json!("2026-11-24T16:05:09.000000Z"),
            ),
            accepted(
                FieldType::Uuid,
                json!([
                    "0192f0c1-2a3b-7c4d-8e5f-60718293a4b5",
                    "0192F0C1-2A3B-7C4D-8E5F-60718293A4B5"
                ]),
                json!("0192f0c1-2a3b-7c4d-8e5f-60718293a4b5"),
            ),
            accepted(words(), json!(["hecha"]), json!("hecha")),
            accepted(
                FieldType::Set,
                json!([["rosa", "Zinnia", "árbol", "rosa"]]),
                json!(["Zinnia", "rosa", "árbol"]),
            ),
            accepted(
                FieldType::Json,
                json!([{"y": [1.5, null], "x": {"b": 1, "a": 2}}]),
                json!({"x": {"a": 2, "b": 1}, "y": [1.5, null]}),
            ),
        ],
        refused: vec![
            refused(FieldType::Text, json!(5), "wrong_type"),
            refused(FieldType::Text, json!("a\0b"), "nul_character"),
            refused(FieldType::Integer, json!(2.5), "wrong_type"),
            refused(FieldType::Integer, json!("9223372036854775808"), "wrong_type"),
            refused(decimal(), json!("12.555"), "wrong_type"),
            refused(decimal(), json!("1e3"), "wrong_type"),
            refused(decimal(), json!("9999999999999999999"), "wrong_type"),
            refused(FieldType::Real, json!("2.5"), "wrong_type"),
            refused(FieldType::Boolean, json!(1), "wrong_type"),
            refused(FieldType::Date, json!("2026-02-30"), "wrong_type"),
            refused(FieldType::Timestamp, json!("2026-11-24T16:05:09"), "wrong_type"),
            refused(FieldType::Uuid, json!("0192"), "wrong_type"),
            refused(words(), json!("cobrada"), "wrong_type"),
            refused(FieldType::Set, json!(["rosa", 1]), "wrong_type"),
        ],
    };
    is_json("values.json", &vectors);
    for vector in &vectors.accepted {
        let field = field(vector.r#type.clone());
        for given in &vector.given {
            let value = Value::from_json(&field, given).expect("is accepted");
            let written = value.to_json(&field.kind);
            assert_eq!(written.to_string(), vector.canonical.to_string(), "{given}");
        }
    }
    for vector in &vectors.refused {
        let field = field(vector.r#type.clone());
        let error = Value::from_json(&field, &vector.given).expect_err("is refused");
        assert_eq!(error.code(), vector.code, "{}", vector.given);
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct ScopeVectors {
    /// What is given, and what it is written as.
    accepted: Vec<(String, String)>,
    refused: Vec<String>,
}

#[test]
fn scopes() {
    let pair = |given: &str, canonical: &str| (given.to_owned(), canonical.to_owned());
    let vectors = ScopeVectors {
        accepted: vec![
            pair("tenant", "tenant"),
            pair(
                "user:0192f0c1-2a3b-7c4d-8e5f-60718293a4b5",
                "user:0192f0c1-2a3b-7c4d-8e5f-60718293a4b5",
            ),
            pair(
                "project:0192F0C1-2A3B-7C4D-8E5F-60718293A4B5",
                "project:0192f0c1-2a3b-7c4d-8e5f-60718293a4b5",
            ),
        ],
        refused: [
            "",
            "user",
            "user:",
            "tenant:0192f0c1-2a3b-7c4d-8e5f-60718293a4b5",
            "User:0192f0c1-2a3b-7c4d-8e5f-60718293a4b5",
            "user:5",
            "user:%",
        ]
        .map(str::to_owned)
        .to_vec(),
    };
    is_json("scopes.json", &vectors);
    for (given, canonical) in &vectors.accepted {
        let scope: Scope = given.parse().expect("is a scope");
        assert_eq!(scope.as_str(), canonical);
    }
    for given in &vectors.refused {
        assert!(given.parse::<Scope>().is_err(), "{given:?}");
    }
}
