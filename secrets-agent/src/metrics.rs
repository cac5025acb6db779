//! Every metric of the agent.

use std::time::{Duration, Instant};

use bus::clock;
use bus::message::secret::RefusalReason;
use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

/// What was asked of Vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaultRequest {
    Read,
    Decrypt,
    Revoke,
    Metadata,
    Mount,
    Login,
    Lookup,
    Renew,
    Health,
}

#[derive(Clone)]
pub struct Metrics {
    requests: IntCounterVec,
    refusals: IntCounterVec,
    resolve: HistogramVec,
    vault: HistogramVec,
    leased: Gauge,
    lease: Gauge,
    rotations: IntCounter,
    paths: IntGauge,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new(
                    "towline_secrets_requests_total",
                    "Requests for secrets, by outcome",
                ),
                &["outcome"],
            )?,
            refusals: IntCounterVec::new(
                Opts::new(
                    "towline_secrets_refusals_total",
                    "Refused requests, by reason",
                ),
                &["reason"],
            )?,
            resolve: HistogramVec::new(
                HistogramOpts::new(
                    "towline_secrets_resolve_seconds",
                    "Time from a request to its answer, by outcome",
                )
                .buckets(buckets()),
                &["outcome"],
            )?,
            vault: HistogramVec::new(
                HistogramOpts::new(
                    "towline_secrets_vault_request_seconds",
                    "Requests to Vault, by what was asked and outcome",
                )
                .buckets(buckets()),
                &["request", "outcome"],
            )?,
            leased: Gauge::new(
                "towline_secrets_lease_renewed_timestamp_seconds",
                "When Vault gave or prolonged the agent's token, the one lease that it keeps; 0 before the first",
            )?,
            lease: Gauge::new(
                "towline_secrets_lease_seconds",
                "How long that token was good for then; 0 for ever",
            )?,
            rotations: IntCounter::new(
                "towline_secrets_rotations_total",
                "New versions found of paths in use",
            )?,
            paths: IntGauge::new(
                "towline_secrets_paths",
                "Paths in use whose versions are watched",
            )?,
        };
        for reason in REASONS {
            metrics.refusals.with_label_values(&[label(reason)]);
        }
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.refusals.clone()))?;
        registry.register(Box::new(metrics.resolve.clone()))?;
        registry.register(Box::new(metrics.vault.clone()))?;
        registry.register(Box::new(metrics.leased.clone()))?;
        registry.register(Box::new(metrics.lease.clone()))?;
        registry.register(Box::new(metrics.rotations.clone()))?;
        registry.register(Box::new(metrics.paths.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn resolved(&self, took: Duration) {
        self.request("resolved", took);
    }

    pub(crate) fn refused(&self, reason: RefusalReason, took: Duration) {
        self.refusals.with_label_values(&[label(reason)]).inc();
        self.request("refused", took);
    }

    /// What `call` gives, its time taken down as that of one request to Vault.
    pub(crate) async fn timed<T, E>(
        &self,
        request: VaultRequest,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let started = Instant::now();
        let outcome = call.await;
        self.vault(request, outcome.is_ok(), started.elapsed());
        outcome
    }

    fn vault(&self, request: VaultRequest, worked: bool, took: Duration) {
        let request = match request {
            VaultRequest::Read => "read",
            VaultRequest::Decrypt => "decrypt",
            VaultRequest::Revoke => "revoke",
            VaultRequest::Metadata => "metadata",
            VaultRequest::Mount => "mount",
            VaultRequest::Login => "login",
            VaultRequest::Lookup => "lookup",
            VaultRequest::Renew => "renew",
            VaultRequest::Health => "health",
        };
        let outcome = if worked { "answered" } else { "failed" };
        self.vault
            .with_label_values(&[request, outcome])
            .observe(took.as_secs_f64());
    }

    /// Vault gave or prolonged the agent's token just now, for so long.
    pub(crate) fn leased(&self, lasts: Option<Duration>) {
        self.leased
            .set(Duration::from_millis(clock::now_ms()).as_secs_f64());
        self.lease
            .set(lasts.map_or(0.0, |lasts| lasts.as_secs_f64()));
    }

    pub(crate) fn rotated(&self) {
        self.rotations.inc();
    }

    pub(crate) fn paths(&self, count: usize) {
        self.paths.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn request(&self, outcome: &str, took: Duration) {
        self.requests.with_label_values(&[outcome]).inc();
        self.resolve
            .with_label_values(&[outcome])
            .observe(took.as_secs_f64());
    }
}

const REASONS: [RefusalReason; 7] = [
    RefusalReason::Malformed,
    RefusalReason::Signature,
    RefusalReason::Replayed,
    RefusalReason::NotDesired,
    RefusalReason::Forbidden,
    RefusalReason::NotFound,
    RefusalReason::Unavailable,
];

fn label(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::Malformed => "malformed",
        RefusalReason::Signature => "signature",
        RefusalReason::Replayed => "replayed",
        RefusalReason::NotDesired => "not_desired",
        RefusalReason::Forbidden => "forbidden",
        RefusalReason::NotFound => "not_found",
        RefusalReason::Unavailable => "unavailable",
    }
}

/// From a warm read on one machine to the longest that a request waits, in seconds.
fn buckets() -> Vec<f64> {
    vec![
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// Names of the shipped rules that begin like ours, without a histogram's endings.
    fn named(rules: &str) -> BTreeSet<&str> {
        rules
            .split(|symbol: char| !(symbol.is_ascii_alphanumeric() || symbol == '_'))
            .filter(|word| word.starts_with("towline_"))
            .map(|word| {
                let word = word.strip_suffix("_count").unwrap_or(word);
                word.strip_suffix("_bucket").unwrap_or(word)
            })
            .collect()
    }

    #[test]
    fn the_age_of_the_token_counts_from_when_it_was_prolonged() {
        let metrics = Metrics::new(&Registry::new()).unwrap();
        metrics.leased(Some(Duration::from_mins(1)));
        let age = Duration::from_millis(clock::now_ms()).as_secs_f64() - metrics.leased.get();
        assert!((0.0..30.0).contains(&age), "{age}");
        assert!((metrics.lease.get() - 60.0).abs() < 0.1);
        metrics.leased(None);
        assert!(metrics.lease.get() < 0.1);
    }

    #[test]
    fn the_alert_rules_are_about_metrics_and_reasons_that_there_are() {
        let text = include_str!("../../deploy/prometheus/secrets.rules.yaml");
        let rules: Value = serde_saphyr::from_str(text).unwrap();
        let rules = rules["groups"][0]["rules"].as_array().unwrap();
        assert!(
            rules
                .iter()
                .all(|rule| rule["alert"].is_string() && rule["expr"].is_string())
        );
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        metrics.resolved(Duration::ZERO);
        metrics.vault(VaultRequest::Read, true, Duration::ZERO);
        let families = registry.gather();
        let there: BTreeSet<&str> = families
            .iter()
            .map(prometheus::proto::MetricFamily::name)
            .collect();
        let named = named(text);
        assert!(!named.is_empty() && named.is_subset(&there), "{named:?}");
        let alerted = |reason: &RefusalReason| text.contains(label(*reason));
        // What lags for a moment is asked again, and nobody's business.
        let silent: Vec<RefusalReason> = REASONS.into_iter().filter(|it| !alerted(it)).collect();
        assert_eq!(silent, [RefusalReason::NotDesired]);
    }
}
