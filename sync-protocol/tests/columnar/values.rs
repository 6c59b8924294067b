//! Values in canonical form: read again, they are the same, and written again, the same text.

use proptest::prelude::*;
use serde_json::Value as Json;
use sync_protocol::Value;
use sync_protocol::schema::{Field, FieldType};
use sync_protocol::value::{format_decimal, parse_decimal};

use crate::pages::{any_value, schema};

/// A field of each type, without declared limits.
fn any_field() -> impl Strategy<Value = Field> {
    let mut fields = schema().collections.remove("visitas").expect("is declared").fields;
    for field in &mut fields {
        (field.min, field.max, field.max_length) = (None, None, None);
    }
    proptest::sample::select(fields)
}

fn field_and_value() -> impl Strategy<Value = (Field, Value)> {
    any_field().prop_flat_map(|field| {
        let value = any_value(&field.kind);
        (Just(field), value)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_value_comes_back_from_its_canonical_form((field, value) in field_and_value()) {
        let json = value.to_json(&field.kind);
        let read = Value::from_json(&field, &json);
        prop_assert_eq!(read.as_ref(), Ok(&value), "{}", json);
    }

    #[test]
    fn a_value_comes_back_from_text((field, value) in field_and_value()) {
        let text = value.to_json(&field.kind).to_string();
        let json: Json = serde_json::from_str(&text).expect("is JSON");
        let read = Value::from_json(&field, &json).expect("is a value");
        if let (Value::Real(read), Value::Real(real)) = (&read, &value) {
            // The JSON reader that both ends use may miss a float of 17 digits by its last bit.
            let apart = read.to_bits().abs_diff(real.to_bits());
            prop_assert!(apart <= 1, "{} as {}", text, read);
        } else {
            prop_assert_eq!(&read, &value, "{}", text);
            prop_assert_eq!(read.to_json(&field.kind).to_string(), text);
        }
    }

    #[test]
    fn any_json_is_a_value_or_an_error_with_a_sentence(
        field in any_field(),
        json in prop_oneof![
            any::<f64>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<u64>().prop_map(Json::from),
            ".{0,30}".prop_map(Json::from),
            "-?[0-9]{0,20}(\\.[0-9]{0,12})?".prop_map(Json::from),
            "[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2}))?"
                .prop_map(Json::from),
            proptest::collection::vec(".{0,3}", 0..4).prop_map(Json::from),
        ],
    ) {
        match Value::from_json(&field, &json) {
            // Whatever variant came, what is kept has one form.
            Ok(value) => {
                let canonical = value.to_json(&field.kind);
                let again = Value::from_json(&field, &canonical);
                prop_assert_eq!(again.as_ref(), Ok(&value), "{} as {}", json, canonical);
            }
            Err(error) => prop_assert!(error.to_string().contains(&field.name)),
        }
    }

    #[test]
    fn decimals_of_every_scale_come_back(units in any::<i64>(), scale in 0..=9u8) {
        let fits = units.unsigned_abs() <= 999_999_999_999_999_999;
        let text = format_decimal(units, scale);
        prop_assert_eq!(parse_decimal(&text, scale), fits.then_some(units), "{}", text);
    }
}

#[test]
fn integers_beyond_what_a_double_holds_are_texts() {
    let edge = (1i64 << 53) - 1;
    for (n, json) in [
        (edge, Json::from(edge)),
        (-edge, Json::from(-edge)),
        (edge + 1, Json::from("9007199254740992")),
        (-edge - 1, Json::from("-9007199254740992")),
        (i64::MIN, Json::from("-9223372036854775808")),
    ] {
        assert_eq!(Value::Integer(n).to_json(&FieldType::Integer), json);
    }
}

#[test]
fn a_nul_in_a_document_is_refused_and_the_text_that_looks_like_one_is_not() {
    let field = schema().collections["visitas"].field("plano").expect("is declared").clone();
    for nul in [r#"{"a": ["x\u0000"]}"#, r#"{"a\u0000": 1}"#] {
        let json: Json = serde_json::from_str(nul).expect("is JSON");
        assert_eq!(Value::from_json(&field, &json).expect_err(nul).code(), "nul_character");
    }
    // A backslash and five letters.
    let json: Json = serde_json::from_str(r#"["\\u0000"]"#).expect("is JSON");
    assert_eq!(Value::from_json(&field, &json), Ok(Value::Json(json)));
}
