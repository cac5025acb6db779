//! What many measurements of one thing come to.

use serde::Serialize;

/// Seconds.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Sample {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) max: f64,
    pub(crate) count: usize,
}

impl Sample {
    pub(crate) fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        let at = |percent: usize| {
            let index = (seconds.len() * percent).div_ceil(100).saturating_sub(1);
            seconds.get(index).copied().unwrap_or_default()
        };
        Self {
            p50: at(50),
            p95: at(95),
            max: at(100),
            count: seconds.len(),
        }
    }
}

/// How busy the machine is: `/proc/loadavg`, the first of its numbers.
pub(crate) fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|it| it.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let sample = Sample::of((1..=20).rev().map(f64::from).collect());
        assert_eq!((sample.p50, sample.p95, sample.max), (10.0, 19.0, 20.0));
        let one = Sample::of(vec![0.5]);
        assert_eq!((one.p50, one.p95, one.max, one.count), (0.5, 0.5, 0.5, 1));
        assert_eq!(Sample::of(Vec::new()).count, 0);
    }
}
