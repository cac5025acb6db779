//! JSON → values and back.

use serde_json::{Map, Value as Json};

use crate::machine::{Machine, Outcome};
use crate::number;
use crate::table::Table;
use crate::value::Value;

/// How deep the tables of a result may be nested; one that holds itself is over it.
const MAX_DEPTH: usize = 100;

/// Nulls are absent, in lists too.
pub(crate) fn to_value(machine: &mut Machine<'_>, json: &Json) -> Outcome<Value> {
    machine.budget.step(1)?;
    match json {
        Json::Null => Ok(Value::Nil),
        Json::Bool(is) => Ok(Value::Boolean(*is)),
        Json::Number(number) => Ok(number.as_f64().map_or(Value::Nil, Value::Number)),
        Json::String(text) => machine.new_text(text.as_bytes().to_vec()),
        Json::Array(items) => {
            let table = machine.new_table()?;
            for item in items {
                let item = to_value(machine, item)?;
                machine.push(table, item)?;
            }
            Ok(Value::Table(table))
        }
        Json::Object(fields) => {
            let table = machine.new_table()?;
            for (key, field) in fields {
                let field = to_value(machine, field)?;
                machine.set_text(table, key, field)?;
            }
            Ok(Value::Table(table))
        }
    }
}

/// A table is a list if it has nothing but a list, also where it has nothing; why it is no JSON otherwise.
pub(crate) fn of_value(
    machine: &mut Machine<'_>,
    value: &Value,
) -> Outcome<Result<Json, &'static str>> {
    nested(machine, value, 0)
}

fn nested(
    machine: &mut Machine<'_>,
    value: &Value,
    depth: usize,
) -> Outcome<Result<Json, &'static str>> {
    machine.budget.step(1)?;
    let id = match value {
        Value::Nil => return Ok(Ok(Json::Null)),
        Value::Boolean(is) => return Ok(Ok(Json::Bool(*is))),
        Value::Number(number) => return Ok(of_number(*number)),
        Value::Text(text) => {
            machine.budget.allocate(text.len())?;
            return Ok(Ok(Json::String(String::from_utf8_lossy(text).into_owned())));
        }
        Value::Function(_) => return Ok(Err("it has a function in it")),
        Value::Table(id) => *id,
    };
    if depth >= MAX_DEPTH {
        return Ok(Err("its tables are nested too deep"));
    }
    let (entries, looked) = all(machine.table(id));
    machine.budget.step(looked)?;
    let mut items = Vec::new();
    let mut fields = Map::new();
    for (key, value) in entries {
        let json = match nested(machine, &value, depth + 1)? {
            Ok(json) => json,
            Err(why) => return Ok(Err(why)),
        };
        match key {
            Value::Text(key) => {
                machine.budget.allocate(key.len())?;
                fields.insert(String::from_utf8_lossy(&key).into_owned(), json);
            }
            Value::Number(_) => items.push(json),
            _ => return Ok(Err("a table has keys that are no texts")),
        }
    }
    if !items.is_empty() && (!fields.is_empty() || items.len() != machine.table(id).len()) {
        return Ok(Err("a table is neither a list nor has only texts as keys"));
    }
    Ok(Ok(if fields.is_empty() {
        Json::Array(items)
    } else {
        Json::Object(fields)
    }))
}

fn all(table: &Table) -> (Vec<(Value, Value)>, usize) {
    let mut entries = Vec::new();
    let mut steps = 0;
    let mut key = Value::Nil;
    while let Ok((found, looked)) = table.next(&key) {
        steps += looked;
        let Some((next, value)) = found else { break };
        entries.push((next.clone(), value));
        key = next;
    }
    (entries, steps)
}

fn of_number(number: f64) -> Result<Json, &'static str> {
    if let Some(whole) = number::as_integer(number) {
        return Ok(Json::from(whole));
    }
    serde_json::Number::from_f64(number)
        .map(Json::Number)
        .ok_or("a number is infinite, or none")
}
