//! The benchmark `watcher`: many applications in one large repository.
//!
//! stack → `monorepo` (files, Applications that were there before) → a fresh Towline → first start (every application published) →
//! commits of one file (each publishes one application) → `report`. Times are the watcher's own, from the messages
//! (`follow`).

mod follow;
mod monorepo;
mod report;

use std::path::Path;

use anyhow::Context;
use bus::clock;
use tests::installation::Options;
use tests::usage;
use tests::{Cluster, Installation, LocalStack, Repo};

use crate::sample::{Sample, load};
use crate::{WatcherArgs, fleet};

use follow::{Follower, News};
use report::{FirstStart, Report};

pub(crate) async fn run(args: &WatcherArgs, own: &Path) -> anyhow::Result<()> {
    eprintln!("starting the local stack");
    // It lives as long as the process, like everything that refers to it.
    let stack: &'static LocalStack = Box::leak(Box::new(LocalStack::start().await?));
    let outcome = measure(args, own, stack).await;
    stack.end();
    let report = outcome?;
    println!("{}", report::table(&report));
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

async fn measure(
    args: &WatcherArgs,
    own: &Path,
    stack: &'static LocalStack,
) -> anyhow::Result<Report> {
    let load_before = load();
    let options = |name: &str| -> anyhow::Result<Options> {
        Ok(Options {
            name: name.to_owned(),
            namespace: "bench-watcher-apps".to_owned(),
            arguments: vec![format!("--log-level={}", args.log_level)],
            environment: Vec::new(),
            vault: None,
            executable: fleet::place_program(own, &stack.folder(&format!("bin-{name}"))?)?,
        })
    };
    // The first one only brings what Applications need to be created.
    Installation::start(stack, options("before")?)
        .await?
        .stop()
        .await;
    let cluster = Cluster::connect(stack.kubeconfig()).await?;
    cluster.namespace("bench-watcher").await?;
    let repo = stack.git.create("bench-watcher")?;
    let first = fleet::commit(&repo, "first", &monorepo::files(args.apps, args.files)?)?;
    eprintln!(
        "a repository of {} files; creating {} Applications",
        args.files, args.apps
    );
    monorepo::create(&cluster, args.apps, &repo, "bench-watcher-apps").await?;

    eprintln!("starting Towline");
    let started = clock::now_ms();
    let towline = Installation::start(stack, options("watcher")?).await?;
    let outcome = with_towline(args, &towline, &repo, &first, started).await;
    if let Some(folder) = &args.logs {
        towline.keep_logs(folder)?;
    }
    let mut report = outcome?;
    report.load = [load_before, load()];
    towline.stop().await;
    Ok(report)
}

async fn with_towline(
    args: &WatcherArgs,
    towline: &Installation,
    repo: &Repo,
    first: &str,
    started: u64,
) -> anyhow::Result<Report> {
    let watcher = towline.service("watcher")?.pid;
    let renderer = towline.service("renderer")?.pid;
    let mut follower = Follower::new(&towline.bus().await?);
    let published = follower
        .until(
            &format!("{} applications are published", args.apps),
            |all| all.published_at(first).count() == args.apps,
        )
        .await?
        .published_at(first)
        .cloned()
        .collect::<Vec<_>>();
    follower
        .until("all of them are rendered", |all| {
            all.rendered_at(first).count() == args.apps
        })
        .await?;
    let first_start = first_start(&published, started);
    let memory_after_start = usage::of(&[watcher])?;
    eprintln!(
        "all published {} ms after their first sight; the watcher has {:.0} MiB (RSS)",
        first_start.first_seen, memory_after_start.rss_mib
    );

    let webhook = towline.webhook()?;
    let (mut publishing, mut on_bus, mut fetching) = (Vec::new(), Vec::new(), Vec::new());
    let before = usage::of(&[watcher])?;
    for number in 0..args.commits {
        let index = number * 7 % args.apps;
        let file = fleet::config(index, &format!("commit-{number}"))?;
        let commit = fleet::commit(repo, "one", &[file])?;
        webhook.push(repo, &commit).await?;
        let news = follower
            .until(&format!("{commit} is published and rendered"), |all| {
                all.rendered_at(&commit).count() > 0
            })
            .await?;
        let news: Vec<News> = news.published_at(&commit).cloned().collect();
        anyhow::ensure!(
            news.len() == 1 && news[0].app.name() == fleet::name(index),
            "a commit to {} published {:?}",
            fleet::name(index),
            news.iter().map(|news| &news.app).collect::<Vec<_>>()
        );
        let since = |later: u64, earlier: u64| millis(later.saturating_sub(earlier));
        let one = &news[0];
        fetching.push(since(one.trigger.fetched, one.trigger.noticed));
        publishing.push(since(one.trigger.published, one.trigger.fetched));
        on_bus.push(since(one.seen, one.trigger.fetched));
    }
    let after = usage::of(&[watcher])?;
    #[expect(clippy::cast_precision_loss, reason = "a few commits")]
    let cpu = (after - before) / args.commits.max(1) as f64;
    Ok(Report {
        apps: args.apps,
        files: args.files,
        first_start,
        noticed_to_fetched: Sample::of(fetching),
        fetched_to_published: Sample::of(publishing),
        fetched_to_on_bus: Sample::of(on_bus),
        cpu_per_commit: cpu,
        memory_after_start,
        memory_after_commits: after,
        renderer: usage::of(&[renderer])?,
        load: [0.0; 2],
    })
}

fn first_start(published: &[News], started: u64) -> FirstStart {
    let times = |of: &dyn Fn(&News) -> u64| published.iter().map(of).collect::<Vec<_>>();
    let noticed = times(&|news| news.trigger.noticed);
    let fetched = times(&|news| news.trigger.fetched);
    let seen = times(&|news| news.seen);
    let last = seen.into_iter().max().unwrap_or_default();
    let before = |times: Vec<u64>| last.saturating_sub(times.into_iter().min().unwrap_or_default());
    FirstStart {
        launched: last.saturating_sub(started),
        first_seen: before(noticed),
        fetched: before(fetched),
    }
}

fn millis(millis: u64) -> f64 {
    std::time::Duration::from_millis(millis).as_secs_f64()
}
