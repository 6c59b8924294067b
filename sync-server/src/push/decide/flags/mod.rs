//! What a supervisor should look at, told from what is known about a record. Pure.
//!
//! [`facts`](super::facts) gathers what is known; the words are [`sync_protocol::schema::flags`]'s, and
//! `docs/photos.md` says what they mean to people. Nothing is ever refused because of them.

mod distance;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use sync_protocol::EditTime;
use sync_protocol::schema::flags::{
    CLOCK_OFF, CLOCK_UNKNOWN, MOCKED_LOCATION, OUTSIDE_GEOFENCE, PHOTO_DATE, PHOTO_SEEN_BEFORE,
};

pub(super) use distance::Spot;

/// How far the phone's clock may be off, in microseconds.
const CLOCK_OFF_MAX_US: u64 = 5 * 60 * 1_000_000;
/// How long before or after its record happened a photo may have been taken, in microseconds.
const PHOTO_APART_MAX_US: i64 = 60 * 60 * 1_000_000;

/// What is known about a record. Nothing is unknown by default, and then nothing is flagged.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Facts {
    /// Where it was made, and where it should have been.
    pub whereabouts: Option<Whereabouts>,
    /// The phone said that its location was made up.
    pub mocked: bool,
    /// Of a photo: when it was taken.
    pub dates: Option<Dates>,
    /// Of a photo: another record has the same picture.
    pub seen_before: bool,
    /// The clocks of the transaction that made the record.
    pub clocks: Option<Clocks>,
}

/// A position beside the place where it should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Whereabouts {
    pub at: Spot,
    /// How far off `at` may be, in metres.
    pub accuracy_m: f64,
    pub place: Spot,
    /// How far from `place` still counts as there, in metres.
    pub radius_m: f64,
}

/// When a photo was taken, and when its record happened, in microseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dates {
    pub taken_us: i64,
    pub happened_us: RangeInclusive<i64>,
}

/// What the phone's clock said, and what time it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Clocks {
    /// The phone's own clock, in microseconds since 1970.
    pub wall_us: i64,
    /// The edit time as the phone told it: corrected, unless it is uncertain.
    pub told: EditTime,
    /// The same, not ahead of the server.
    pub time: EditTime,
}

/// The words that apply.
pub(super) fn flags(facts: &Facts) -> BTreeSet<&'static str> {
    let all = [
        (facts.whereabouts.is_some_and(is_outside), OUTSIDE_GEOFENCE),
        (facts.mocked, MOCKED_LOCATION),
        (facts.dates.as_ref().is_some_and(is_far), PHOTO_DATE),
        (facts.seen_before, PHOTO_SEEN_BEFORE),
        (facts.clocks.is_some_and(is_off), CLOCK_OFF),
        (facts.clocks.is_some_and(|clocks| clocks.time.uncertain), CLOCK_UNKNOWN),
    ];
    all.into_iter().filter_map(|(applies, word)| applies.then_some(word)).collect()
}

fn is_outside(whereabouts: Whereabouts) -> bool {
    let Whereabouts { at, accuracy_m, place, radius_m } = whereabouts;
    distance::metres(at, place) > radius_m + accuracy_m
}

fn is_far(dates: &Dates) -> bool {
    let earliest = dates.happened_us.start().saturating_sub(PHOTO_APART_MAX_US);
    let latest = dates.happened_us.end().saturating_add(PHOTO_APART_MAX_US);
    !(earliest..=latest).contains(&dates.taken_us)
}

/// How long the transaction waited does not matter: both times are of the moment when it was made. One that
/// lies ahead of the server was made by a clock that nothing had corrected.
fn is_off(clocks: Clocks) -> bool {
    clocks.told != clocks.time || clocks.wall_us.abs_diff(clocks.time.at_us) > CLOCK_OFF_MAX_US
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: Spot = Spot { latitude: 19.432_608, longitude: -99.133_209 };
    const MINUTE_US: i64 = 60_000_000;
    const HOUR_US: i64 = 60 * MINUTE_US;
    const NOON_US: i64 = 1_790_000_000_000_000;

    fn words(facts: &Facts) -> Vec<&'static str> {
        flags(facts).into_iter().collect()
    }

    /// What is said about a position, with the site's radius and its own accuracy.
    fn outside(at: Spot, radius_m: f64, accuracy_m: f64) -> bool {
        let whereabouts = Some(Whereabouts { at, accuracy_m, place: SITE, radius_m });
        !words(&Facts { whereabouts, ..Facts::default() }).is_empty()
    }

    fn dates(taken_us: i64, happened_us: RangeInclusive<i64>) -> bool {
        let facts = Facts { dates: Some(Dates { taken_us, happened_us }), ..Facts::default() };
        words(&facts) == [PHOTO_DATE]
    }

    fn clocks(wall_us: i64, told: EditTime, now_us: i64) -> Vec<&'static str> {
        let clocks = Some(Clocks { wall_us, told, time: told.clamped(now_us) });
        words(&Facts { clocks, ..Facts::default() })
    }

    #[test]
    fn of_nothing_known_nothing_is_said() {
        assert!(flags(&Facts::default()).is_empty());
    }

    #[test]
    fn what_is_exactly_at_the_border_is_inside() {
        let at = Spot { latitude: 19.433_608, ..SITE };
        let distance_m = distance::metres(at, SITE);
        assert!(!outside(at, distance_m, 0.0));
        assert!(!outside(at, distance_m - 10.0, 10.0));
        assert!(outside(at, distance_m.next_down(), 0.0));
        assert!(!outside(SITE, 0.0, 0.0));
    }

    #[test]
    fn accuracy_widens_the_fence() {
        let at = Spot { latitude: 19.442_608, ..SITE };
        assert!(outside(at, 200.0, 0.0), "1.1 km away");
        assert!(outside(at, 200.0, 900.0));
        assert!(!outside(at, 200.0, 950.0));
        assert!(!outside(at, 200.0, 1e7), "an accuracy of half the earth says nothing");
    }

    #[test]
    fn null_island_is_a_position_like_any_other() {
        let null_island = Spot { latitude: 0.0, longitude: 0.0 };
        assert!(outside(null_island, 100_000.0, 100.0));
        let whereabouts =
            Whereabouts { at: null_island, accuracy_m: 0.0, place: null_island, radius_m: 1.0 };
        assert!(!is_outside(whereabouts));
    }

    #[test]
    fn a_photo_within_an_hour_of_its_record_is_its_own() {
        for (taken_us, far) in [
            (NOON_US, false),
            (NOON_US - HOUR_US, false),
            (NOON_US + HOUR_US, false),
            (NOON_US - HOUR_US - 1, true),
            (NOON_US + HOUR_US + 1, true),
            (i64::MIN, true),
            (i64::MAX, true),
        ] {
            assert_eq!(dates(taken_us, NOON_US..=NOON_US), far, "{taken_us}");
        }
        assert!(!dates(NOON_US + HOUR_US, NOON_US..=NOON_US + 3 * HOUR_US));
        assert!(!dates(i64::MAX, i64::MIN..=i64::MAX), "no date is too large to be counted on");
    }

    #[test]
    fn a_clock_that_was_right_is_right_however_long_the_edit_waited() {
        let days_later = NOON_US + 5 * 24 * HOUR_US;
        for wall_us in [NOON_US, NOON_US - 5 * MINUTE_US, NOON_US + 5 * MINUTE_US] {
            assert!(clocks(wall_us, EditTime::certain(NOON_US), days_later).is_empty());
        }
        for wall_us in [NOON_US - 5 * MINUTE_US - 1, NOON_US + 5 * MINUTE_US + 1, 0, i64::MIN] {
            assert_eq!(clocks(wall_us, EditTime::certain(NOON_US), days_later), [CLOCK_OFF]);
        }
    }

    #[test]
    fn a_time_ahead_of_the_server_is_off_even_where_the_clocks_agree() {
        let ahead = EditTime::certain(NOON_US + 2 * HOUR_US);
        assert_eq!(clocks(ahead.at_us, ahead, NOON_US), [CLOCK_OFF]);
        assert_eq!(clocks(NOON_US, ahead, NOON_US), [CLOCK_OFF]);
    }

    #[test]
    fn of_a_phone_that_met_nobody_the_clock_is_unknown_and_off_only_if_that_shows() {
        let uncertain = |at_us| EditTime { at_us, uncertain: true };
        assert_eq!(clocks(NOON_US, uncertain(NOON_US), NOON_US), [CLOCK_UNKNOWN]);
        // Its neighbours showed that it cannot have been noon.
        let bounded = uncertain(NOON_US + HOUR_US);
        assert_eq!(clocks(NOON_US, bounded, NOON_US + HOUR_US), [CLOCK_OFF, CLOCK_UNKNOWN]);
    }

    #[test]
    fn all_that_applies_is_said() {
        let far = Spot { latitude: -19.4, longitude: 80.9 };
        let facts = Facts {
            whereabouts: Some(Whereabouts {
                at: far,
                accuracy_m: 5.0,
                place: SITE,
                radius_m: 200.0,
            }),
            mocked: true,
            dates: Some(Dates { taken_us: 0, happened_us: NOON_US..=NOON_US }),
            seen_before: true,
            clocks: Some(Clocks {
                wall_us: 0,
                told: EditTime { at_us: NOON_US, uncertain: true },
                time: EditTime { at_us: NOON_US, uncertain: true },
            }),
        };
        assert_eq!(flags(&facts).len(), 6);
    }
}
