//! A prepared photo as the fields of its record.

use serde_json::{Map, Value as Json};
use sync_protocol::Value;
use sync_protocol::schema::FieldType;
use sync_protocol::schema::photos as columns;
use time::UtcOffset;

use super::Prepared;
use super::files::hex;

/// The columns that describe the picture, in canonical JSON. `zone` is that of the place: cameras that
/// write no zone mean the local one.
#[must_use]
pub fn fields(photo: &Prepared, zone: UtcOffset) -> Map<String, Json> {
    let length = |bytes: &[u8]| whole(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
    let taken_us = photo.taken_at.unix_us().or_else(|| {
        let moment = photo.taken_at.local.assume_offset(zone);
        i64::try_from(moment.unix_timestamp_nanos() / 1_000).ok()
    });
    let mut fields = Map::new();
    let mut set = |name: &str, value: Option<Json>| {
        fields.extend(value.map(|value| (name.to_owned(), value)));
    };
    set(columns::SHA256, Some(hex(&photo.sha256).into()));
    set(columns::BYTES, Some(length(&photo.photo)));
    set(columns::THUMBNAIL_SHA256, Some(hex(&photo.thumbnail_sha256).into()));
    set(columns::THUMBNAIL_BYTES, Some(length(&photo.thumbnail)));
    set(columns::WIDTH, Some(whole(photo.width.into())));
    set(columns::HEIGHT, Some(whole(photo.height.into())));
    let taken = taken_us.map(|us| Value::Timestamp(us).to_json(&FieldType::Timestamp));
    set(columns::TAKEN_AT, taken);
    let real = |value: f64| Some(Value::Real(value).to_json(&FieldType::Real));
    if let Some(position) = photo.position {
        set(columns::LATITUDE, real(position.lat));
        set(columns::LONGITUDE, real(position.lon));
        set(columns::ACCURACY_M, position.accuracy.and_then(real));
        set(columns::ALTITUDE_M, position.altitude.and_then(real));
        set(columns::DIRECTION, position.direction.and_then(|looked| real(looked.degrees)));
    }
    set(columns::MOCKED, photo.mocked.map(Json::from));
    fields
}

fn whole(number: i64) -> Json {
    Value::Integer(number).to_json(&FieldType::Integer)
}
