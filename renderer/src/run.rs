//! The service: everything is put together here, and nothing else.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bus::message::desired::Desired;
use bus::service::Service;
use bus::subject::{self, Stream};
use bus::{Bus, Digest};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;

use crate::anew;
use crate::args::Args;
use crate::consume::{self, Renderer};
use crate::engine::{Pool, PoolOptions};
use crate::metrics::Metrics;
use crate::publish::Publisher;
use crate::snapshot::Snapshots;

/// Runs the renderer until it is told to stop.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let concurrency = args.concurrency();
    let (time_limit, memory_limit) = (args.time_limit(), args.memory_limit());
    let Args {
        connect,
        admin,
        engine,
        scratch,
        renders: _,
        render_timeout: _,
        render_memory: _,
        anew: anew_every,
        require_confinement,
    } = args;

    let mut service = Service::start("renderer", &admin).await?;
    let readiness = service.readiness("renderer");
    let metrics = Metrics::new(service.registry()).context("registering metrics")?;
    let engine = find(&engine)?;
    let engine_digest = {
        let engine = engine.clone();
        tokio::task::spawn_blocking(move || digest_of(&engine))
            .await
            .context("reading the engine")??
    };

    let scratch = scratch.unwrap_or_else(std::env::temp_dir);
    std::fs::create_dir_all(&scratch).with_context(|| format!("creating {}", scratch.display()))?;
    let folder = tempfile::Builder::new()
        .prefix("towline-renderer-")
        .tempdir_in(&scratch)
        .with_context(|| format!("creating a folder in {}", scratch.display()))?;
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).with_context(|| format!("creating {}", empty.display()))?;

    let pool = Pool::new(
        PoolOptions {
            engine,
            folder: empty,
            workers: concurrency,
            memory_limit,
            time_limit,
            require_confinement,
        },
        metrics.workers_replaced.clone(),
    );
    let confinement = pool.try_out().await.context("starting a worker")?;
    metrics.confined(&confinement);
    let snapshots = folder.path().to_owned();
    let token = service.token();
    // In a task: a broker that isn't ready must not keep the process from hearing signals.
    service.spawn("consumers", async move {
        let bus = tokio::select! {
            () = token.cancelled() => return Ok(()),
            bus = Bus::connect(&connect, "renderer") => bus?,
        };
        let renderer = Arc::new(Renderer {
            snapshots: Snapshots::new(&bus, snapshots, metrics.clone()),
            publisher: Publisher::new(bus.clone()),
            bus: bus.clone(),
            pool,
            metrics,
            engine: engine_digest,
        });
        let work = bus.work::<Desired>(Stream::Desired, subject::RENDERER);
        let mut consumers = JoinSet::new();
        let round = Duration::from_secs(anew_every);
        consumers.spawn(anew::run(Arc::clone(&renderer), round, token.clone()));
        for _ in 0..concurrency {
            consumers.spawn(consume::consume(
                Arc::clone(&renderer),
                work.clone(),
                token.clone(),
            ));
        }
        readiness.ready();
        // They end when told to; a panic of one ends the process.
        while let Some(ended) = consumers.join_next().await {
            ended
                .context("a consumer")?
                .unwrap_or_else(|never| match never {});
        }
        anyhow::Ok(())
    });
    service.run().await
}

/// The engine's program: a path, or a name on the PATH.
fn find(engine: &Path) -> anyhow::Result<std::path::PathBuf> {
    if engine.components().count() > 1 || engine.is_absolute() {
        return engine
            .canonicalize()
            .with_context(|| format!("the engine {} is not there", engine.display()));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(engine))
        .find(|candidate| candidate.is_file())
        .with_context(|| {
            format!(
                "the engine `{}` is not on the PATH; name it with --engine",
                engine.display()
            )
        })
}

fn digest_of(engine: &Path) -> anyhow::Result<Digest> {
    let mut file =
        std::fs::File::open(engine).with_context(|| format!("opening {}", engine.display()))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file
            .read(&mut buffer)
            .with_context(|| format!("reading {}", engine.display()))?
        {
            0 => break,
            length => hash.update(&buffer[..length]),
        }
    }
    Ok(hex::encode(hash.finalize()).parse()?)
}
