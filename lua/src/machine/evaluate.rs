//! Expressions.

use std::rc::Rc;

use super::{Closure, Frame, Machine, OBJECT, Outcome, Variable};
use crate::ast::{Call, Callee, Capture, Expression, Field, FunctionId, Unary};
use crate::value::{Function, Value};

impl<'a> Machine<'a> {
    /// Exactly one value.
    pub(super) fn evaluate(
        &mut self,
        frame: &mut Frame<'a>,
        expression: &'a Expression,
    ) -> Outcome<Value> {
        self.budget.step(1)?;
        match expression {
            Expression::Nil => Ok(Value::Nil),
            Expression::Boolean(is) => Ok(Value::Boolean(*is)),
            Expression::Constant(id) => Ok(self.constants[*id].clone()),
            Expression::Local(slot) => Ok(match &frame.variables[*slot] {
                Variable::Own(value) => value.clone(),
                Variable::Shared(cell) => self.cells[*cell].clone(),
            }),
            Expression::Captured(index) => Ok(self.cells[frame.closure.captured[*index]].clone()),
            Expression::Global(name) => {
                let name = self.constants[*name].clone();
                self.get_raw(self.globals, &name)
            }
            Expression::Varargs => Ok(frame.varargs.first().cloned().unwrap_or_default()),
            Expression::Function(function) => self.closure(frame, *function),
            _ => {
                self.budget.enter()?;
                let value = self.compound(frame, expression);
                self.budget.leave();
                value
            }
        }
    }

    /// Expressions made of others.
    fn compound(&mut self, frame: &mut Frame<'a>, expression: &'a Expression) -> Outcome<Value> {
        match expression {
            Expression::Index { of, line } => {
                let object = self.evaluate(frame, &of.0)?;
                let key = self.evaluate(frame, &of.1)?;
                self.line = *line;
                self.index(&object, &key)
            }
            Expression::Call(call) => {
                let results = self.call_of(frame, call)?;
                Ok(results.into_iter().next().unwrap_or_default())
            }
            Expression::Unary {
                operator,
                operand,
                line,
            } => {
                let operand = self.evaluate(frame, operand)?;
                self.line = *line;
                match operator {
                    Unary::Not => Ok(Value::Boolean(!operand.is_true())),
                    Unary::Minus => self.negative(&operand),
                    Unary::Length => self.length(&operand),
                }
            }
            Expression::Binary {
                operator,
                operands,
                line,
            } => {
                let left = self.evaluate(frame, &operands.0)?;
                let right = self.evaluate(frame, &operands.1)?;
                self.line = *line;
                self.binary(*operator, &left, &right)
            }
            Expression::And(operands) => {
                let left = self.evaluate(frame, &operands.0)?;
                if left.is_true() {
                    self.evaluate(frame, &operands.1)
                } else {
                    Ok(left)
                }
            }
            Expression::Or(operands) => {
                let left = self.evaluate(frame, &operands.0)?;
                if left.is_true() {
                    Ok(left)
                } else {
                    self.evaluate(frame, &operands.1)
                }
            }
            Expression::Table(fields) => self.constructor(frame, fields),
            Expression::One(inner) => self.evaluate(frame, inner),
            simple => self.evaluate(frame, simple),
        }
    }

    /// All values of a list: of the last expression as many as it has.
    pub(super) fn list(
        &mut self,
        frame: &mut Frame<'a>,
        expressions: &'a [Expression],
    ) -> Outcome<Vec<Value>> {
        let Some((last, before)) = expressions.split_last() else {
            return Ok(Vec::new());
        };
        let mut values = Vec::with_capacity(expressions.len());
        for expression in before {
            values.push(self.evaluate(frame, expression)?);
        }
        self.all(frame, last, &mut values)?;
        Ok(values)
    }

    fn all(
        &mut self,
        frame: &mut Frame<'a>,
        expression: &'a Expression,
        values: &mut Vec<Value>,
    ) -> Outcome<()> {
        match expression {
            Expression::Call(call) => {
                self.budget.enter()?;
                let results = self.call_of(frame, call);
                self.budget.leave();
                let results = results?;
                self.budget.step(results.len())?;
                values.extend(results);
            }
            Expression::Varargs => {
                self.budget.step(frame.varargs.len())?;
                values.extend(frame.varargs.iter().cloned());
            }
            one => values.push(self.evaluate(frame, one)?),
        }
        Ok(())
    }

    pub(super) fn call_of(&mut self, frame: &mut Frame<'a>, call: &'a Call) -> Outcome<Vec<Value>> {
        let (function, mut arguments) = match &call.callee {
            Callee::Function(function) => (self.evaluate(frame, function)?, Vec::new()),
            Callee::Method(object, name) => {
                let object = self.evaluate(frame, object)?;
                self.line = call.line;
                let name = self.constants[*name].clone();
                (self.index(&object, &name)?, vec![object])
            }
        };
        arguments.extend(self.list(frame, &call.arguments)?);
        self.line = call.line;
        self.call(&function, arguments)
    }

    fn constructor(&mut self, frame: &mut Frame<'a>, fields: &'a [Field]) -> Outcome<Value> {
        let table = self.new_table()?;
        let mut listed = 0;
        for (at, field) in fields.iter().enumerate() {
            let values = match field {
                Field::Keyed(key, value) => {
                    let key = self.evaluate(frame, key)?;
                    let value = self.evaluate(frame, value)?;
                    self.set_raw(table, key, value)?;
                    continue;
                }
                Field::Listed(expression) if at + 1 == fields.len() => {
                    let mut values = Vec::new();
                    self.all(frame, expression, &mut values)?;
                    values
                }
                Field::Listed(expression) => vec![self.evaluate(frame, expression)?],
            };
            for value in values {
                listed += 1;
                let key = Value::Number(crate::number::of_count(listed));
                self.set_raw(table, key, value)?;
            }
        }
        Ok(Value::Table(table))
    }

    pub(super) fn closure(
        &mut self,
        frame: &mut Frame<'a>,
        function: FunctionId,
    ) -> Outcome<Value> {
        let prototype = &self.chunk.functions[function];
        self.budget
            .allocate(OBJECT + prototype.captures.len() * size_of::<usize>())?;
        let mut captured = Vec::with_capacity(prototype.captures.len());
        for capture in &prototype.captures {
            captured.push(match capture {
                Capture::Captured(index) => frame.closure.captured[*index],
                Capture::Local(slot) => match &mut frame.variables[*slot] {
                    Variable::Shared(cell) => *cell,
                    // One that was never declared on the way here, as after a jump over it.
                    Variable::Own(value) => {
                        let value = std::mem::take(value);
                        let cell = self.new_cell(value)?;
                        frame.variables[*slot] = Variable::Shared(cell);
                        cell
                    }
                },
            });
        }
        Ok(Value::Function(Function::Script(Rc::new(Closure {
            function,
            captured,
        }))))
    }
}
