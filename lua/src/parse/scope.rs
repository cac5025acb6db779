//! Which variable a name means, while functions are being parsed.

use crate::ast::{Block, Capture, FunctionId, Prototype, Slot};

pub(super) enum Variable {
    Local(Slot),
    Captured(usize),
    Global,
}

/// Functions that are done, and those being parsed, outermost first.
#[derive(Default)]
pub(super) struct Functions {
    done: Vec<Prototype>,
    open: Vec<Open>,
}

#[derive(Default)]
struct Open {
    parameters: usize,
    variadic: bool,
    shared: Vec<bool>,
    captures: Vec<Capture>,
    /// Variables in scope, innermost last.
    visible: Vec<(Box<str>, Slot)>,
}

/// What was in scope before a block.
#[derive(Clone, Copy)]
pub(super) struct Mark(usize);

impl Functions {
    pub(super) fn begin(&mut self) {
        self.open.push(Open::default());
    }

    pub(super) fn end(&mut self, body: Block) -> FunctionId {
        let open = self.open.pop().unwrap_or_default();
        self.done.push(Prototype {
            parameters: open.parameters,
            variadic: open.variadic,
            shared: open.shared,
            captures: open.captures,
            body,
        });
        self.done.len() - 1
    }

    pub(super) fn done(self) -> Vec<Prototype> {
        self.done
    }

    pub(super) fn set_variadic(&mut self) {
        self.innermost().variadic = true;
    }

    pub(super) fn is_variadic(&self) -> bool {
        self.open.last().is_some_and(|open| open.variadic)
    }

    pub(super) fn add_parameter(&mut self, name: &str) {
        self.declare(name);
        self.innermost().parameters += 1;
    }

    /// A new variable, in scope from here on.
    pub(super) fn declare(&mut self, name: &str) -> Slot {
        let open = self.innermost();
        open.shared.push(false);
        let slot = open.shared.len() - 1;
        open.visible.push((name.into(), slot));
        slot
    }

    /// What is in scope now.
    pub(super) fn mark(&mut self) -> Mark {
        Mark(self.innermost().visible.len())
    }

    pub(super) fn back_to(&mut self, mark: Mark) {
        self.innermost().visible.truncate(mark.0);
    }

    pub(super) fn find(&mut self, name: &str) -> Variable {
        let innermost = self.open.len().saturating_sub(1);
        self.find_in(innermost, name)
    }

    fn find_in(&mut self, level: usize, name: &str) -> Variable {
        // From the outside in, so that each function between takes it from the one around it.
        let Some(home) = (0..=level).rev().find(|level| {
            self.open
                .get(*level)
                .is_some_and(|open| open.local(name).is_some())
        }) else {
            return Variable::Global;
        };
        let Some(slot) = self.open[home].local(name) else {
            return Variable::Global;
        };
        if home == level {
            return Variable::Local(slot);
        }
        self.open[home].shared[slot] = true;
        let mut from = Capture::Local(slot);
        for between in &mut self.open[home + 1..=level] {
            from = Capture::Captured(between.capture(from));
        }
        match from {
            Capture::Captured(index) => Variable::Captured(index),
            Capture::Local(slot) => Variable::Local(slot),
        }
    }

    fn innermost(&mut self) -> &mut Open {
        if self.open.is_empty() {
            self.open.push(Open::default());
        }
        let last = self.open.len() - 1;
        &mut self.open[last]
    }
}

impl Open {
    fn local(&self, name: &str) -> Option<Slot> {
        self.visible
            .iter()
            .rev()
            .find(|(known, _)| **known == *name)
            .map(|(_, slot)| *slot)
    }

    fn capture(&mut self, from: Capture) -> usize {
        let known = self.captures.iter().position(|known| *known == from);
        known.unwrap_or_else(|| {
            self.captures.push(from);
            self.captures.len() - 1
        })
    }
}
