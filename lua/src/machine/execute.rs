//! Statements.

use super::{Frame, Machine, Outcome, Variable};
use crate::ast::{ConstantId, Expression, Slot, Statement, Target};
use crate::value::Value;

/// Where it goes on after a statement.
pub(super) enum Flow {
    Next,
    Break,
    Goto(ConstantId),
    Return(Vec<Value>),
}

/// What is assigned to, with its parts evaluated.
enum Place {
    Local(Slot),
    Captured(usize),
    Global(ConstantId),
    Index(Value, Value, u32),
}

impl<'a> Machine<'a> {
    pub(super) fn block(&mut self, frame: &mut Frame<'a>, block: &'a [Statement]) -> Outcome<Flow> {
        self.budget.enter()?;
        let flow = self.statements(frame, block);
        self.budget.leave();
        flow
    }

    fn statements(&mut self, frame: &mut Frame<'a>, block: &'a [Statement]) -> Outcome<Flow> {
        let mut at = 0;
        while let Some(statement) = block.get(at) {
            self.budget.step(1)?;
            at += 1;
            match self.statement(frame, statement)? {
                Flow::Next => {}
                Flow::Goto(label) => {
                    let place = block.iter().position(
                        |statement| matches!(statement, Statement::Label(name) if *name == label),
                    );
                    // The way to a label is as long as the block.
                    self.budget.step(place.unwrap_or(block.len()))?;
                    match place {
                        Some(place) => at = place,
                        None => return Ok(Flow::Goto(label)),
                    }
                }
                flow @ (Flow::Break | Flow::Return(_)) => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, frame: &mut Frame<'a>, statement: &'a Statement) -> Outcome<Flow> {
        match statement {
            Statement::Call(call) => {
                self.call_of(frame, call)?;
            }
            Statement::Local { slots, values } => {
                let mut values = self.list(frame, values)?.into_iter();
                for slot in slots {
                    self.declare(frame, *slot, values.next().unwrap_or_default())?;
                }
            }
            Statement::LocalFunction { slot, function } => {
                self.declare(frame, *slot, Value::Nil)?;
                let made = self.closure(frame, *function)?;
                self.set_local(frame, *slot, made);
            }
            Statement::Assign { targets, values } => self.assign(frame, targets, values)?,
            Statement::Do(body) => return self.block(frame, body),
            Statement::While { condition, body } => {
                while self.evaluate(frame, condition)?.is_true() {
                    match self.turn(frame, body)? {
                        Flow::Next => {}
                        Flow::Break => break,
                        flow => return Ok(flow),
                    }
                }
            }
            Statement::Repeat { body, until } => loop {
                match self.turn(frame, body)? {
                    Flow::Next => {}
                    Flow::Break => break,
                    flow => return Ok(flow),
                }
                if self.evaluate(frame, until)?.is_true() {
                    break;
                }
            },
            Statement::If {
                branches,
                otherwise,
            } => {
                for (condition, body) in branches {
                    if self.evaluate(frame, condition)?.is_true() {
                        return self.block(frame, body);
                    }
                }
                return self.block(frame, otherwise);
            }
            Statement::Count {
                slot,
                range,
                body,
                line,
            } => return self.count(frame, *slot, range, body, *line),
            Statement::Iterate {
                slots,
                values,
                body,
                line,
            } => return self.iterate(frame, slots, values, body, *line),
            Statement::Return(values) => return Ok(Flow::Return(self.list(frame, values)?)),
            Statement::Break => return Ok(Flow::Break),
            Statement::Goto(label) => return Ok(Flow::Goto(*label)),
            Statement::Label(_) => {}
        }
        Ok(Flow::Next)
    }

    /// One turn of a loop.
    fn turn(&mut self, frame: &mut Frame<'a>, body: &'a [Statement]) -> Outcome<Flow> {
        self.budget.step(1)?;
        self.block(frame, body)
    }

    fn count(
        &mut self,
        frame: &mut Frame<'a>,
        slot: Slot,
        range: &'a [Expression; 3],
        body: &'a [Statement],
        line: u32,
    ) -> Outcome<Flow> {
        let mut numbers = [0.0; 3];
        for (number, (expression, name)) in numbers
            .iter_mut()
            .zip(range.iter().zip(["initial", "limit", "step"]))
        {
            let value = self.evaluate(frame, expression)?;
            self.line = line;
            *number = value
                .as_number()
                .ok_or_else(|| self.error(format!("'for' {name} value must be a number")))?;
        }
        let [mut at, last, step] = numbers;
        while if step > 0.0 { at <= last } else { at >= last } {
            self.declare(frame, slot, Value::Number(at))?;
            match self.turn(frame, body)? {
                Flow::Next => {}
                Flow::Break => break,
                flow => return Ok(flow),
            }
            at += step;
        }
        Ok(Flow::Next)
    }

    fn iterate(
        &mut self,
        frame: &mut Frame<'a>,
        slots: &'a [Slot],
        values: &'a [Expression],
        body: &'a [Statement],
        line: u32,
    ) -> Outcome<Flow> {
        let mut given = self.list(frame, values)?.into_iter();
        let mut next = || given.next().unwrap_or_default();
        let (iterator, state, mut control) = (next(), next(), next());
        loop {
            self.line = line;
            let found = self.call(&iterator, vec![state.clone(), control])?;
            control = found.first().cloned().unwrap_or_default();
            if control.is_nil() {
                return Ok(Flow::Next);
            }
            let mut found = found.into_iter();
            for slot in slots {
                self.declare(frame, *slot, found.next().unwrap_or_default())?;
            }
            match self.turn(frame, body)? {
                Flow::Next => {}
                Flow::Break => return Ok(Flow::Next),
                flow => return Ok(flow),
            }
        }
    }

    fn assign(
        &mut self,
        frame: &mut Frame<'a>,
        targets: &'a [Target],
        values: &'a [Expression],
    ) -> Outcome<()> {
        let mut places = Vec::with_capacity(targets.len());
        for target in targets {
            places.push(match target {
                Target::Local(slot) => Place::Local(*slot),
                Target::Captured(index) => Place::Captured(*index),
                Target::Global(name) => Place::Global(*name),
                Target::Index { table, key, line } => Place::Index(
                    self.evaluate(frame, table)?,
                    self.evaluate(frame, key)?,
                    *line,
                ),
            });
        }
        let mut values = self.list(frame, values)?.into_iter();
        for place in places {
            let value = values.next().unwrap_or_default();
            match place {
                Place::Local(slot) => self.set_local(frame, slot, value),
                Place::Captured(index) => {
                    let cell = frame.closure.captured[index];
                    self.cells[cell] = value;
                }
                Place::Global(name) => {
                    let name = self.constants[name].clone();
                    self.set_raw(self.globals, name, value)?;
                }
                Place::Index(table, key, line) => {
                    self.line = line;
                    self.set_index(&table, key, value)?;
                }
            }
        }
        Ok(())
    }

    fn set_local(&mut self, frame: &mut Frame<'a>, slot: Slot, value: Value) {
        match &mut frame.variables[slot] {
            Variable::Own(own) => *own = value,
            Variable::Shared(cell) => self.cells[*cell] = value,
        }
    }
}
