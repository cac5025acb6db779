//! A child process that never outlives its parent: started with its output in a
//! log file, waited for until it is ready, watched for its end, stopped politely
//! or not.
//!
//! Nothing here depends on an async runtime staying alive: a process started in
//! one runtime can be awaited and stopped in another.

pub(crate) mod log;
pub(crate) mod spawner;

mod exit;
mod ready;

use std::{
    ffi::OsString,
    fs::File,
    future::Future,
    io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;

use exit::Watched;

const LOG_LINES: usize = 15;

/// What to run, and where its output goes.
#[derive(Clone, Debug)]
pub struct Program {
    /// For messages.
    pub name: String,
    pub executable: PathBuf,
    pub arguments: Vec<OsString>,
    /// Added to what the parent has.
    pub environment: Vec<(String, OsString)>,
    /// The working folder; the parent's if there is none.
    pub folder: Option<PathBuf>,
    /// Gets stdout and stderr; continued when the program is started again.
    pub log: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("cannot open the log {} of {name}", path.display())]
    Log {
        name: String,
        path: PathBuf,
        source: io::Error,
    },
    #[error("cannot start {name} from {}", executable.display())]
    Spawn {
        name: String,
        executable: PathBuf,
        source: io::Error,
    },
    #[error(
        "{name} ended ({status}) before it was ready; its log is {}, and ends:\n{tail}",
        log.display()
    )]
    Ended {
        name: String,
        status: ExitStatus,
        log: PathBuf,
        tail: String,
    },
    #[error(
        "{name} was not ready within {} s: {problem}; its log is {}, and ends:\n{tail}",
        within.as_secs(),
        log.display()
    )]
    NotReady {
        name: String,
        within: Duration,
        problem: String,
        log: PathBuf,
        tail: String,
    },
}

impl ProcessError {
    /// Whether it ended because somebody else has its port: worth another port.
    pub fn is_address_in_use(&self) -> bool {
        matches!(self, Self::Ended { tail, .. } if tail.contains("address already in use"))
    }
}

/// A started program. Dropping it kills it and waits for its end.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    watched: Watched,
}

impl Process {
    /// Starts `program`, without waiting for it to be ready.
    ///
    /// It gets SIGKILL from the kernel when this process ends in whatever way,
    /// and a process group of its own, so that a Ctrl-C on the terminal reaches
    /// the parent alone, which then decides on the order of ends.
    pub fn start(program: &Program) -> Result<Self, ProcessError> {
        let log_error = |source| ProcessError::Log {
            name: program.name.clone(),
            path: program.log.clone(),
            source,
        };
        let log = File::options()
            .create(true)
            .append(true)
            .open(&program.log)
            .map_err(log_error)?;
        let errors = log.try_clone().map_err(log_error)?;
        let mut command = Command::new(&program.executable);
        command
            .args(&program.arguments)
            .envs(program.environment.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        if let Some(folder) = &program.folder {
            command.current_dir(folder);
        }
        let watched = spawner::spawn(command)
            .and_then(Watched::new)
            .map_err(|source| ProcessError::Spawn {
                name: program.name.clone(),
                executable: program.executable.clone(),
                source,
            })?;
        Ok(Self {
            name: program.name.clone(),
            log: program.log.clone(),
            watched,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pid(&self) -> u32 {
        self.watched.pid()
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its log, for an error that has to say why it ended.
    pub fn log_tail(&self) -> String {
        log::tail(&self.log, LOG_LINES)
    }

    /// Its exit status, if it has ended.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.watched.ended()
    }

    /// Resolves when the process has ended; any number may wait.
    pub fn wait(&self) -> impl Future<Output = ExitStatus> + Send + 'static {
        self.watched.wait()
    }

    /// Asks `probe` again and again until it says `Ok`, the process ends, or
    /// `within` is over. What the probe last answered becomes part of the error.
    pub async fn ready<P, F>(&self, within: Duration, probe: P) -> Result<(), ProcessError>
    where
        P: FnMut() -> F,
        F: Future<Output = Result<(), String>>,
    {
        ready::ready(self, within, probe).await
    }

    /// SIGTERM, then SIGKILL if it has not ended after `grace`.
    pub async fn stop(&self, grace: Duration) -> ExitStatus {
        self.watched.signal(Signal::SIGTERM);
        match tokio::time::timeout(grace, self.wait()).await {
            Ok(status) => status,
            Err(_) => self.kill().await,
        }
    }

    /// SIGKILL, and its end awaited: its ports and files are free afterwards.
    pub async fn kill(&self) -> ExitStatus {
        self.watched.signal(Signal::SIGKILL);
        self.wait().await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.watched.signal(Signal::SIGKILL);
        self.watched.wait_blocking();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, folder: &Path) -> Program {
        Program {
            name: "shell".to_owned(),
            executable: PathBuf::from("/bin/sh"),
            arguments: vec!["-c".into(), script.into()],
            environment: Vec::new(),
            folder: None,
            log: folder.join("shell.log"),
        }
    }

    #[tokio::test]
    async fn one_that_ends_before_it_is_ready_says_how_and_why() {
        let folder = tempfile::tempdir().unwrap();
        let program = shell("echo the port is taken >&2; exit 3", folder.path());
        let process = Process::start(&program).unwrap();
        let never = || async { Err("not yet".to_owned()) };
        let error = process
            .ready(Duration::from_secs(30), never)
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit status: 3"), "{text}");
        assert!(text.contains("the port is taken"), "{text}");
        assert!(text.contains("shell.log"), "{text}");
    }

    #[tokio::test]
    async fn one_that_never_gets_ready_says_what_the_probe_saw() {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(&shell("exec sleep 60", folder.path())).unwrap();
        let never = || async { Err("connection refused".to_owned()) };
        let error = process
            .ready(Duration::from_millis(200), never)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("connection refused"), "{error}");
    }

    #[tokio::test]
    async fn one_that_ignores_the_request_to_end_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let marker = folder.path().join("trapped");
        let script = format!(
            "trap '' TERM; : > {}; while :; do sleep 1; done",
            marker.display()
        );
        let process = Process::start(&shell(&script, folder.path())).unwrap();
        let trapped = || async { marker.exists().then_some(()).ok_or_else(String::new) };
        process
            .ready(Duration::from_secs(30), trapped)
            .await
            .unwrap();
        let status = process.stop(Duration::from_millis(200)).await;
        assert!(!status.success());
        assert_eq!(process.ended(), Some(status));
    }

    #[tokio::test]
    async fn its_end_is_seen_by_all_who_wait() {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(&shell("exit 0", folder.path())).unwrap();
        let (one, two) = tokio::join!(process.wait(), process.wait());
        assert!(one.success() && two.success());
    }

    #[test]
    fn a_dropped_one_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(&shell("exec sleep 60", folder.path())).unwrap();
        let path = PathBuf::from(format!("/proc/{}", process.pid()));
        assert!(path.exists());
        drop(process);
        assert!(!path.exists());
    }

    #[test]
    fn one_outlives_the_thread_that_started_it() {
        let folder = tempfile::tempdir().unwrap();
        let program = shell("exec sleep 60", folder.path());
        let process = std::thread::spawn(move || Process::start(&program).unwrap())
            .join()
            .unwrap();
        assert_eq!(process.ended(), None);
    }
}
