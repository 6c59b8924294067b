//! Values as they are typed.

use serde_json::{Map, Value as Json};

/// A JSON object.
pub fn object(text: &str) -> Result<Map<String, Json>, String> {
    match serde_json::from_str(text) {
        Ok(Json::Object(fields)) => Ok(fields),
        Ok(_) => Err("a JSON object is needed, such as {\"nombre\": \"Torre Norte\"}".to_owned()),
        Err(error) => Err(format!("no JSON: {error}")),
    }
}

/// JSON of any kind, or a text that need not be quoted.
pub fn json_or_text(text: &str) -> Result<Json, std::convert::Infallible> {
    Ok(serde_json::from_str(text).unwrap_or_else(|_| Json::from(text)))
}

/// JSON of any kind.
pub fn json(text: &str) -> Result<Json, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("no JSON: {error} (text needs quotes: '\"lluvia\"')"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_is_no_json_is_text() {
        assert_eq!(json_or_text("12"), Ok(Json::from(12)));
        assert_eq!(json_or_text("en obra"), Ok(Json::from("en obra")));
    }
}
