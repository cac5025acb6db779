//! Every metric of the renderer.

use std::time::Duration;

use bus::message::manifests::SourceType;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
};

use crate::check::Checked;
use crate::engine::Confinement;

/// What became of a desired state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The tools ran.
    Rendered,
    /// An earlier result was proven still right.
    Reused,
    Failed,
    /// Something beside the sources has to be fetched first.
    Waiting,
    /// To be tried again.
    Retried,
    /// A newer generation was there already.
    Outdated,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Rendered => "rendered",
            Self::Reused => "reused",
            Self::Failed => "failed",
            Self::Waiting => "waiting",
            Self::Retried => "retried",
            Self::Outdated => "outdated",
        }
    }
}

impl Checked {
    const ALL: [Self; 3] = [Self::Same, Self::Random, Self::Missed];

    fn label(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Random => "random",
            Self::Missed => "missed",
        }
    }
}

#[derive(Clone)]
pub(crate) struct Metrics {
    renders: IntCounterVec,
    checks: IntCounterVec,
    seconds: HistogramVec,
    objects: IntCounter,
    packs: IntCounter,
    pub(crate) workers_replaced: IntCounter,
    confinement: IntGaugeVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            renders: IntCounterVec::new(
                Opts::new(
                    "towline_renders_total",
                    "Desired states handled, by first tool and outcome",
                ),
                &["tool", "outcome"],
            )?,
            checks: IntCounterVec::new(
                Opts::new(
                    "towline_render_checks_total",
                    "Renders of the same inputs again, past all that is kept, by outcome; any `missed` is a fault",
                ),
                &["outcome"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new(
                    "towline_render_seconds",
                    "Time from a desired state to its manifests",
                )
                .buckets(vec![
                    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
                ]),
                &["tool"],
            )?,
            objects: IntCounter::new(
                "towline_rendered_objects_total",
                "Objects in rendered manifests",
            )?,
            packs: IntCounter::new("towline_render_packs_total", "Snapshot packs fetched")?,
            workers_replaced: IntCounter::new(
                "towline_render_workers_replaced_total",
                "Engine processes that broke a limit or crashed",
            )?,
            confinement: IntGaugeVec::new(
                Opts::new(
                    "towline_render_worker_confinement",
                    "Whether a layer of confinement is around engine processes (1) or not permitted here (0)",
                ),
                &["layer"],
            )?,
        };
        registry.register(Box::new(metrics.renders.clone()))?;
        registry.register(Box::new(metrics.checks.clone()))?;
        // An alert on the one that must stay 0 needs it to be there.
        for outcome in Checked::ALL {
            metrics.checks.with_label_values(&[outcome.label()]);
        }
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.objects.clone()))?;
        registry.register(Box::new(metrics.packs.clone()))?;
        registry.register(Box::new(metrics.workers_replaced.clone()))?;
        registry.register(Box::new(metrics.confinement.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn handled(&self, tools: &[SourceType], outcome: Outcome, took: Duration) {
        let first = label(tools.first().copied());
        self.renders
            .with_label_values(&[first, outcome.label()])
            .inc();
        if matches!(outcome, Outcome::Rendered | Outcome::Reused) {
            self.seconds
                .with_label_values(&[first])
                .observe(took.as_secs_f64());
        }
    }

    pub(crate) fn checked(&self, outcome: Checked) {
        self.checks.with_label_values(&[outcome.label()]).inc();
    }

    pub(crate) fn rendered(&self, objects: usize) {
        self.objects
            .inc_by(u64::try_from(objects).unwrap_or(u64::MAX));
    }

    pub(crate) fn confined(&self, confinement: &Confinement) {
        for (layer, there) in confinement.layers() {
            self.confinement
                .with_label_values(&[layer.name()])
                .set(i64::from(there));
        }
    }

    pub(crate) fn pack(&self) {
        self.packs.inc();
    }
}

fn label(tool: Option<SourceType>) -> &'static str {
    match tool {
        Some(SourceType::Directory) => "directory",
        Some(SourceType::Helm) => "helm",
        Some(SourceType::Kustomize) => "kustomize",
        Some(SourceType::HelmLastMile) => "helm-last-mile",
        None => "unknown",
    }
}
