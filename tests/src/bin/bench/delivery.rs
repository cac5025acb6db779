//! The benchmark `delivery`.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use tests::app::text;
use tests::installation::Options;
use tests::usage::{self, Usage};
use tests::{Cluster, Installation, LocalStack, Repo};

use crate::charts;
use crate::fleet;
use crate::floor;
use crate::live::{Live, Objects};
use crate::report::{Commit, Fleet, Phase, Process, Report};
use crate::{DeliveryArgs, report};

pub(crate) async fn run(args: &DeliveryArgs, own: &Path) -> anyhow::Result<()> {
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
    args: &DeliveryArgs,
    own: &Path,
    stack: &'static LocalStack,
) -> anyhow::Result<Report> {
    let program = fleet::place_program(own, &stack.folder("bin")?)?;
    let cluster = Cluster::connect(stack.kubeconfig()).await?;
    // The first requests to a fresh server, and of a fresh client, are not what is measured.
    floor::measure(&cluster, 5).await?;
    let mut floors = Vec::new();
    for &apps in &args.apps {
        let seconds = floor::measure(&cluster, apps).await?;
        eprintln!("floor for {apps} applications: {seconds:.2} s");
        floors.push(seconds);
    }
    let mut fleets = Vec::new();
    for (&apps, floor) in args.apps.iter().zip(floors) {
        let name = format!("bench-{apps}");
        let options = Options {
            namespace: format!("{name}-apps"),
            name,
            arguments: vec![format!("--log-level={}", args.log_level)],
            environment: Vec::new(),
            vault: None,
            executable: program.clone(),
        };
        let towline = Installation::start(stack, options).await?;
        let outcome = one_fleet(&towline, &cluster, (apps, floor), args).await;
        if let Some(folder) = &args.logs {
            towline.keep_logs(&folder.join(apps.to_string()))?;
        }
        fleets.push(outcome?);
        towline.stop().await;
    }
    Ok(Report { fleets })
}

async fn one_fleet(
    towline: &Installation,
    cluster: &Cluster,
    (apps, floor): (usize, f64),
    args: &DeliveryArgs,
) -> anyhow::Result<Fleet> {
    let destination = format!("bench-{apps}-live");
    cluster.namespace(&destination).await?;
    let repo = towline.stack().git.create(&format!("bench-{apps}"))?;
    let first = fleet::commit(&repo, "first", &fleet::files(apps)?)?;
    let mut bench = Bench {
        live: Live::follow(
            cluster,
            &destination,
            &["ConfigMap", "Service", "ServiceAccount"],
        )
        .await?,
        statuses: Live::follow(cluster, towline.namespace(), &["Application"]).await?,
        towline,
        repo,
        apps,
    };

    let before = bench.usage()?;
    let start = Instant::now();
    fleet::create(
        cluster,
        apps,
        &bench.repo,
        towline.namespace(),
        &destination,
    )
    .await?;
    let created = start.elapsed().as_secs_f64();
    let live = bench
        .live
        .until("all objects are live", |objects| {
            all_live(objects, apps, "0")
        })
        .await?;
    let settled = bench.settled(0..apps, &first).await?;
    let first_sync = bench.phase(before, start, live, settled)?;
    eprintln!(
        "{apps} applications: created in {created:.2} s, live after {:.2} s",
        first_sync.seconds
    );

    let begun = bench.processes()?;
    tokio::time::sleep(Duration::from_secs(args.idle)).await;
    let rested = bench.processes()?;
    let single = bench.single_commits(args.commits).await?;
    let committed = bench.processes()?;
    eprintln!(
        "{apps} applications: {} commits, median {:.3} s",
        args.commits, single.median
    );

    let before = bench.usage()?;
    let files = (0..apps)
        .map(|index| fleet::config(index, "all"))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let start = Instant::now();
    let commit = fleet::commit(&bench.repo, "all", &files)?;
    towline.webhook()?.push(&bench.repo, &commit).await?;
    let live = bench
        .live
        .until("all objects are new", |objects| {
            all_live(objects, apps, "all")
        })
        .await?;
    let settled = bench.settled(0..apps, &commit).await?;
    let all = bench.phase(before, start, live, settled)?;
    eprintln!(
        "{apps} applications: a commit to all, live after {:.2} s",
        all.seconds
    );

    let workers = charts::on_each_worker(towline, cluster, &destination).await?;
    #[expect(clippy::cast_precision_loss, reason = "a few commits, a short time")]
    let (idle, commits) = (args.idle.max(1) as f64, args.commits.max(1) as f64);
    let ended = bench.processes()?.into_iter();
    let processes = ended.zip(begun.iter().zip(rested.iter().zip(&committed)));
    let processes = processes.map(
        |((name, usage), ((_, begun), ((_, rested), (_, committed))))| {
            let idle_cpu = (*rested - *begun) / idle;
            let commit_cpu = (*committed - *rested) / commits;
            Process {
                name,
                idle_cpu,
                commit_cpu,
                usage,
            }
        },
    );
    Ok(Fleet {
        apps,
        floor,
        created,
        first_sync,
        single,
        all,
        workers,
        processes: processes.collect(),
    })
}

struct Bench<'a> {
    live: Live,
    statuses: Live,
    towline: &'a Installation,
    repo: Repo,
    apps: usize,
}

impl Bench<'_> {
    async fn single_commits(&mut self, commits: usize) -> anyhow::Result<Commit> {
        let webhook = self.towline.webhook()?;
        let (mut times, mut settles) = (Vec::new(), Vec::new());
        for number in 0..commits {
            let index = number * 7 % self.apps;
            let version = format!("single-{number}");
            let file = fleet::config(index, &version)?;
            let start = Instant::now();
            let commit = fleet::commit(&self.repo, "one", &[file])?;
            webhook.push(&self.repo, &commit).await?;
            let live = self
                .live
                .until("the object is new", |objects| {
                    version_of(objects, index) == version
                })
                .await?;
            times.push((live - start).as_secs_f64());
            let settled = self.settled(index..index + 1, &commit).await?;
            settles.push((settled.saturating_duration_since(live)).as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        settles.sort_by(f64::total_cmp);
        Ok(Commit {
            median: times.get(times.len() / 2).copied().unwrap_or_default(),
            max: times.last().copied().unwrap_or_default(),
            settled_max: settles.last().copied().unwrap_or_default(),
            all: times,
        })
    }

    /// When these applications' statuses said so.
    async fn settled(
        &mut self,
        apps: std::ops::Range<usize>,
        commit: &str,
    ) -> anyhow::Result<Instant> {
        let holds = |objects: &Objects| apps.clone().all(|index| settled(objects, index, commit));
        let outcome = self.statuses.until("the statuses are settled", holds).await;
        outcome.map_err(|error| {
            let objects = self.statuses.objects();
            let late = apps
                .clone()
                .filter(|&index| !settled(&objects, index, commit));
            let states = late.map(|index| {
                let key = ("Application".to_owned(), fleet::name(index));
                let status = objects
                    .get(&key)
                    .map(|app| app["status"]["sync"].to_string());
                format!("{} {}", key.1, status.unwrap_or_default())
            });
            let states: Vec<String> = states.collect();
            error.context(format!(
                "{} applications are late at {commit}, such as {:?}",
                states.len(),
                &states[..states.len().min(3)]
            ))
        })
    }

    fn phase(
        &self,
        before: Usage,
        start: Instant,
        live: Instant,
        settled: Instant,
    ) -> anyhow::Result<Phase> {
        Ok(Phase {
            seconds: live.saturating_duration_since(start).as_secs_f64(),
            settled_after: settled.saturating_duration_since(live).as_secs_f64(),
            cpu: self.usage()? - before,
        })
    }

    /// Of the five services with their workers, and NATS.
    fn usage(&self) -> anyhow::Result<Usage> {
        usage::of(
            &self
                .pids()?
                .into_iter()
                .map(|(_, pid)| pid)
                .collect::<Vec<_>>(),
        )
    }

    /// The same by process; a worker counts for its renderer.
    fn processes(&self) -> anyhow::Result<Vec<(String, Usage)>> {
        let pids = self.pids()?.into_iter();
        pids.map(|(name, pid)| Ok((name, usage::of(&[pid])?)))
            .collect()
    }

    fn pids(&self) -> anyhow::Result<Vec<(String, i32)>> {
        let services = self.towline.state()?.services.into_iter();
        let mut pids: Vec<_> = services
            .map(|service| (service.name, service.pid))
            .collect();
        let nats = self.towline.nats.process().context("NATS does not run")?;
        pids.push(("nats-server".to_owned(), nats.pid().cast_signed()));
        Ok(pids)
    }
}

fn settled(objects: &Objects, index: usize, commit: &str) -> bool {
    let key = ("Application".to_owned(), fleet::name(index));
    objects.get(&key).is_some_and(|app| {
        text(app, "/status/sync/status") == "Synced"
            && text(app, "/status/health/status") == "Healthy"
            && text(app, "/status/sync/revision") == commit
    })
}

fn version_of(objects: &Objects, index: usize) -> &str {
    let key = ("ConfigMap".to_owned(), fleet::name(index));
    objects
        .get(&key)
        .map_or("", |object| text(object, "/data/version"))
}

fn all_live(objects: &Objects, apps: usize, version: &str) -> bool {
    (0..apps).all(|index| {
        version_of(objects, index) == version
            && ["Service", "ServiceAccount"]
                .iter()
                .all(|kind| objects.contains_key(&((*kind).to_owned(), fleet::name(index))))
    })
}
