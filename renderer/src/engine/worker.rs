//! One worker process and the frames to and from it.

use std::os::fd::AsFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::Files;
use super::confine::{self, Confinement, Layer};
use super::wire::{
    Answer, Document, Failure, FailureKind, FilesOf, MAX_FRAME, Reply, Request, Sealed,
};

/// What is kept of a worker's last words.
const TAIL: usize = 8 << 10;
/// A longer line of them is several.
const LONGEST_LINE: u64 = 4 << 10;
/// How long a worker may take until it is ready: milliseconds on a machine that has a core to spare.
const START: Duration = Duration::from_secs(30);
/// How many questions one render may have, and how long the path of one may be.
const MAX_QUESTIONS: usize = 100_000;
const MAX_PATH: usize = 4 << 10;
/// How long a killed worker's last words may take to arrive.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a render has no answer, other than by its input.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("starting the engine {engine}")]
    Start {
        engine: String,
        source: std::io::Error,
    },
    #[error("the engine was not ready after {} s", START.as_secs())]
    NotReady,
    #[error(
        "workers are to be confined, but this kernel or container does not permit {}",
        names(missing)
    )]
    Unconfined { missing: Vec<Layer> },
    #[error(transparent)]
    Failed(Failure),
    #[error("the render took longer than {seconds} s, the limit of one render")]
    TooSlow { seconds: u64 },
    #[error("the render needed more than {mebibytes} MiB of memory, the limit of one render")]
    TooLarge { mebibytes: u64 },
    #[error("a template or value nests or recurses too deeply for the engine's stack")]
    TooDeep,
    #[error("the render asks the engine for {size} bytes; the limit is {MAX_FRAME}")]
    RequestTooLarge { size: usize },
    #[error("the engine ended in the middle of a render: {last_words}")]
    Died { last_words: String },
    #[error(
        "the render has more than {MAX_QUESTIONS} questions for files, the limit of one render"
    )]
    TooManyQuestions,
    #[error("the engine does not speak our wire")]
    Garbled(#[source] serde_json::Error),
    #[error("the engine does not speak our wire: {what}")]
    Babbled { what: &'static str },
}

impl WorkerError {
    /// Whether the render broke a limit, which ended its worker without a word about where.
    pub(crate) fn is_limit(&self) -> bool {
        match self {
            Self::TooSlow { .. }
            | Self::TooLarge { .. }
            | Self::TooDeep
            | Self::TooManyQuestions => true,
            Self::Start { .. }
            | Self::NotReady
            | Self::Unconfined { .. }
            | Self::Failed(_)
            | Self::RequestTooLarge { .. }
            | Self::Died { .. }
            | Self::Garbled(_)
            | Self::Babbled { .. } => false,
        }
    }
}

impl WorkerError {
    /// Whether the engine went on after a panic.
    pub(super) fn is_crash(&self) -> bool {
        matches!(self, Self::Failed(failure) if failure.kind == FailureKind::Internal)
    }
}

fn names(layers: &[Layer]) -> String {
    let names: Vec<_> = layers.iter().map(|layer| layer.name()).collect();
    names.join(" and ")
}

pub(super) struct Worker {
    child: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
    last_words: Option<JoinHandle<String>>,
    memory_limit: u64,
    confinement: Confinement,
}

impl Worker {
    /// Must be called on a runtime's own thread: the worker dies with the thread that started it.
    pub(super) async fn start(
        engine: &Path,
        folder: &Path,
        memory_limit: u64,
    ) -> Result<Self, WorkerError> {
        let failed = |source| WorkerError::Start {
            engine: engine.display().to_string(),
            source,
        };
        let mut command = Command::new(engine);
        command
            .arg("--memory-limit")
            .arg((memory_limit / 4 * 3).to_string())
            .arg("--address-space")
            .arg(confine::address_space(memory_limit).to_string())
            .env_clear()
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own group: a terminal's interrupt is for us to handle.
            .process_group(0)
            .kill_on_drop(true);
        // SAFETY: `confine::child` only makes system calls; it neither allocates nor takes a lock.
        #[expect(unsafe_code, reason = "limits must be set between fork and exec")]
        unsafe {
            command.pre_exec(move || confine::child(memory_limit));
        }
        let mut child = command.spawn().map_err(failed)?;
        let missing = || failed(std::io::Error::other("a pipe is missing"));
        let requests = child.stdin.take().ok_or_else(missing)?;
        let replies = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        // The listener ends with the process, whose stderr it reads.
        let last_words = child
            .stderr
            .take()
            .map(|stderr| tokio::spawn(listen(stderr)));
        let confinement = Confinement::of(child.id(), Sealed::default());
        let mut worker = Self {
            child,
            requests,
            replies,
            last_words,
            memory_limit,
            confinement,
        };
        let ready = tokio::time::timeout(START, worker.receive());
        match ready.await.map_err(|_| WorkerError::NotReady)?? {
            Reply::Ready(sealed) => {
                worker.confinement = Confinement::of(worker.child.id(), sealed);
                Ok(worker)
            }
            _ => Err(WorkerError::Babbled {
                what: "its first word is another than `ready`",
            }),
        }
    }

    /// What it is cut off from.
    pub(super) fn confinement(&self) -> Confinement {
        self.confinement
    }

    /// One render. After an error other than [`WorkerError::Failed`] and [`WorkerError::RequestTooLarge`] the worker is
    /// of no use any more.
    pub(super) async fn render(
        &mut self,
        request: &Request,
        files: &dyn Files,
    ) -> Result<Vec<Document>, WorkerError> {
        let frame = request.frame().map_err(WorkerError::Garbled)?;
        if frame.len() > MAX_FRAME {
            return Err(WorkerError::RequestTooLarge { size: frame.len() });
        }
        if !self.replies.buffer().is_empty() || self.has_more() {
            return Err(WorkerError::Babbled {
                what: "it answers before it is asked",
            });
        }
        self.send(&frame).await?;
        for _ in 0..MAX_QUESTIONS {
            let answer = match self.receive().await? {
                Reply::Read { path }
                | Reply::List { path }
                | Reply::Mount { at: path, .. }
                | Reply::Chart { path, .. }
                | Reply::ChartFile { path }
                | Reply::ChartNames(FilesOf { folder: path, .. })
                    if path.len() > MAX_PATH =>
                {
                    Answer::Refused {
                        message: format!(
                            "a path has {} bytes; the limit is {MAX_PATH}",
                            path.len()
                        ),
                    }
                }
                Reply::Read { path } => files.at(&path),
                Reply::List { path } => files.list(&path),
                Reply::Mount { need, at } => files.mount(need, &at),
                Reply::Chart { path, whole } => files.chart(&path, whole),
                Reply::ChartFile { path } => files.chart_file(&path),
                Reply::ChartNames(of) => files.chart_names(&of),
                Reply::Ok { documents } => return Ok(documents),
                Reply::Error(failure) => return Err(WorkerError::Failed(failure)),
                Reply::Ready(_) => {
                    return Err(WorkerError::Babbled {
                        what: "it is ready twice",
                    });
                }
            };
            let answer = answer.frame().map_err(WorkerError::Garbled)?;
            self.send(&answer).await?;
        }
        Err(WorkerError::TooManyQuestions)
    }

    /// Whether there is something to read that nobody asked for.
    fn has_more(&self) -> bool {
        let mut pipe = [PollFd::new(
            self.replies.get_ref().as_fd(),
            PollFlags::POLLIN,
        )];
        let found = nix::poll::poll(&mut pipe, PollTimeout::ZERO);
        found.is_ok()
            && pipe[0]
                .revents()
                .is_some_and(|events| events.contains(PollFlags::POLLIN))
    }

    async fn send(&mut self, frame: &[u8]) -> Result<(), WorkerError> {
        let Ok(length) = u32::try_from(frame.len()) else {
            return Err(WorkerError::RequestTooLarge { size: frame.len() });
        };
        let mut whole = Vec::with_capacity(frame.len() + 4);
        whole.extend_from_slice(&length.to_be_bytes());
        whole.extend_from_slice(frame);
        match self.requests.write_all(&whole).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.died().await),
        }
    }

    async fn receive(&mut self) -> Result<Reply, WorkerError> {
        let mut head = [0; 4];
        if self.replies.read_exact(&mut head).await.is_err() {
            return Err(self.died().await);
        }
        let length = u32::from_be_bytes(head) as usize;
        if length > MAX_FRAME {
            return Err(WorkerError::Died {
                last_words: format!("a frame of {length} bytes"),
            });
        }
        let mut frame = vec![0; length];
        if self.replies.read_exact(&mut frame).await.is_err() {
            return Err(self.died().await);
        }
        Reply::read(&frame).map_err(WorkerError::Garbled)
    }

    /// What its end means, by its last words: Go says so when memory or stack runs out.
    async fn died(&mut self) -> WorkerError {
        let mut last_words = String::new();
        if let Some(mut listener) = self.last_words.take() {
            // A crash report takes a moment to write; whoever still lives after that is stopped.
            if let Ok(words) = tokio::time::timeout(LAST_WORDS, &mut listener).await {
                last_words = words.unwrap_or_default();
            } else {
                listener.abort();
            }
        }
        let _ = self.child.start_kill();
        let says = |words: &[&str]| words.iter().any(|word| last_words.contains(word));
        if says(&["stack exceeds", "stack overflow"]) {
            WorkerError::TooDeep
        } else if says(&[
            "out of memory",
            "cannot allocate memory",
            "failed to create new OS thread",
        ]) {
            WorkerError::TooLarge {
                mebibytes: self.memory_limit >> 20,
            }
        } else {
            let first = last_words
                .lines()
                .next()
                .unwrap_or("without a word")
                .chars()
                .take(500)
                .collect();
            WorkerError::Died { last_words: first }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Where no filter keeps it from starting others, they end with it.
        let group = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(group) = group {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

/// Logs what a worker says and gives, at its end, what a crash says of its cause.
async fn listen(stderr: ChildStderr) -> String {
    let mut kept = String::new();
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut stderr).take(LONGEST_LINE);
        if !matches!(limited.read_until(b'\n', &mut line).await, Ok(1..)) {
            return kept;
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        tracing::debug!(target: "engine", "{line}");
        let crash = ["fatal error:", "runtime:", "panic:", "engine:"]
            .iter()
            .any(|word| line.starts_with(word));
        if crash && kept.len() + line.len() < TAIL {
            kept.push_str(line);
            kept.push('\n');
        }
    }
}
