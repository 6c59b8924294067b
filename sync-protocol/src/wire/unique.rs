//! Objects whose keys may stand in them once only.
//!
//! JSON lets a key come twice, and parsers then keep the last one silently. In a request that would
//! be a value that somebody wrote and nobody reads, so it is refused: also deep inside a document.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value as Json};

/// How the message of such an error begins; the server tells it by that.
pub const DUPLICATE_KEY: &str = "duplicate key";

fn duplicate<E: Error>(key: &str) -> E {
    E::custom(format_args!("{DUPLICATE_KEY} `{key}`"))
}

/// For `deserialize_with`: an object, and every object in it.
pub fn document<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Json>, D::Error> {
    match Document.deserialize(deserializer)? {
        Json::Object(map) => Ok(map),
        _ => Err(D::Error::custom("expected an object")),
    }
}

/// For `deserialize_with`: any value, and every object in it.
pub fn value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
    Document.deserialize(deserializer)
}

/// For `deserialize_with`: an object by its keys.
pub fn by_key<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    K: Deserialize<'de> + Ord + fmt::Display,
    V: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_map(ByKey(PhantomData))
}

struct ByKey<K, V>(PhantomData<(K, V)>);

impl<'de, K, V> Visitor<'de> for ByKey<K, V>
where
    K: Deserialize<'de> + Ord + fmt::Display,
    V: Deserialize<'de>,
{
    type Value = BTreeMap<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some(key) = access.next_key::<K>()? {
            if map.contains_key(&key) {
                return Err(duplicate(&key.to_string()));
            }
            let value = access.next_value()?;
            map.insert(key, value);
        }
        Ok(map)
    }
}

/// A JSON value. The parser bounds how deep it goes.
struct Document;

impl<'de> DeserializeSeed<'de> for Document {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, bool: bool) -> Result<Json, E> {
        Ok(bool.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Json, E> {
        Ok(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Json, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Json, E> {
        Ok(number.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json, E> {
        Ok(text.into())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Json, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Self)? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(duplicate(&key));
            }
            let value = access.next_value_seed(Self)?;
            map.insert(key, value);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Both {
        #[serde(deserialize_with = "document")]
        set: Map<String, Json>,
        #[serde(deserialize_with = "by_key")]
        base: BTreeMap<String, i64>,
    }

    #[test]
    fn a_key_that_comes_twice_is_refused_however_deep() {
        for (json, key) in [
            (r#"{"set":{"a":1,"a":2},"base":{}}"#, "a"),
            (r#"{"set":{"a":[{"b":{"c":1,"d":2,"c":1}}]},"base":{}}"#, "c"),
            (r#"{"set":{},"base":{"v":1,"w":1,"v":1}}"#, "v"),
            (r#"{"set":{"\u0061":1,"a":2},"base":{}}"#, "a"),
        ] {
            let error = serde_json::from_str::<Both>(json).expect_err(json).to_string();
            assert!(error.starts_with(&format!("{DUPLICATE_KEY} `{key}`")), "{error}");
        }
    }

    #[test]
    fn everything_else_is_read_as_it_is() {
        let text =
            r#"{"set":{"a":[null,true,-1,18446744073709551615,2.5,"x",{"b":{}}]},"base":{"v":-1}}"#;
        let both: Both = serde_json::from_str(text).expect("JSON");
        assert_eq!(
            Json::Object(both.set),
            json!({ "a": [null, true, -1, u64::MAX, 2.5, "x", { "b": {} }] })
        );
        assert_eq!(both.base["v"], -1);
    }
}
