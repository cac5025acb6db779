//! Memory of a process that holds secret values: no core file is written of it, nobody but root may look into it, and it isn't
//! swapped out, where that may be had.

use nix::errno::Errno;
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// `MCL_ONFAULT` of Linux: a page is locked when it is first touched. The stacks of all threads would else be in memory whole.
const ON_FAULT: MlockAllFlags = MlockAllFlags::from_bits_retain(4);
/// The bit of `CAP_IPC_LOCK`.
const IPC_LOCK: u32 = 14;

#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    #[error("making the process undumpable")]
    Dumpable(#[source] Errno),
    #[error("setting the limit of core files to 0")]
    Core(#[source] Errno),
}

/// Whether the process may be swapped out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    InMemory,
    /// Locking is not permitted, or the system refuses it.
    Swappable,
}

/// To be called before anything secret is read.
pub fn guard() -> Result<Kept, GuardError> {
    set_dumpable(false).map_err(GuardError::Dumpable)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(GuardError::Core)?;
    // Within a limit, a later allocation would fail instead of the lock.
    let permitted = is_unlimited() || has_capability();
    let flags = MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | ON_FAULT;
    Ok(if permitted && mlockall(flags).is_ok() {
        Kept::InMemory
    } else {
        Kept::Swappable
    })
}

impl Kept {
    /// For the log, once there is one.
    pub fn log(self) {
        match self {
            Self::InMemory => tracing::info!("memory is locked, and no core file is written"),
            Self::Swappable => tracing::warn!(
                "memory may be swapped out: give the process CAP_IPC_LOCK or an unlimited RLIMIT_MEMLOCK, or turn swap off"
            ),
        }
    }
}

fn is_unlimited() -> bool {
    getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == RLIM_INFINITY)
}

fn has_capability() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| effective(&status))
        .is_some_and(|set| set & (1 << IPC_LOCK) != 0)
}

/// The effective capabilities in `/proc/<pid>/status`.
fn effective(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_status() {
        let status = "Name:\tx\nCapPrm:\t0\nCapEff:\t0000000000004000\nCapBnd:\t0\n";
        assert_eq!(effective(status), Some(1 << IPC_LOCK));
        assert_eq!(effective("Name:\tx\n"), None);
    }

    #[test]
    fn a_guarded_process_leaves_no_core_file_and_says_whether_it_is_locked() {
        let kept = guard().unwrap();
        assert!(!nix::sys::prctl::get_dumpable().unwrap());
        assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0));
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let locked = status
            .lines()
            .find_map(|line| line.strip_prefix("VmLck:"))
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .and_then(|size| size.trim().parse::<u64>().ok())
            .unwrap();
        assert_eq!(locked > 0, kept == Kept::InMemory);
    }
}
