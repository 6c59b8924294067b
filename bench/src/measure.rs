//! Medians.

use std::time::Duration;

/// The median of some durations; zero of none.
pub fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    durations.get(durations.len() / 2).copied().unwrap_or_default()
}

/// How often one duration goes into another.
pub fn ratio(measured: Duration, limit: Duration) -> f64 {
    measured.as_secs_f64() / limit.as_secs_f64()
}

/// In milliseconds.
pub fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

/// In microseconds for each of so many.
pub fn us_each(duration: Duration, count: usize) -> String {
    format!("{:.2} µs", duration.as_secs_f64() * 1e6 / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let durations = [9, 1, 5].map(Duration::from_millis).to_vec();
        assert_eq!(median(durations), Duration::from_millis(5));
        assert_eq!(median(Vec::new()), Duration::ZERO);
    }
}
