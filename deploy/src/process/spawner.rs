//! The one thread that starts all child processes.
//!
//! The parent-death signal fires when the *thread* that forked the child ends,
//! not when the process does. Worker threads of a runtime, of a test or of a
//! blocking pool come and go, and would take children with them. So one thread,
//! started on first use and never ended, forks for everybody.

use std::{
    io,
    os::unix::process::CommandExt,
    process::{Child, Command},
    sync::{LazyLock, mpsc},
    thread,
};

use nix::{errno::Errno, sys::prctl, sys::signal::Signal, unistd};

struct Request {
    command: Command,
    reply: mpsc::Sender<io::Result<Child>>,
}

static SPAWNER: LazyLock<io::Result<mpsc::Sender<Request>>> = LazyLock::new(|| {
    let (sender, requests) = mpsc::channel::<Request>();
    thread::Builder::new()
        .name("spawner".to_owned())
        .spawn(move || {
            for mut request in requests {
                // Whoever asked may be gone; the child is then dropped, which
                // leaves it running until the parent ends, as std says.
                let _ = request.reply.send(request.command.spawn());
            }
        })?;
    Ok(sender)
});

/// Starts `command` in a process group of its own, to be killed by the kernel
/// when this process ends.
pub(crate) fn spawn(mut command: Command) -> io::Result<Child> {
    let parent = unistd::getpid();
    command.process_group(0);
    // SAFETY: between fork and exec the closure only makes two system calls and
    // compares numbers: it takes no lock and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            // The parent may have died before the signal was asked for: then it
            // would never come, and somebody else is the parent now.
            if unistd::getppid() != parent {
                return Err(Errno::ESRCH.into());
            }
            Ok(())
        });
    }
    let (reply, answer) = mpsc::channel();
    let spawner = SPAWNER
        .as_ref()
        .map_err(|error| io::Error::from(error.kind()))?;
    spawner
        .send(Request { command, reply })
        .map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

fn gone() -> io::Error {
    io::Error::other("the thread that starts processes has ended")
}
