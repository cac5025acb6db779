//! `string.gsub`.

use std::rc::Rc;

use super::arguments::Arguments;
use super::pattern::Match;
use super::string::{all_captured, attempt, captured, whole_or_first};
use crate::machine::{Machine, Outcome};
use crate::value::Value;

pub(super) fn gsub(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("gsub", values);
    let (subject, pattern) = (given.text(machine, 1)?, given.text(machine, 2)?);
    let replacement = match given.get(3) {
        known @ (Value::Text(_) | Value::Number(_) | Value::Table(_) | Value::Function(_)) => known,
        other => {
            return Err(given.bad(machine, 3, "string/function/table", other.type_name()));
        }
    };
    let limit = given.integer_or(machine, 4, i64::MAX)?;
    let (anchored, pattern) = match pattern.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, &*pattern),
    };
    let mut replaced = Vec::new();
    let (mut at, mut count) = (0, 0);
    while at <= subject.len() && count < limit {
        let found = attempt(machine, &subject, pattern, at)?;
        let end = found.as_ref().map(|found| found.end);
        if let Some(found) = found {
            count += 1;
            let text = replace(machine, &subject, at, &found, &replacement)?;
            machine.budget.allocate(text.len())?;
            replaced.extend_from_slice(&text);
        }
        if let Some(end) = end.filter(|end| *end > at) {
            at = end;
        } else {
            machine.budget.allocate(1)?;
            replaced.extend(subject.get(at));
            at += 1;
        }
        if anchored {
            break;
        }
    }
    let rest = subject.get(at..).unwrap_or_default();
    machine.budget.allocate(rest.len())?;
    replaced.extend_from_slice(rest);
    let text = machine.new_text(replaced)?;
    #[expect(clippy::cast_precision_loss, reason = "no more than there are bytes")]
    Ok(vec![text, Value::Number(count as f64)])
}

fn replace(
    machine: &mut Machine<'_>,
    subject: &[u8],
    at: usize,
    found: &Match,
    replacement: &Value,
) -> Outcome<Rc<[u8]>> {
    let value = match replacement {
        Value::Table(table) => {
            let key = whole_or_first(machine, subject, at, found)?;
            machine.index(&Value::Table(*table), &key)?
        }
        Value::Function(_) => {
            let captures = all_captured(machine, subject, at, found)?;
            machine.call_for_one(replacement, captures)?
        }
        template => {
            let template = template.as_text().unwrap_or_else(|| Vec::new().into());
            return fill(machine, subject, at, found, &template);
        }
    };
    match (&value, value.as_text()) {
        (_, Some(text)) => Ok(text),
        (Value::Nil | Value::Boolean(false), None) => Ok(subject[at..found.end].into()),
        (other, None) => Err(machine.error(format!(
            "invalid replacement value (a {})",
            other.type_name()
        ))),
    }
}

/// A replacement with `%1` and the like.
fn fill(
    machine: &mut Machine<'_>,
    subject: &[u8],
    at: usize,
    found: &Match,
    template: &[u8],
) -> Outcome<Rc<[u8]>> {
    let mut filled = Vec::new();
    let mut bytes = template.iter();
    while let Some(byte) = bytes.next() {
        machine.budget.step(1)?;
        let text: Rc<[u8]> = match byte {
            b'%' => match bytes.next() {
                Some(b'0') => subject[at..found.end].into(),
                Some(digit @ b'1'..=b'9') => {
                    let index = usize::from(digit - b'1');
                    let value = match found.captures.get(index) {
                        Some(capture) => captured(machine, subject, *capture)?,
                        None if index == 0 => whole_or_first(machine, subject, at, found)?,
                        None => return Err(machine.error("invalid capture index")),
                    };
                    value.as_text().unwrap_or_else(|| Vec::new().into())
                }
                Some(other) => [*other].into(),
                None => [b'%'].into(),
            },
            plain => [*plain].into(),
        };
        machine.budget.allocate(text.len())?;
        filled.extend_from_slice(&text);
    }
    Ok(filled.into())
}
