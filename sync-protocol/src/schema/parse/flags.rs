//! Reads `flags` and `geofence` of a collection.

use super::super::flags::{Flags, Geofence};
use super::reader::{Reader, Section};

const FLAGS_KEYS: &[&str] = &["field", "position", "accuracy", "mocked", "at", "place"];
const GEOFENCE_KEYS: &[&str] = &["latitude", "longitude", "radius_m"];

pub(super) fn flags(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Flags> {
    let value = section.get("flags")?;
    let inner = reader.section(value, section.at("flags"), FLAGS_KEYS)?;
    reader.needs(&inner, "field", "name the `set` that they go into, such as `avisos`");
    let position = reader.texts(&inner, "position").map(<[String; 2]>::try_from);
    if let Some(Err(_)) = &position {
        let remedy = "write `position = [\"latitud\", \"longitud\"]`";
        reader.wrong(&inner.at("position"), "a position has two columns", remedy);
    }
    Some(Flags {
        position: position.and_then(Result::ok),
        accuracy: reader.text(&inner, "accuracy"),
        mocked: reader.text(&inner, "mocked"),
        at: reader.texts(&inner, "at").unwrap_or_default(),
        place: reader.text(&inner, "place"),
        field: reader.text(&inner, "field")?,
    })
}

pub(super) fn geofence(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Geofence> {
    let value = section.get("geofence")?;
    let inner = reader.section(value, section.at("geofence"), GEOFENCE_KEYS)?;
    for key in GEOFENCE_KEYS {
        reader.needs(&inner, key, "name the column that holds it");
    }
    Some(Geofence {
        latitude: reader.text(&inner, "latitude")?,
        longitude: reader.text(&inner, "longitude")?,
        radius_m: reader.text(&inner, "radius_m")?,
    })
}
