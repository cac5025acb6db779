//! What a worker is cut off from before it runs: the network, memory over its limit, writing files, outliving us.

use std::io;

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;

/// Go maps its heap in arenas of 64 MiB and keeps some books beside them.
const GO_OVERHEAD: u64 = 256 << 20;

/// Runs in the forked child, before the engine is executed: only calls that are safe there.
pub(super) fn child(memory_limit: u64) -> io::Result<()> {
    // Where neither is permitted (a container without user namespaces) the engine's own refusals stand alone.
    if unshare(CloneFlags::CLONE_NEWNET).is_err() {
        let _ = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET);
    }
    let data = memory_limit.saturating_add(GO_OVERHEAD);
    setrlimit(Resource::RLIMIT_DATA, data, data)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    Ok(())
}

/// Whether a child is in a network namespace of its own.
pub(super) fn is_off_the_network(pid: u32) -> bool {
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    namespace("self")
        .is_some_and(|own| namespace(&pid.to_string()).is_some_and(|other| other != own))
}
