//! Every metric of the monitor. Argo CD's names where it has one, so that its dashboards and alerts work.
//!
//! Labels are identities and words of enums; what describes the applications as they are is collected when scraped.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use bus::message::condition::ConditionType;
use bus::message::state::OperationPhase;
use bus::subject::Stream;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::progress::{Progress, completed};
use crate::store::Store;
use crate::view::View;

/// Seconds. From a fast stage to a release that waits for a slow rollout.
const BUCKETS: [f64; 16] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0,
    1_800.0,
];
const INFO: [&str; 10] = [
    "name",
    "namespace",
    "project",
    "dest_server",
    "dest_namespace",
    "health_status",
    "sync_status",
    "autosync_enabled",
    "repo",
    "operation",
];

pub(crate) struct Metrics {
    syncs: IntCounterVec,
    commit_to_live: HistogramVec,
    dead_letters: IntCounterVec,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry, store: &Arc<Store>) -> prometheus::Result<Self> {
        let metrics = Self {
            syncs: IntCounterVec::new(
                Opts::new("argocd_app_sync_total", "Releases that ended, by phase."),
                &["name", "namespace", "project", "dest_server", "phase"],
            )?,
            commit_to_live: HistogramVec::new(
                HistogramOpts::new(
                    "towline_commit_to_live_seconds",
                    "Time of each stage from a commit to healthy objects; `total` is all of it.",
                )
                .buckets(BUCKETS.to_vec()),
                &["stage"],
            )?,
            dead_letters: IntCounterVec::new(
                Opts::new(
                    "towline_dead_letters_total",
                    "Deliveries that were given up, by stream.",
                ),
                &["stream"],
            )?,
        };
        for stream in Stream::ALL {
            metrics.dead_letters.with_label_values(&[stream.name()]);
        }
        registry.register(Box::new(metrics.syncs.clone()))?;
        registry.register(Box::new(metrics.commit_to_live.clone()))?;
        registry.register(Box::new(metrics.dead_letters.clone()))?;
        registry.register(Box::new(Applications::new(store)?))?;
        Ok(metrics)
    }

    /// Counts what the step of an application's release means.
    pub(crate) fn count(&self, view: &View, progress: &Progress) {
        if let Some(phase) = progress.finished {
            let labels = [
                view.app.name(),
                view.app.namespace(),
                &view.project,
                &server(view),
                phase.as_str(),
            ];
            self.syncs.with_label_values(&labels).inc();
        }
        if let Some(live) = &progress.live {
            for stage in &live.stages {
                self.observe(stage.name.as_str(), stage.took);
            }
            self.observe("total", live.total);
        }
    }

    pub(crate) fn count_dead_letter(&self, stream: Stream) {
        self.dead_letters.with_label_values(&[stream.name()]).inc();
    }

    /// Forgets an application that is gone.
    pub(crate) fn forget(&self, view: &View) {
        for phase in [
            OperationPhase::Succeeded,
            OperationPhase::Failed,
            OperationPhase::Error,
        ] {
            let labels = [
                view.app.name(),
                view.app.namespace(),
                &view.project,
                &server(view),
                phase.as_str(),
            ];
            // One that never ended that way has no such series.
            let _ = self.syncs.remove_label_values(&labels);
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of a release are far below 2^52"
    )]
    fn observe(&self, stage: &str, took: u64) {
        self.commit_to_live
            .with_label_values(&[stage])
            .observe(took as f64 / 1_000.0);
    }
}

fn server(view: &View) -> String {
    match view.destination.server() {
        Some(server) => server.to_owned(),
        None => view.destination.name().unwrap_or_default().to_owned(),
    }
}

/// The applications as they are at this moment.
struct Applications {
    store: Weak<Store>,
    info: Opts,
    pinned: Opts,
    conditions: Opts,
    descriptions: Vec<Desc>,
}

impl Applications {
    fn new(store: &Arc<Store>) -> prometheus::Result<Self> {
        let mut made = Self {
            store: Arc::downgrade(store),
            info: Opts::new(
                "argocd_app_info",
                "Information about an Application; always 1.",
            ),
            pinned: Opts::new(
                "towline_application_pinned",
                "Applications that are held at a release, and what ends that; always 1.",
            ),
            conditions: Opts::new(
                "towline_conditions",
                "Conditions of all applications, by type.",
            ),
            descriptions: Vec::new(),
        };
        let gauges = made.gauges()?;
        made.descriptions = gauges.iter().flat_map(Collector::desc).cloned().collect();
        Ok(made)
    }

    fn gauges(&self) -> prometheus::Result<[IntGaugeVec; 3]> {
        Ok([
            IntGaugeVec::new(self.info.clone(), &INFO)?,
            IntGaugeVec::new(self.pinned.clone(), &["name", "namespace", "until"])?,
            IntGaugeVec::new(self.conditions.clone(), &["type"])?,
        ])
    }
}

impl Collector for Applications {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Made anew each time: an application that is gone leaves no series behind.
        let (Some(store), Ok([info, pinned, conditions])) = (self.store.upgrade(), self.gauges())
        else {
            return Vec::new();
        };
        let mut counted: HashMap<ConditionType, i64> = HashMap::new();
        for view in store.views() {
            info.with(&labels(&view)).set(1);
            if let Some(pin) = &view.pin {
                pinned
                    .with_label_values(&[view.app.name(), view.app.namespace(), pin.until.as_str()])
                    .set(1);
            }
            for condition in &view.conditions {
                *counted.entry(condition.kind).or_default() += 1;
            }
        }
        for (kind, count) in counted {
            conditions.with_label_values(&[kind.as_str()]).set(count);
        }
        [info, pinned, conditions]
            .iter()
            .flat_map(Collector::collect)
            .collect()
    }
}

fn labels(view: &View) -> HashMap<&'static str, String> {
    let running = view
        .operation
        .as_ref()
        .is_some_and(|operation| !completed(operation.phase));
    let operation = match (running, view.deleting) {
        (_, true) => "delete",
        (true, false) => "sync",
        (false, false) => "",
    };
    let repo = view
        .sources
        .first()
        .map(|source| source.repo_url.clone())
        .unwrap_or_default();
    let values = [
        view.app.name().to_owned(),
        view.app.namespace().to_owned(),
        view.project.clone(),
        server(view),
        view.destination.namespace().to_owned(),
        view.health.status.as_str().to_owned(),
        view.sync.as_str().to_owned(),
        view.automated.to_string(),
        repo,
        operation.to_owned(),
    ];
    let pairs: BTreeMap<&str, String> = INFO.into_iter().zip(values).collect();
    pairs.into_iter().collect()
}
