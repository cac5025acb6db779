//! The benchmark `drift`: some of many objects are edited by hand at once, and all of them are healed.
//!
//! Stack → N applications, synced → edits → until every field is as it was → what was asked of the API server meanwhile, by its own
//! count. The floor is bare server-side applies of the same objects by nobody but the benchmark.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use futures::{StreamExt, TryStreamExt};
use kube::api::{Patch, PatchParams};
use serde::Serialize;
use serde_json::json;
use tests::app::text;
use tests::installation::Options;
use tests::{Cluster, Installation, LocalStack};

use crate::DriftArgs;
use crate::fleet::{self, AT_ONCE};
use crate::live::{Live, Objects};

/// What the issue asks for.
const HEALED_WITHIN: f64 = 2.0;
/// The kinds of the objects, as the API server counts requests for them.
const RESOURCES: [&str; 3] = ["configmaps", "services", "serviceaccounts"];

/// Times in seconds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    objects: usize,
    edited: usize,
    /// Applying the edited objects and nothing else.
    floor: f64,
    /// Until all edits were made.
    edits: f64,
    /// From the first edit until the last object was healed.
    healed: f64,
    /// From the last edit on.
    healed_after: f64,
    /// By verb and resource, what was asked of the API server without the benchmark's own edits; watches aren't counted.
    requests: BTreeMap<String, i64>,
    /// Those beyond one apply of each edited object.
    for_others: i64,
}

pub(crate) async fn run(args: &DriftArgs, own: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.edits <= args.apps,
        "one object of each application is edited: give at most --edits {}",
        args.apps
    );
    eprintln!("starting the local stack");
    // It lives as long as the process, like everything that refers to it.
    let stack: &'static LocalStack = Box::leak(Box::new(LocalStack::start().await?));
    let outcome = measure(args, own, stack).await;
    stack.end();
    let report = outcome?;
    println!("{}", table(&report));
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

async fn measure(
    args: &DriftArgs,
    own: &Path,
    stack: &'static LocalStack,
) -> anyhow::Result<Report> {
    let program = fleet::place_program(own, &stack.folder("bin")?)?;
    let cluster = Cluster::connect(stack.kubeconfig()).await?;
    // The first requests of a fresh client are not what is measured.
    floor(&cluster, "floor-warm", 5).await?;
    let floor = floor(&cluster, "floor-drift", args.edits).await?;
    let options = Options {
        name: "drift".to_owned(),
        namespace: "drift-apps".to_owned(),
        environment: Vec::new(),
        vault: None,
        arguments: vec![format!("--log-level={}", args.log_level)],
        executable: program,
    };
    let towline = Installation::start(stack, options).await?;
    let outcome = heal(args, &towline, &cluster, floor).await;
    if let Some(folder) = &args.logs {
        towline.keep_logs(folder)?;
    }
    towline.stop().await;
    outcome
}

/// Seconds to apply so many objects that are there, with another value.
async fn floor(cluster: &Cluster, namespace: &str, objects: usize) -> anyhow::Result<f64> {
    cluster.namespace(namespace).await?;
    let mut seconds = 0.0;
    for version in ["0", "1"] {
        let start = Instant::now();
        futures::stream::iter(0..objects)
            .map(|index| async move {
                let [mut object, ..] = fleet::objects(index, version);
                object["metadata"]["namespace"] = namespace.into();
                cluster.apply(&object).await.map(drop)
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        seconds = start.elapsed().as_secs_f64();
    }
    cluster.delete("Namespace", "", namespace).await?;
    cluster.gone("Namespace", "", namespace).await?;
    Ok(seconds)
}

async fn heal(
    args: &DriftArgs,
    towline: &Installation,
    cluster: &Cluster,
    floor: f64,
) -> anyhow::Result<Report> {
    let destination = "drift-live";
    cluster.namespace(destination).await?;
    let repo = towline.stack().git.create("drift")?;
    let commit = fleet::commit(&repo, "first", &fleet::files(args.apps)?)?;
    let mut live = Live::follow(cluster, destination, &["ConfigMap"]).await?;
    let mut statuses = Live::follow(cluster, towline.namespace(), &["Application"]).await?;
    fleet::create(cluster, args.apps, &repo, towline.namespace(), destination).await?;
    statuses
        .until("all applications are synced", |objects| {
            (0..args.apps).all(|index| synced(objects, index, &commit))
        })
        .await?;
    eprintln!("{} applications are synced", args.apps);

    // Spread over all of them.
    let edited: Vec<usize> = (0..args.edits)
        .map(|at| at * args.apps / args.edits.max(1))
        .collect();
    let api = cluster.api("ConfigMap", destination)?;
    let by_hand = PatchParams {
        field_manager: Some("kubectl-edit".to_owned()),
        ..PatchParams::default()
    };
    let before = requests(cluster).await?;
    let start = Instant::now();
    let edits = edited.iter().map(|&index| {
        let (api, by_hand) = (&api, &by_hand);
        async move {
            let patch = Patch::Merge(json!({"data": {"version": "by hand"}}));
            let patched = api.patch(&fleet::name(index), by_hand, &patch).await?;
            // A watch may have it later than its healing.
            anyhow::Ok((index, patched.metadata.resource_version.unwrap_or_default()))
        }
    });
    let edits: BTreeMap<usize, String> = futures::stream::iter(edits)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let made = Instant::now();
    let healed = live
        .until("all edits are healed", |objects| {
            edits
                .keys()
                .all(|&index| version(objects, index) == Some("0"))
        })
        .await?
        .max(made);
    // What follows a healing, such as a record, is counted, too.
    statuses
        .until("all applications are synced again", |objects| {
            edited.iter().all(|&index| synced(objects, index, &commit))
        })
        .await?;
    let mut asked = difference(&before, &requests(cluster).await?);
    let own = i64::try_from(edits.len())?;
    *asked.entry("PATCH configmaps".to_owned()).or_default() -= own;
    asked.retain(|_, count| *count != 0);
    let for_others = asked.values().sum::<i64>() - own;
    Ok(Report {
        objects: args.apps * 3,
        edited: edits.len(),
        floor,
        edits: (made - start).as_secs_f64(),
        healed: (healed - start).as_secs_f64(),
        healed_after: (healed - made).as_secs_f64(),
        requests: asked,
        for_others,
    })
}

fn synced(objects: &Objects, index: usize, commit: &str) -> bool {
    let key = ("Application".to_owned(), fleet::name(index));
    objects.get(&key).is_some_and(|app| {
        text(app, "/status/sync/status") == "Synced"
            && text(app, "/status/health/status") == "Healthy"
            && text(app, "/status/sync/revision") == commit
    })
}

fn version(objects: &Objects, index: usize) -> Option<&str> {
    let key = ("ConfigMap".to_owned(), fleet::name(index));
    objects
        .get(&key)
        .map(|object| text(object, "/data/version"))
}

/// How many requests the API server had for the kinds of the objects, by verb and resource.
async fn requests(cluster: &Cluster) -> anyhow::Result<BTreeMap<String, i64>> {
    let request = http::Request::get("/metrics").body(Vec::new())?;
    let metrics = cluster.client.request_text(request).await?;
    Ok(counted(&metrics))
}

fn counted(metrics: &str) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for line in metrics.lines() {
        let Some(rest) = line.strip_prefix("apiserver_request_total{") else {
            continue;
        };
        let Some((labels, count)) = rest.rsplit_once("} ") else {
            continue;
        };
        let label = |name: &str| {
            let labels = labels.split(',');
            let pair = labels.filter_map(|pair| pair.split_once("=\""));
            pair.into_iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.trim_end_matches('"'))
        };
        let (Some(verb), Some(resource), Some("")) =
            (label("verb"), label("resource"), label("subresource"))
        else {
            continue;
        };
        // Server-side apply is a verb of its own here.
        let verb = if verb == "APPLY" { "PATCH" } else { verb };
        if !RESOURCES.contains(&resource) || matches!(verb, "WATCH" | "LIST") {
            continue;
        }
        // Whole numbers, written as such or with an exponent.
        #[expect(clippy::cast_possible_truncation, reason = "a count")]
        let count = count.trim().parse::<f64>().unwrap_or_default() as i64;
        *counts.entry(format!("{verb} {resource}")).or_default() += count;
    }
    counts
}

fn difference(
    before: &BTreeMap<String, i64>,
    after: &BTreeMap<String, i64>,
) -> BTreeMap<String, i64> {
    let grown = after.iter().map(|(what, count)| {
        let before = before.get(what).copied().unwrap_or_default();
        (what.clone(), count - before)
    });
    grown.collect()
}

fn table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["figure", "measured", "asked for", "ratio"]);
    let ratio = |of: f64| format!("{:.2}", report.healed / of);
    table.add_row([
        format!("{} of {} objects healed", report.edited, report.objects),
        format!("{:.2} s", report.healed),
        format!("{HEALED_WITHIN} s"),
        ratio(HEALED_WITHIN),
    ]);
    table.add_row([
        "floor: bare applies of as many".to_owned(),
        format!("{:.2} s", report.floor),
        String::new(),
        ratio(report.floor),
    ]);
    table.add_row([
        "making the edits".to_owned(),
        format!("{:.2} s", report.edits),
        String::new(),
        ratio(report.edits),
    ]);
    table.add_row([
        "healed after the last edit".to_owned(),
        format!("{:.2} s", report.healed_after),
        String::new(),
        String::new(),
    ]);
    table.add_row([
        "requests for others".to_owned(),
        report.for_others.to_string(),
        "0".to_owned(),
        String::new(),
    ]);
    for (what, count) in &report.requests {
        table.add_row([
            format!("  {what}"),
            count.to_string(),
            String::new(),
            String::new(),
        ]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
