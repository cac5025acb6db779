//! Lua as the customizations of Argo CD are written in (5.1, with `goto`), in which a script can compute and do nothing else.
//!
//! `lex` → `parse` → `machine` (with `library`), `json` at both ends. A script has no files, no network, no other modules, no code made at run time and
//! no coroutines; the time it sees is given. What it does is counted ([`Limits`]), in library functions too: each value looked at or made
//! costs a step, so a script ends, and where it ends doesn't depend on how busy the machine is. Nothing catches the end: `pcall` sees
//! errors only.

mod ast;
mod budget;
mod json;
mod lex;
mod library;
mod machine;
mod number;
mod parse;
mod table;
mod value;

use serde_json::Value as Json;

pub use crate::budget::{Limit, Limits};
use crate::machine::Machine;

/// Enough for scripts at the limits of nesting, in a build without optimization.
const STACK: usize = 64 << 20;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Libraries {
    /// The basic functions, `table`, and `os.time` and `os.date`.
    #[default]
    Basic,
    /// `string` and `math` too. What Argo CD opens beyond that (`io`, the rest of `os`, `debug`, `coroutine`, `channel`) isn't there.
    All,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct SyntaxError {
    pub line: u32,
    pub what: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The script raised this.
    #[error("{0}")]
    Raised(String),
    #[error("the script was stopped: {0}")]
    Stopped(Limit),
    /// What it returned is nothing that JSON has.
    #[error("the result can't be used: {0}")]
    Result(&'static str),
    /// This crate is at fault.
    #[error("the script could not be run")]
    Crashed,
}

/// A script that has been parsed; it can be run any number of times, by several threads at once.
#[derive(Debug)]
pub struct Script {
    chunk: ast::Chunk,
}

impl Script {
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let chunk = parse::parse(text)?;
        Ok(Self { chunk })
    }

    /// Runs it with `object` as the global variable `obj`; the last value that it returns, null where it returns none.
    ///
    /// `now` is in seconds since 1970. What was allocated is given back at the end of the run, not before.
    pub fn run(
        &self,
        object: &Json,
        libraries: Libraries,
        limits: Limits,
        now: i64,
    ) -> Result<Json, RunError> {
        // On a stack of its own, which is as deep as the limits on nesting need, and whose fall takes nothing else along.
        std::thread::scope(|scope| {
            let run = || {
                let mut machine = Machine::new(&self.chunk, limits, now);
                machine.run(object, libraries)
            };
            match std::thread::Builder::new()
                .name("lua".to_owned())
                .stack_size(STACK)
                .spawn_scoped(scope, run)
            {
                Ok(running) => running.join().unwrap_or(Err(RunError::Crashed)),
                Err(_) => Err(RunError::Crashed),
            }
        })
    }
}

#[cfg(test)]
mod tests;
