//! What a function of the library was called with.

use std::rc::Rc;

use crate::machine::{Machine, Outcome, Stop};
use crate::number;
use crate::value::{TableId, Value};

pub(super) struct Arguments {
    /// The function's, for errors.
    name: &'static str,
    values: Vec<Value>,
}

impl Arguments {
    pub(super) fn new(name: &'static str, values: Vec<Value>) -> Self {
        Self { name, values }
    }

    pub(super) fn count(&self) -> usize {
        self.values.len()
    }

    /// The `at`-th, counted from 1; nil where there is none.
    pub(super) fn get(&self, at: usize) -> Value {
        self.values.get(at - 1).cloned().unwrap_or_default()
    }

    /// Any value, which must be there, even if it is nil.
    pub(super) fn any(&self, machine: &Machine<'_>, at: usize) -> Outcome<Value> {
        match self.values.get(at - 1) {
            Some(value) => Ok(value.clone()),
            None => Err(self.bad(machine, at, "a value", "none")),
        }
    }

    pub(super) fn number(&self, machine: &Machine<'_>, at: usize) -> Outcome<f64> {
        let value = self.get(at);
        value
            .as_number()
            .ok_or_else(|| self.bad(machine, at, "a number", value.type_name()))
    }

    pub(super) fn integer(&self, machine: &Machine<'_>, at: usize) -> Outcome<i64> {
        Ok(number::truncated(self.number(machine, at)?))
    }

    pub(super) fn integer_or(&self, machine: &Machine<'_>, at: usize, absent: i64) -> Outcome<i64> {
        if self.get(at).is_nil() {
            Ok(absent)
        } else {
            self.integer(machine, at)
        }
    }

    pub(super) fn text(&self, machine: &Machine<'_>, at: usize) -> Outcome<Rc<[u8]>> {
        let value = self.get(at);
        value
            .as_text()
            .ok_or_else(|| self.bad(machine, at, "a string", value.type_name()))
    }

    pub(super) fn table(&self, machine: &Machine<'_>, at: usize) -> Outcome<TableId> {
        match self.get(at) {
            Value::Table(id) => Ok(id),
            other => Err(self.bad(machine, at, "a table", other.type_name())),
        }
    }

    pub(super) fn function(&self, machine: &Machine<'_>, at: usize) -> Outcome<Value> {
        match self.get(at) {
            function @ Value::Function(_) => Ok(function),
            other => Err(self.bad(machine, at, "a function", other.type_name())),
        }
    }

    /// Those from the `at`-th on.
    pub(super) fn rest(&self, at: usize) -> Vec<Value> {
        self.values.get(at - 1..).unwrap_or_default().to_vec()
    }

    pub(super) fn bad(&self, machine: &Machine<'_>, at: usize, wanted: &str, found: &str) -> Stop {
        machine.error(format!(
            "bad argument #{at} to '{}' ({wanted} expected, got {found})",
            self.name
        ))
    }
}

/// A place in a text or list of `length`: from 1 at its start, from -1 at its end.
pub(super) fn from_either_end(place: i64, length: usize) -> i64 {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    if place < 0 {
        (length + place + 1).max(0)
    } else {
        place
    }
}
