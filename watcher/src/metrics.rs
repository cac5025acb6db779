//! All metrics of the watcher.

use std::time::Duration;

use bus::message::desired::Cause;
use bus::message::render::RenderOutcome;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use crate::collect::Collected;

pub struct Metrics {
    fetch_seconds: HistogramVec,
    affected: Histogram,
    published: IntCounterVec,
    render_records: IntCounterVec,
    snapshot_bytes: IntCounter,
    wait_seconds: Histogram,
    webhooks: IntCounterVec,
    looks: IntCounterVec,
    postponed: IntCounter,
    hosts_in_trouble: IntGauge,
    collected_objects: IntCounter,
    collected_bytes: IntCounter,
    applications: IntGauge,
    repositories: IntGauge,
}

impl Metrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(format!("towline_watcher_{name}"), help);
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec())
        };
        let seconds = [
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
        ];
        let counts = [
            0.0, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0,
        ];
        let metrics = Self {
            fetch_seconds: HistogramVec::new(
                histogram(
                    "fetch_seconds",
                    "Time of one look at a repository's host",
                    &seconds,
                ),
                &["outcome"],
            )?,
            affected: Histogram::with_opts(histogram(
                "affected_applications",
                "Applications that a change made publish, of those that it could have",
                &counts,
            ))?,
            published: IntCounterVec::new(
                opts("published_total", "Desired states published"),
                &["cause"],
            )?,
            render_records: IntCounterVec::new(
                opts(
                    "render_records_total",
                    "Records of renders read from the bus; those that are there at each start too",
                ),
                &["outcome"],
            )?,
            snapshot_bytes: IntCounter::with_opts(opts(
                "snapshot_bytes_total",
                "Bytes of packs stored",
            ))?,
            wait_seconds: Histogram::with_opts(histogram(
                "wait_seconds",
                "Time from being asked to look at a repository until the look begins",
                &seconds,
            ))?,
            webhooks: IntCounterVec::new(
                opts("webhooks_total", "Webhooks received"),
                &["provider", "outcome"],
            )?,
            looks: IntCounterVec::new(
                opts(
                    "looks_total",
                    "Looks at a repository's host, by what caused them",
                ),
                &["cause"],
            )?,
            postponed: IntCounter::with_opts(opts(
                "looks_postponed_total",
                "Looks put off because the host is left alone for a while",
            ))?,
            hosts_in_trouble: IntGauge::with_opts(opts(
                "hosts_in_trouble",
                "Hosts that failed several times, or asked to be left alone, and did not succeed since",
            ))?,
            collected_objects: IntCounter::with_opts(opts(
                "collected_objects_total",
                "Objects taken out of the stores since nothing named them any more",
            ))?,
            collected_bytes: IntCounter::with_opts(opts(
                "collected_bytes_total",
                "Bytes of objects taken out of the stores",
            ))?,
            applications: IntGauge::with_opts(opts("applications", "Applications watched"))?,
            repositories: IntGauge::with_opts(opts("repositories", "Repositories in use"))?,
        };
        registry.register(Box::new(metrics.fetch_seconds.clone()))?;
        registry.register(Box::new(metrics.affected.clone()))?;
        registry.register(Box::new(metrics.published.clone()))?;
        registry.register(Box::new(metrics.render_records.clone()))?;
        registry.register(Box::new(metrics.snapshot_bytes.clone()))?;
        registry.register(Box::new(metrics.wait_seconds.clone()))?;
        registry.register(Box::new(metrics.webhooks.clone()))?;
        registry.register(Box::new(metrics.looks.clone()))?;
        registry.register(Box::new(metrics.postponed.clone()))?;
        registry.register(Box::new(metrics.hosts_in_trouble.clone()))?;
        registry.register(Box::new(metrics.collected_objects.clone()))?;
        registry.register(Box::new(metrics.collected_bytes.clone()))?;
        registry.register(Box::new(metrics.applications.clone()))?;
        registry.register(Box::new(metrics.repositories.clone()))?;
        Ok(metrics)
    }

    pub fn fetched(&self, outcome: &'static str, elapsed: Duration) {
        self.fetch_seconds
            .with_label_values(&[outcome])
            .observe(elapsed.as_secs_f64());
    }

    pub fn affected(&self, count: usize) {
        self.affected
            .observe(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    }

    pub fn published(&self, cause: Cause) {
        self.published.with_label_values(&[label(cause)]).inc();
    }

    pub fn render_record(&self, outcome: &RenderOutcome) {
        let outcome = match outcome {
            RenderOutcome::Rendered { .. } => "rendered",
            RenderOutcome::Incomplete => "incomplete",
            RenderOutcome::Failed(_) => "failed",
        };
        self.render_records.with_label_values(&[outcome]).inc();
    }

    pub fn looked(&self, cause: Cause) {
        self.looks.with_label_values(&[label(cause)]).inc();
    }

    pub fn postponed(&self) {
        self.postponed.inc();
    }

    pub fn hosts_in_trouble(&self, count: usize) {
        self.hosts_in_trouble
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub fn packed(&self, bytes: usize) {
        self.snapshot_bytes.inc_by(bytes as u64);
    }

    pub fn waited(&self, asked: u64, began: u64) {
        let elapsed = Duration::from_millis(began.saturating_sub(asked));
        self.wait_seconds.observe(elapsed.as_secs_f64());
    }

    pub fn webhook(&self, provider: &'static str, outcome: &'static str) {
        self.webhooks.with_label_values(&[provider, outcome]).inc();
    }

    pub fn collected(&self, collected: Collected) {
        self.collected_objects.inc_by(collected.objects as u64);
        self.collected_bytes.inc_by(collected.bytes as u64);
    }

    pub fn sizes(&self, (applications, repositories): (usize, usize)) {
        self.applications
            .set(i64::try_from(applications).unwrap_or(i64::MAX));
        self.repositories
            .set(i64::try_from(repositories).unwrap_or(i64::MAX));
    }
}

const fn label(cause: Cause) -> &'static str {
    match cause {
        Cause::Webhook => "webhook",
        Cause::Poll => "poll",
        Cause::Refresh => "refresh",
        Cause::Application => "application",
        Cause::Dependency => "dependency",
        Cause::Again => "again",
    }
}
