//! What a worker is cut off from: by us before it is executed (network, memory, file writes, outliving us), and by
//! itself before it reads any input (`engine/confine_linux.go`: files, system calls, capabilities).

use std::fmt;
use std::io;

use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;

use super::wire::Sealed;

/// Go maps its heap in arenas of 64 MiB and keeps some books beside them.
const GO_OVERHEAD: u64 = 256 << 20;

/// How much a worker may map beside what it has mapped when it starts.
pub(super) fn address_space(memory_limit: u64) -> u64 {
    memory_limit.saturating_add(GO_OVERHEAD)
}

/// Runs in the forked child, before the engine is executed: only calls that are safe there.
pub(super) fn child(memory_limit: u64) -> io::Result<()> {
    // Where neither is permitted (a container without user namespaces) the engine's seccomp filter has no sockets either.
    let own = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    if unshare(own).is_err() {
        let _ = unshare(CloneFlags::CLONE_NEWUSER | own);
    }
    // Whatever a library of ours left open without saying so.
    // SAFETY: a system call on numbers; our own pipes are put in place as 0, 1 and 2, or closed by exec.
    #[expect(unsafe_code, reason = "there is no safe wrapper")]
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        );
    }
    // The worker limits its address space too: alone, this lets one allocation through that is larger than all.
    let data = address_space(memory_limit);
    setrlimit(Resource::RLIMIT_DATA, data, data)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_NOFILE, 64, 64)?;
    prctl::set_no_new_privs()?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    Ok(())
}

/// The layers that are there around a worker. Any one of the first three keeps it off the network, and Landlock, seccomp
/// and the empty root each off the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confinement {
    layers: [(Layer, bool); 5],
}

/// One thing that the kernel can take from a worker. Limits of memory, file size and open files, an empty environment, and
/// its end with this process are always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    NetworkNamespace,
    Seccomp,
    Landlock,
    EmptyRoot,
    NoCapabilities,
}

impl Layer {
    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::NetworkNamespace => "network-namespace",
            Self::Seccomp => "seccomp",
            Self::Landlock => "landlock",
            Self::EmptyRoot => "empty-root",
            Self::NoCapabilities => "no-capabilities",
        }
    }
}

impl Confinement {
    pub(super) fn of(pid: Option<u32>, sealed: Sealed) -> Self {
        Self {
            layers: [
                (Layer::NetworkNamespace, pid.is_some_and(is_off_the_network)),
                (Layer::Seccomp, sealed.seccomp),
                (Layer::Landlock, sealed.landlock > 0),
                (Layer::EmptyRoot, sealed.empty_root),
                (Layer::NoCapabilities, sealed.no_capabilities),
            ],
        }
    }

    /// Every layer, and whether it is there.
    pub fn layers(&self) -> impl Iterator<Item = (Layer, bool)> + '_ {
        self.layers.iter().copied()
    }

    /// What is missing of the two that the kernel grants every process, and that alone hold a worker that was taken over:
    /// the others need rights that a container may not have.
    pub fn lacks(&self) -> Vec<Layer> {
        self.layers()
            .filter(|(layer, there)| !there && matches!(layer, Layer::Seccomp | Layer::Landlock))
            .map(|(layer, _)| layer)
            .collect()
    }

    /// Names of the layers that are there, or of those that aren't.
    pub(super) fn names(&self, there: bool) -> String {
        let names: Vec<_> = self
            .layers()
            .filter(|(_, is)| *is == there)
            .map(|(layer, _)| layer.name())
            .collect();
        names.join(", ")
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a child is in a network namespace of its own.
fn is_off_the_network(pid: u32) -> bool {
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    namespace("self")
        .is_some_and(|own| namespace(&pid.to_string()).is_some_and(|other| other != own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_every_process_may_have_can_be_demanded() {
        let bare = Confinement::of(None, Sealed::default());
        assert_eq!(bare.lacks(), [Layer::Seccomp, Layer::Landlock]);
        assert_eq!(bare.names(true), "");
        let sealed = Sealed {
            landlock: 4,
            seccomp: true,
            ..Sealed::default()
        };
        let confinement = Confinement::of(None, sealed);
        assert!(confinement.lacks().is_empty());
        assert_eq!(confinement.names(true), "seccomp, landlock");
        assert_eq!(
            confinement.names(false),
            "network-namespace, empty-root, no-capabilities"
        );
    }
}
