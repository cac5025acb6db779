//! Several renderers share the work; any of them may die at any time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bus::message::manifests::Manifests;
use bus::subject::Stream;
use bus::{AppId, Bus, Generation, Update};
use tests::LocalStack;
use tests::installation::Options;
use tests::manifest::config_map;
use tests::wait::{check, until};
use tests::{App, Installation, Scene};
use tokio::task::JoinHandle;

const RENDERERS: [&str; 3] = ["renderer", "renderer-2", "renderer-3"];
const APPLICATIONS: usize = 30;
const ROUNDS: usize = 6;

/// Follows the manifests of all applications.
struct Order {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    generations: HashMap<AppId, Generation>,
    messages: usize,
    back: Vec<String>,
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Order {
    fn watch(bus: &Bus) -> Self {
        let mut watch =
            bus.watch_stream::<Manifests>(Stream::Manifests, &Stream::Manifests.pattern());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let task = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                loop {
                    let Update::Put(stored) = watch.next().await else {
                        continue;
                    };
                    let Manifests {
                        app, generation, ..
                    } = stored.value;
                    let mut seen = lock(&seen);
                    seen.messages += 1;
                    let before = seen.generations.insert(app.clone(), generation);
                    if before.is_some_and(|before| before >= generation) {
                        seen.back
                            .push(format!("{app}: {generation} after {before:?}"));
                    }
                }
            }
        });
        Self { seen, task }
    }

    fn messages(&self) -> usize {
        lock(&self.seen).messages
    }

    fn back(&self) -> Vec<String> {
        lock(&self.seen).back.clone()
    }
}

impl Drop for Order {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn name(number: usize) -> String {
    format!("part-{number}")
}

/// One file for each application of `numbers`.
fn files(numbers: impl Iterator<Item = usize>, value: usize) -> Vec<(String, String)> {
    let file = |number| {
        let name = name(number);
        let content = config_map(&name, "value", &value.to_string());
        (format!("{name}/config.yaml"), content)
    };
    numbers.map(file).collect()
}

fn borrowed(files: &[(String, String)]) -> Vec<(&str, &str)> {
    files
        .iter()
        .map(|(path, content)| (path.as_str(), content.as_str()))
        .collect()
}

#[tokio::test]
async fn three_renderers_share_the_work_and_any_of_them_may_be_killed() -> anyhow::Result<()> {
    let options = Options::own("replicas").argument("--renderers=3");
    let towline = Installation::start(LocalStack::shared()?, options).await?;
    let scene = Scene::on(&towline, "replicas").await?;
    let order = Order::watch(&towline.bus().await?);
    let first = files(0..APPLICATIONS, 0);
    let first = scene.repo.commit("0", &borrowed(&first))?;
    let mut apps: Vec<App<'_>> = Vec::new();
    for number in 0..APPLICATIONS {
        apps.push(scene.app(&name(number)).strict().create().await?);
    }
    for app in &apps {
        app.settled(&first).await?;
    }
    for renderer in RENDERERS {
        let metrics = towline.metrics(renderer).await?;
        let took_part = metrics
            .lines()
            .any(|line| line.starts_with("towline_renders_total") && line.contains("\"rendered\""));
        assert!(took_part, "{renderer} took no part: {metrics}");
    }

    let mut values = vec![0; APPLICATIONS];
    let mut last = first;
    for round in 1..=ROUNDS {
        let changed = || (0..APPLICATIONS).filter(|number| (number + round) % 3 > 0);
        for number in changed() {
            values[number] = round;
        }
        let before = order.messages();
        let files = files(changed(), round);
        last = scene.push(&round.to_string(), &borrowed(&files)).await?;
        // The first manifests are there: the others are in work, or wait.
        until("the renders have begun", || async {
            check(order.messages() > before, || "no manifests".to_owned())
        })
        .await?;
        let renderer = RENDERERS[usize::from(rand::random::<u8>()) % RENDERERS.len()];
        let pid = towline.kill_service(renderer)?;
        towline.restarted(renderer, pid).await?;
    }
    for (number, app) in apps.iter().enumerate() {
        // What the last commit didn't concern says the one before.
        if values[number] == ROUNDS {
            app.settled(&last).await?;
        }
        let value = values[number].to_string();
        scene.config(&name(number), "value", &value).await?;
    }
    assert!(order.back().is_empty(), "{:?}", order.back());
    Ok(())
}
