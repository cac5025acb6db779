//! How much a script may still do.

use crate::machine::Stop;

/// For one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Values looked at or made, in the script and in the library.
    pub steps: u64,
    /// Bytes that may be allocated, counting what is no longer in use.
    pub memory: usize,
    /// Calls, blocks and expressions within each other.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: 2_000_000,
            memory: 64 << 20,
            depth: 4_000,
        }
    }
}

/// Which limit a script went over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    #[error("it took too many steps")]
    Steps,
    #[error("it used too much memory")]
    Memory,
    #[error("its calls were nested too deep")]
    Depth,
}

pub(crate) struct Budget {
    left: Limits,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { left: limits }
    }

    /// `count` values are about to be looked at.
    pub(crate) fn step(&mut self, count: usize) -> Result<(), Stop> {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let left = self.left.steps.checked_sub(count);
        // Once it is over nothing that comes later may go on, however little it needs.
        self.left.steps = left.unwrap_or(0);
        left.map(|_| ()).ok_or(Stop::Over(Limit::Steps))
    }

    /// So many bytes are about to be allocated, and written.
    pub(crate) fn allocate(&mut self, bytes: usize) -> Result<(), Stop> {
        let left = self.left.memory.checked_sub(bytes);
        // Once it is over nothing that comes later may go on, however little it needs.
        self.left.memory = left.unwrap_or(0);
        left.map(|_| ()).ok_or(Stop::Over(Limit::Memory))
    }

    pub(crate) fn enter(&mut self) -> Result<(), Stop> {
        self.left.depth = self
            .left
            .depth
            .checked_sub(1)
            .ok_or(Stop::Over(Limit::Depth))?;
        Ok(())
    }

    pub(crate) fn leave(&mut self) {
        self.left.depth += 1;
    }
}
