//! `table`.

use super::Native;
use super::arguments::Arguments;
use crate::machine::{Machine, Outcome};
use crate::number;
use crate::table::ENTRY;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Native] = &[
    Native {
        name: "table.concat",
        call: concat,
    },
    Native {
        name: "table.getn",
        call: getn,
    },
    Native {
        name: "table.insert",
        call: insert,
    },
    Native {
        name: "table.maxn",
        call: maxn,
    },
    Native {
        name: "table.remove",
        call: remove,
    },
    Native {
        name: "table.sort",
        call: sort,
    },
];

fn concat(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("concat", values);
    let table = given.table(machine, 1)?;
    let separator = match given.get(2) {
        Value::Nil => Vec::new().into(),
        _ => given.text(machine, 2)?,
    };
    let first = given.integer_or(machine, 3, 1)?;
    let length = i64::try_from(machine.table(table).len()).unwrap_or(i64::MAX);
    let last = given.integer_or(machine, 4, length)?;
    let mut joined = Vec::new();
    for place in first..=last {
        machine.budget.step(1)?;
        let at = u32::try_from(place).map_or(Value::Nil, |place| Value::Number(place.into()));
        let value = machine.table(table).get(&at);
        let Some(text) = value.as_text() else {
            return Err(machine.error(format!(
                "invalid value ({}) at index {place} in table for 'concat'",
                value.type_name()
            )));
        };
        machine.budget.allocate(text.len() + separator.len())?;
        joined.extend_from_slice(&text);
        if place < last {
            joined.extend_from_slice(&separator);
        }
    }
    Ok(vec![machine.new_text(joined)?])
}

fn getn(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let table = Arguments::new("getn", values).table(machine, 1)?;
    let length = machine.table(table).len();
    Ok(vec![Value::Number(number::of_count(length))])
}

fn maxn(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let table = Arguments::new("maxn", values).table(machine, 1)?;
    let mut largest = 0.0;
    let mut key = Value::Nil;
    while let Ok((found, looked)) = machine.table(table).next(&key) {
        machine.budget.step(looked)?;
        let Some((next, _)) = found else { break };
        if let Value::Number(number) = next {
            largest = f64::max(largest, number);
        }
        key = next;
    }
    Ok(vec![Value::Number(largest)])
}

fn insert(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("insert", values);
    let table = given.table(machine, 1)?;
    match given.count() {
        2 => machine.push(table, given.get(2))?,
        3 => {
            let place = given.integer(machine, 2)?;
            let length = machine.table(table).len();
            let place = usize::try_from(place)
                .ok()
                .and_then(|place| place.checked_sub(1))
                .filter(|place| *place <= length)
                .ok_or_else(|| {
                    machine.error("bad argument #2 to 'insert' (position out of bounds)")
                })?;
            if place == length || given.get(3).is_nil() {
                machine.push(table, given.get(3))?;
            } else {
                machine.budget.step(length - place)?;
                machine.budget.allocate(ENTRY)?;
                let value = given.get(3);
                machine.table_mut(table).list_mut().insert(place, value);
            }
        }
        _ => return Err(machine.error("wrong number of arguments to 'insert'")),
    }
    Ok(Vec::new())
}

fn remove(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("remove", values);
    let table = given.table(machine, 1)?;
    let length = machine.table(table).len();
    let at_end = i64::try_from(length).unwrap_or(i64::MAX);
    let place = usize::try_from(given.integer_or(machine, 2, at_end)?)
        .ok()
        .filter(|place| (1..=length).contains(place));
    let Some(place) = place else {
        return Ok(vec![Value::Nil]);
    };
    machine.budget.step(length - place)?;
    let items = machine.table_mut(table).list_mut();
    let removed = items.remove(place - 1);
    while items.last().is_some_and(Value::is_nil) {
        items.pop();
    }
    Ok(vec![removed])
}

/// By halves, so that equals stay in their order, and a comparison that contradicts itself does no harm.
fn sort(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("sort", values);
    let table = given.table(machine, 1)?;
    let less = match given.get(2) {
        Value::Nil => None,
        _ => Some(given.function(machine, 2)?),
    };
    let items = machine.table(table).list().to_vec();
    machine.budget.step(items.len())?;
    let sorted = sorted(machine, items, less.as_ref())?;
    // The comparison may have changed the table meanwhile: what it then holds is what was sorted.
    *machine.table_mut(table).list_mut() = sorted;
    Ok(Vec::new())
}

fn sorted(
    machine: &mut Machine<'_>,
    mut items: Vec<Value>,
    less: Option<&Value>,
) -> Outcome<Vec<Value>> {
    if items.len() < 2 {
        return Ok(items);
    }
    let right = items.split_off(items.len() / 2);
    let mut left = sorted(machine, items, less)?.into_iter().peekable();
    let mut right = sorted(machine, right, less)?.into_iter().peekable();
    let mut merged = Vec::with_capacity(left.len() + right.len());
    while let (Some(one), Some(other)) = (left.peek(), right.peek()) {
        machine.budget.step(1)?;
        let other_first = match less {
            Some(less) => machine
                .call_for_one(less, vec![other.clone(), one.clone()])?
                .is_true(),
            None => machine.less(other, one)?,
        };
        let next = if other_first {
            right.next()
        } else {
            left.next()
        };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}
