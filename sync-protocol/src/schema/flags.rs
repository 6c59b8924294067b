//! What the server notes about a record for a supervisor to look at, and what it needs to know for that.
//!
//! A collection may say which of its columns hold a position, how accurate it is, whether it was made up, when
//! it happened, and at which place; and a place may say where it is. The server then writes words of this
//! module into a `set` of the record. They are data: nothing is ever refused because of them.

use serde::{Deserialize, Serialize};

/// The position is farther from the place than its radius and the position's accuracy allow.
pub const OUTSIDE_GEOFENCE: &str = "outside_geofence";
/// The phone said that its location was made up by an app.
pub const MOCKED_LOCATION: &str = "mocked_location";
/// The photo was taken long before or after its record says it happened.
pub const PHOTO_DATE: &str = "photo_date";
/// The same picture belongs to another record already.
pub const PHOTO_SEEN_BEFORE: &str = "photo_seen_before";
/// The phone's clock was more than five minutes off when the record was made.
pub const CLOCK_OFF: &str = "clock_off";
/// The phone was restarted and had not met the server since: nobody knows how far its clock was off.
pub const CLOCK_UNKNOWN: &str = "clock_unknown";

/// Which columns of a collection the flags are about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags {
    /// The `set` that the flags go into. Devices may not write it.
    pub field: String,
    /// The columns with latitude and longitude, in degrees (`real`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<[String; 2]>,
    /// The column that says how far off the position may be, in metres (`real`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<String>,
    /// The column that says whether the position was made up (`boolean`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mocked: Option<String>,
    /// The columns that say when it happened (`timestamp`): it lasted from the earliest to the latest of them.
    /// Where none says so, it happened when it was written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<String>,
    /// The column that refers to where it should have happened: a collection with a [`Geofence`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// Which columns of a place say where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geofence {
    /// The column with the latitude, in degrees (`real`).
    pub latitude: String,
    /// The column with the longitude, in degrees (`real`).
    pub longitude: String,
    /// The column that says how far from there still counts as there, in metres (`integer` or `real`).
    pub radius_m: String,
}
