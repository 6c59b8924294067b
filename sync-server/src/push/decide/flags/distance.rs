//! How far two positions are apart.

/// A position on earth, in degrees: north and east are positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::push) struct Spot {
    pub latitude: f64,
    pub longitude: f64,
}

/// Mean radius of the earth (IUGG: (2a + b) / 3), in metres.
const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// Metres along the surface of a sphere.
///
/// The haversine formula: R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68 (1984), 159. It is exact
/// for small distances; the earth is no sphere, for which it is at most 0.6 % off.
pub(in crate::push) fn metres(from: Spot, to: Spot) -> f64 {
    let (north, south) = (from.latitude.to_radians(), to.latitude.to_radians());
    let half_sine = |degrees: f64| (degrees.to_radians() / 2.0).sin();
    let along = half_sine(to.latitude - from.latitude).powi(2);
    let around = half_sine(to.longitude - from.longitude).powi(2);
    // Rounding may lead beyond 1 on the other side of the earth, where there is no arc sine.
    let haversine = (along + north.cos() * south.cos() * around).clamp(0.0, 1.0);
    2.0 * EARTH_RADIUS_M * haversine.sqrt().asin()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    fn spot(latitude: f64, longitude: f64) -> Spot {
        Spot { latitude, longitude }
    }

    #[track_caller]
    fn apart(from: Spot, to: Spot, expected_m: f64) {
        for (from, to) in [(from, to), (to, from)] {
            let found = metres(from, to);
            assert!((found - expected_m).abs() < 1.0, "{from:?} {to:?}: {found}, not {expected_m}");
        }
    }

    const DEGREE_M: f64 = EARTH_RADIUS_M * PI / 180.0;

    #[test]
    fn a_degree_is_as_long_as_a_degree() {
        apart(spot(19.0, -99.0), spot(20.0, -99.0), DEGREE_M);
        apart(spot(0.0, 10.0), spot(0.0, 11.0), DEGREE_M);
        apart(spot(60.0, 10.0), spot(60.0, 10.01), DEGREE_M * 0.005);
        assert_eq!(metres(spot(19.4, -99.1), spot(19.4, -99.1)), 0.0);
    }

    #[test]
    fn a_metre_is_a_metre() {
        let metre = 1.0 / DEGREE_M;
        let found = metres(spot(19.432_608, -99.133_209), spot(19.432_608 + metre, -99.133_209));
        assert!((found - 1.0).abs() < 1e-6, "{found}");
    }

    #[test]
    fn neighbours_across_the_antimeridian_are_near() {
        apart(spot(0.0, 179.99), spot(0.0, -179.99), DEGREE_M * 0.02);
        apart(spot(-17.0, 180.0), spot(-17.0, -180.0), 0.0);
    }

    #[test]
    fn at_a_pole_every_longitude_is_one_place() {
        apart(spot(90.0, 0.0), spot(90.0, 123.0), 0.0);
        apart(spot(-90.0, -180.0), spot(-90.0, 45.0), 0.0);
        apart(spot(89.99, 0.0), spot(89.99, 180.0), DEGREE_M * 0.02);
        apart(spot(90.0, 7.0), spot(-90.0, -7.0), EARTH_RADIUS_M * PI);
    }

    #[test]
    fn the_other_side_of_the_earth_is_half_around_it_and_a_number() {
        for latitude in [-90.0, -45.3, 0.0, 0.1, 33.3, 90.0] {
            for longitude in [-180.0, -99.1, 0.0, 12.345] {
                let from = spot(latitude, longitude);
                apart(from, spot(-latitude, longitude + 180.0), EARTH_RADIUS_M * PI);
            }
        }
    }
}
