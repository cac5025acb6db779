//! All metrics of the applier. Labels come from enums.

use std::time::Duration;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use crate::cluster::ClusterError;

/// What a request to the API server was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    Get,
    List,
    Apply,
    Patch,
    Create,
    Replace,
    Delete,
}

impl RequestKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Apply => "apply",
            Self::Patch => "patch",
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Delete => "delete",
        }
    }
}

/// How a release ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReleaseEnd {
    Succeeded,
    Failed,
    Superseded,
    TimedOut,
    Terminated,
}

impl ReleaseEnd {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
            Self::TimedOut => "timed_out",
            Self::Terminated => "terminated",
        }
    }
}

pub(crate) struct Metrics {
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    releases: IntCounterVec,
    pub(crate) healed: IntCounter,
    pub(crate) events_dropped: IntCounter,
    pub(crate) applications: IntGauge,
    in_flight_limit: IntGauge,
    contested: IntGauge,
}

/// What one of several counts in a gauge. It is taken back with its owner.
pub(crate) struct Share {
    gauge: IntGauge,
    count: i64,
}

impl Share {
    pub(crate) fn set(&mut self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.gauge.add(count - self.count);
        self.count = count;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.gauge.sub(self.count);
    }
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new(
                    "towline_applier_requests_total",
                    "Requests to the API server",
                ),
                &["request", "outcome"],
            )?,
            request_seconds: HistogramVec::new(
                HistogramOpts::new(
                    "towline_applier_request_seconds",
                    "Time that the API server took",
                )
                .buckets(vec![
                    0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0,
                ]),
                &["request"],
            )?,
            releases: IntCounterVec::new(
                Opts::new("towline_applier_releases_total", "Releases that ended"),
                &["outcome"],
            )?,
            healed: IntCounter::new(
                "towline_applier_healed_total",
                "Objects that self-heal applied again",
            )?,
            events_dropped: IntCounter::new(
                "towline_applier_events_dropped_total",
                "Events that found no room to wait",
            )?,
            applications: IntGauge::new(
                "towline_applier_applications",
                "Applications known in this cluster",
            )?,
            in_flight_limit: IntGauge::new(
                "towline_applier_requests_in_flight_limit",
                "Requests to the API server that may be in flight, as it bears them",
            )?,
            contested: IntGauge::new(
                "towline_applier_contested_objects",
                "Objects that others change again each time that self-heal applies them",
            )?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.request_seconds.clone()))?;
        registry.register(Box::new(metrics.releases.clone()))?;
        registry.register(Box::new(metrics.healed.clone()))?;
        registry.register(Box::new(metrics.events_dropped.clone()))?;
        registry.register(Box::new(metrics.applications.clone()))?;
        registry.register(Box::new(metrics.in_flight_limit.clone()))?;
        registry.register(Box::new(metrics.contested.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn request(
        &self,
        kind: RequestKind,
        outcome: Result<(), &ClusterError>,
        took: Duration,
    ) {
        let word = match outcome {
            Ok(()) => "ok",
            Err(error) => error.label(),
        };
        self.requests
            .with_label_values(&[kind.as_str(), word])
            .inc();
        self.request_seconds
            .with_label_values(&[kind.as_str()])
            .observe(took.as_secs_f64());
    }

    pub(crate) fn contested(&self) -> Share {
        Share {
            gauge: self.contested.clone(),
            count: 0,
        }
    }

    pub(crate) fn in_flight(&self, limit: usize) {
        self.in_flight_limit
            .set(i64::try_from(limit).unwrap_or(i64::MAX));
    }

    pub(crate) fn release(&self, end: ReleaseEnd) {
        self.releases.with_label_values(&[end.as_str()]).inc();
    }
}
