//! The five services as child processes: started, waited for, started again when one ends, stopped together.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use deploy::process::{Process, Program};
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::state_file::ServiceState;

const READY_WITHIN: Duration = Duration::from_mins(1);
/// Longer than a service's own drain.
const STOP_WITHIN: Duration = Duration::from_secs(25);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A service that ran so long had started well: the next pause is a short one again.
const RAN_WELL: Duration = Duration::from_secs(30);

/// A service's command line, without what all have in common.
#[derive(Clone, Debug)]
pub(super) struct ServiceCommand {
    /// What it is.
    pub service: &'static str,
    /// Which of them it is.
    pub name: String,
    pub arguments: Vec<OsString>,
    /// What must not be among the arguments.
    pub environment: Vec<(&'static str, OsString)>,
}

/// Running services. Dropping it kills them.
pub(super) struct Supervisor {
    executable: PathBuf,
    folder: PathBuf,
    running: BTreeMap<usize, Running>,
    commands: Vec<ServiceCommand>,
    states: watch::Sender<Vec<ServiceState>>,
}

struct Running {
    process: Process,
    since: std::time::Instant,
}

impl Supervisor {
    /// Starts all of `commands` and returns when each is ready; logs and admin addresses go below `folder`.
    pub(super) async fn start(
        commands: Vec<ServiceCommand>,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let executable = std::env::current_exe().context("finding the path of this program")?;
        let mut supervisor = Self {
            executable,
            folder: folder.to_owned(),
            running: BTreeMap::new(),
            commands,
            states: watch::Sender::new(Vec::new()),
        };
        for index in 0..supervisor.commands.len() {
            supervisor.launch(index)?;
        }
        let ready = (0..supervisor.commands.len()).map(|index| supervisor.ready(index));
        futures::future::try_join_all(ready).await?;
        supervisor.publish();
        Ok(supervisor)
    }

    /// Names, process ids and admin addresses; changes when a service was started again.
    pub(super) fn states(&self) -> watch::Receiver<Vec<ServiceState>> {
        self.states.subscribe()
    }

    /// Starts again what ends, until `token` is cancelled; then stops all, politely.
    pub(super) async fn run(mut self, token: CancellationToken) -> anyhow::Result<()> {
        let mut pauses = vec![FIRST_PAUSE; self.commands.len()];
        loop {
            let ended = {
                let mut ends: FuturesUnordered<_> = self
                    .running
                    .iter()
                    .map(|(&index, running)| {
                        let wait = running.process.wait();
                        async move { (index, wait.await) }
                    })
                    .collect();
                tokio::select! {
                    () = token.cancelled() => None,
                    ended = ends.next() => ended,
                }
            };
            let Some((index, status)) = ended else {
                break;
            };
            let name = self.commands[index].name.clone();
            let ran = self
                .running
                .remove(&index)
                .map_or(Duration::ZERO, |running| running.since.elapsed());
            let pause = if ran >= RAN_WELL {
                FIRST_PAUSE
            } else {
                pauses[index]
            };
            pauses[index] = (pause * 2).min(LONGEST_PAUSE);
            tracing::warn!(service = %name, %status, ?pause, log = %self.log(index).display(), "a service ended; starting it again");
            tokio::select! {
                () = token.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
            self.launch(index)?;
            match self.ready(index).await {
                Ok(()) => self.publish(),
                // It ended again: the next round sees that.
                Err(error) => tracing::warn!(service = %name, "{error:#}"),
            }
        }
        let stops = self
            .running
            .values()
            .map(|running| running.process.stop(STOP_WITHIN));
        futures::future::join_all(stops).await;
        Ok(())
    }

    fn launch(&mut self, index: usize) -> anyhow::Result<()> {
        let command = &self.commands[index];
        let admin = self.admin_file(index);
        if let Err(error) = std::fs::remove_file(&admin)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(error).with_context(|| format!("removing {}", admin.display()));
        }
        let mut arguments: Vec<OsString> = vec!["service".into(), command.service.into()];
        arguments.extend(["--admin-file".into(), admin.into_os_string()]);
        arguments.extend(command.arguments.iter().cloned());
        let process = Process::start(&Program {
            name: command.name.clone(),
            executable: self.executable.clone(),
            arguments,
            environment: command
                .environment
                .iter()
                .map(|(name, value)| ((*name).into(), value.clone()))
                .collect(),
            folder: None,
            log: self.log(index),
        })?;
        self.running.insert(
            index,
            Running {
                process,
                since: std::time::Instant::now(),
            },
        );
        Ok(())
    }

    async fn ready(&self, index: usize) -> anyhow::Result<()> {
        let Some(running) = self.running.get(&index) else {
            return Ok(());
        };
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(2))
            .build()?;
        let file = self.admin_file(index);
        running
            .process
            .ready(READY_WITHIN, || {
                let (http, file) = (http.clone(), file.clone());
                async move {
                    let address = std::fs::read_to_string(&file)
                        .map_err(|_| "no admin address yet".to_owned())?;
                    let answer = http
                        .get(format!("http://{address}/readyz"))
                        .send()
                        .await
                        .map_err(|error| error.to_string())?;
                    if answer.status().is_success() {
                        return Ok(());
                    }
                    Err(answer.text().await.unwrap_or_default().trim().to_owned())
                }
            })
            .await?;
        Ok(())
    }

    fn publish(&self) {
        let states = self.running.iter().filter_map(|(&index, running)| {
            let address = std::fs::read_to_string(self.admin_file(index)).ok()?;
            Some(ServiceState {
                name: self.commands[index].name.clone(),
                pid: running.process.pid(),
                admin: format!("http://{address}"),
            })
        });
        self.states.send_replace(states.collect());
    }

    fn admin_file(&self, index: usize) -> PathBuf {
        self.folder
            .join(format!("{}.admin", self.commands[index].name))
    }

    fn log(&self, index: usize) -> PathBuf {
        self.folder
            .join(format!("{}.log", self.commands[index].name))
    }
}
