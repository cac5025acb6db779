//! The end of a child, noticed once and told to everybody.

use std::{
    future::Future,
    io,
    os::unix::process::ExitStatusExt,
    process::{Child, ExitStatus},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};
use tokio::sync::watch;

/// A child with a thread that waits for its end.
#[derive(Debug)]
pub(super) struct Watched {
    pid: Pid,
    shared: Arc<Shared>,
    ended: watch::Receiver<Option<ExitStatus>>,
}

#[derive(Debug)]
struct Shared {
    status: Mutex<Option<ExitStatus>>,
    reaped: Condvar,
}

impl Watched {
    pub(super) fn new(mut child: Child) -> io::Result<Self> {
        let pid = Pid::from_raw(child.id().cast_signed());
        let shared = Arc::new(Shared {
            status: Mutex::new(None),
            reaped: Condvar::new(),
        });
        let (sender, ended) = watch::channel(None);
        let waiter = Arc::clone(&shared);
        thread::Builder::new()
            .name(format!("wait-{pid}"))
            .spawn(move || {
                // Learn of the end without reaping: until it is reaped under the
                // lock, the pid can't be given to a stranger, who would then get
                // our signals.
                let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
                while waitid(Id::Pid(pid), flags) == Err(Errno::EINTR) {}
                let mut status = waiter.lock();
                // The child is ours and has ended: this neither blocks nor fails
                // unless somebody else reaped it, which leaves no status to tell.
                *status = Some(child.wait().unwrap_or_else(|_| unknown()));
                waiter.reaped.notify_all();
                sender.send_replace(*status);
            })?;
        Ok(Self { pid, shared, ended })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw().cast_unsigned()
    }

    pub(super) fn ended(&self) -> Option<ExitStatus> {
        *self.shared.lock()
    }

    /// Does nothing once the child has ended.
    pub(super) fn signal(&self, signal: Signal) {
        let status = self.shared.lock();
        if status.is_none() {
            // It can only fail for a child that is gone, and ours isn't reaped.
            let _ = kill(self.pid, signal);
        }
    }

    pub(super) fn wait(&self) -> impl Future<Output = ExitStatus> + Send + 'static {
        let mut ended = self.ended.clone();
        async move {
            // The sender only goes after it has sent.
            let status = ended.wait_for(Option::is_some).await;
            status
                .ok()
                .and_then(|status| *status)
                .unwrap_or_else(unknown)
        }
    }

    pub(super) fn wait_blocking(&self) {
        let mut status = self.shared.lock();
        while status.is_none() {
            status = (self.shared.reaped)
                .wait(status)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A status that is lost must not look like a success.
fn unknown() -> ExitStatus {
    const CODE_255: i32 = 255 << 8;
    ExitStatus::from_raw(CODE_255)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<ExitStatus>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
