//! A page of a pull as JSON: what integrations and tests read.

use sync_protocol::columnar::{decode_page, encode_page, page_from_json, page_to_json};

use super::samples::SCHEMA;
use crate::Target;

/// The target.
pub(super) const TARGET: Target = Target { name: "page_json", input_bytes_max: 8192, run };

/// The codes of `DecodeError` that JSON can lead to.
const CODES: &[&str] = &["page_too_large", "page_damaged", "page_beside_schema"];

fn run(input: &[u8]) {
    let Ok(json) = serde_json::from_slice(input) else { return };
    let page = match page_from_json(&json, &SCHEMA) {
        Ok(page) => page,
        Err(error) => {
            assert!(CODES.contains(&error.code()), "{}: {error}", error.code());
            return;
        }
    };
    let canonical = page_to_json(&page, &SCHEMA);
    match page_from_json(&canonical, &SCHEMA) {
        Ok(again) => assert_eq!(page_to_json(&again, &SCHEMA), canonical, "it changes each time"),
        Err(error) => panic!("the canonical form is not read: {error:?}\n{canonical}"),
    }
    // The binary form says the same.
    match decode_page(&encode_page(&page)) {
        Ok(binary) => assert_eq!(page_to_json(&binary, &SCHEMA), canonical, "the forms differ"),
        Err(error) => panic!("the binary form of a page is not read: {error:?}\n{canonical}"),
    }
}
