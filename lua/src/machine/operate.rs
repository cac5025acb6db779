//! Operators and indexing, with metatables.

use super::{BYTES_A_STEP, Machine, Outcome};
use crate::ast::Binary;
use crate::number;
use crate::value::{TableId, Value};

/// How many tables an index may be passed on to.
const MAX_CHAIN: usize = 100;

impl Machine<'_> {
    pub(crate) fn metatable(&self, value: &Value) -> Option<TableId> {
        match value {
            Value::Table(id) => self.table(*id).metatable,
            _ => None,
        }
    }

    pub(crate) fn metamethod(&self, value: &Value, name: &str) -> Option<Value> {
        let handler = self.table(self.metatable(value)?).get_text(name);
        (!handler.is_nil()).then_some(handler)
    }

    pub(crate) fn index(&mut self, object: &Value, key: &Value) -> Outcome<Value> {
        let mut object = object.clone();
        for _ in 0..MAX_CHAIN {
            self.budget.step(1)?;
            let handler = match &object {
                Value::Table(id) => {
                    let found = self.get_raw(*id, key)?;
                    if !found.is_nil() {
                        return Ok(found);
                    }
                    match self.metamethod(&object, "__index") {
                        Some(handler) => handler,
                        None => return Ok(Value::Nil),
                    }
                }
                Value::Text(_) if self.text_methods.is_some() => {
                    let methods = self.text_methods.map(Value::Table);
                    methods.unwrap_or_default()
                }
                other => {
                    return Err(self.error(format!(
                        "attempt to index a {} value with key '{}'",
                        other.type_name(),
                        key.told()
                    )));
                }
            };
            if matches!(handler, Value::Function(_)) {
                return self.call_for_one(&handler, vec![object, key.clone()]);
            }
            object = handler;
        }
        Err(self.error("too many tables pass an index on"))
    }

    pub(super) fn set_index(&mut self, object: &Value, key: Value, value: Value) -> Outcome<()> {
        let mut object = object.clone();
        for _ in 0..MAX_CHAIN {
            self.budget.step(1)?;
            let Value::Table(id) = object else {
                return Err(self.error(format!(
                    "attempt to index a {} value with key '{}'",
                    object.type_name(),
                    key.told()
                )));
            };
            let handler = match self.metamethod(&object, "__newindex") {
                Some(handler) if self.get_raw(id, &key)?.is_nil() => handler,
                _ => return self.set_raw(id, key, value),
            };
            if matches!(handler, Value::Function(_)) {
                self.call(&handler, vec![object, key, value])?;
                return Ok(());
            }
            object = handler;
        }
        Err(self.error("too many tables pass an index on"))
    }

    pub(super) fn length(&mut self, value: &Value) -> Outcome<Value> {
        match value {
            Value::Text(text) => Ok(Value::Number(number::of_count(text.len()))),
            Value::Table(id) => Ok(Value::Number(number::of_count(self.table(*id).len()))),
            other => Err(self.error(format!(
                "attempt to get length of a {} value",
                other.type_name()
            ))),
        }
    }

    pub(super) fn negative(&mut self, value: &Value) -> Outcome<Value> {
        match (value.as_number(), self.metamethod(value, "__unm")) {
            (Some(number), _) => Ok(Value::Number(-number)),
            (None, Some(handler)) => self.call_for_one(&handler, vec![value.clone()]),
            (None, None) => Err(self.error(format!(
                "attempt to perform arithmetic on a {} value",
                value.type_name()
            ))),
        }
    }

    pub(super) fn binary(
        &mut self,
        operator: Binary,
        left: &Value,
        right: &Value,
    ) -> Outcome<Value> {
        match operator {
            Binary::Equal => Ok(Value::Boolean(self.equal(left, right)?)),
            Binary::NotEqual => Ok(Value::Boolean(!self.equal(left, right)?)),
            Binary::Less => Ok(Value::Boolean(self.less(left, right)?)),
            Binary::Greater => Ok(Value::Boolean(self.less(right, left)?)),
            Binary::LessEqual => Ok(Value::Boolean(self.less_or_equal(left, right)?)),
            Binary::GreaterEqual => Ok(Value::Boolean(self.less_or_equal(right, left)?)),
            Binary::Concat => self.concat(left, right),
            Binary::Add => self.arithmetic("__add", left, right, |one, other| one + other),
            Binary::Subtract => self.arithmetic("__sub", left, right, |one, other| one - other),
            Binary::Multiply => self.arithmetic("__mul", left, right, |one, other| one * other),
            Binary::Divide => self.arithmetic("__div", left, right, |one, other| one / other),
            Binary::Modulo => self.arithmetic("__mod", left, right, |one, other| {
                one - (one / other).floor() * other
            }),
            Binary::Power => self.arithmetic("__pow", left, right, f64::powf),
        }
    }

    fn arithmetic(
        &mut self,
        name: &str,
        left: &Value,
        right: &Value,
        operation: fn(f64, f64) -> f64,
    ) -> Outcome<Value> {
        if let (Some(one), Some(other)) = (left.as_number(), right.as_number()) {
            return Ok(Value::Number(operation(one, other)));
        }
        if let Some(handler) = self.either(name, left, right) {
            return self.call_for_one(&handler, vec![left.clone(), right.clone()]);
        }
        let culprit = if left.as_number().is_none() {
            left
        } else {
            right
        };
        Err(self.error(format!(
            "attempt to perform arithmetic on a {} value",
            culprit.type_name()
        )))
    }

    fn concat(&mut self, left: &Value, right: &Value) -> Outcome<Value> {
        if let (Some(one), Some(other)) = (left.as_text(), right.as_text()) {
            self.budget.allocate(one.len() + other.len())?;
            return self.new_text([&*one, &*other].concat());
        }
        if let Some(handler) = self.either("__concat", left, right) {
            return self.call_for_one(&handler, vec![left.clone(), right.clone()]);
        }
        let culprit = if left.as_text().is_none() {
            left
        } else {
            right
        };
        Err(self.error(format!(
            "attempt to concatenate a {} value",
            culprit.type_name()
        )))
    }

    fn equal(&mut self, left: &Value, right: &Value) -> Outcome<bool> {
        if let (Value::Text(one), Value::Text(_)) = (left, right) {
            self.budget.step(one.len() / BYTES_A_STEP)?;
        }
        if left.same(right) {
            return Ok(true);
        }
        let (Value::Table(_), Value::Table(_)) = (left, right) else {
            return Ok(false);
        };
        match self.either("__eq", left, right) {
            Some(handler) => Ok(self
                .call_for_one(&handler, vec![left.clone(), right.clone()])?
                .is_true()),
            None => Ok(false),
        }
    }

    pub(crate) fn less(&mut self, left: &Value, right: &Value) -> Outcome<bool> {
        match (left, right) {
            (Value::Number(one), Value::Number(other)) => Ok(one < other),
            (Value::Text(one), Value::Text(other)) => {
                self.budget.step(one.len() / BYTES_A_STEP)?;
                Ok(one < other)
            }
            _ => match self.either("__lt", left, right) {
                Some(handler) => Ok(self
                    .call_for_one(&handler, vec![left.clone(), right.clone()])?
                    .is_true()),
                None => Err(self.incomparable(left, right)),
            },
        }
    }

    fn less_or_equal(&mut self, left: &Value, right: &Value) -> Outcome<bool> {
        match (left, right) {
            (Value::Number(one), Value::Number(other)) => Ok(one <= other),
            (Value::Text(one), Value::Text(other)) => {
                self.budget.step(one.len() / BYTES_A_STEP)?;
                Ok(one <= other)
            }
            _ => match self.either("__le", left, right) {
                Some(handler) => Ok(self
                    .call_for_one(&handler, vec![left.clone(), right.clone()])?
                    .is_true()),
                None => Err(self.incomparable(left, right)),
            },
        }
    }

    fn incomparable(&self, left: &Value, right: &Value) -> super::Stop {
        self.error(format!(
            "attempt to compare {} with {}",
            left.type_name(),
            right.type_name()
        ))
    }

    fn either(&self, name: &str, left: &Value, right: &Value) -> Option<Value> {
        self.metamethod(left, name)
            .or_else(|| self.metamethod(right, name))
    }
}
