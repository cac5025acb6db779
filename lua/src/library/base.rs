//! The basic functions.

use super::{Arguments, Native};
use crate::machine::{Machine, Outcome, Stop};
use crate::number;
use crate::value::{Function, Value};

/// How many values may be returned at once by `unpack`.
const MAX_UNPACKED: i64 = 10_000;

pub(super) const FUNCTIONS: &[Native] = &[
    Native {
        name: "assert",
        call: assert,
    },
    Native {
        name: "error",
        call: error,
    },
    Native {
        name: "getmetatable",
        call: getmetatable,
    },
    Native {
        name: "ipairs",
        call: ipairs,
    },
    Native {
        name: "next",
        call: next,
    },
    Native {
        name: "pairs",
        call: pairs,
    },
    Native {
        name: "pcall",
        call: pcall,
    },
    Native {
        name: "print",
        // Scripts that print are left alone, and nobody reads it.
        call: |_, _| Ok(Vec::new()),
    },
    Native {
        name: "rawequal",
        call: rawequal,
    },
    Native {
        name: "rawget",
        call: rawget,
    },
    Native {
        name: "rawset",
        call: rawset,
    },
    Native {
        name: "require",
        call: require,
    },
    Native {
        name: "select",
        call: select,
    },
    Native {
        name: "setmetatable",
        call: setmetatable,
    },
    Native {
        name: "tonumber",
        call: tonumber,
    },
    Native {
        name: "tostring",
        call: tostring,
    },
    Native {
        name: "type",
        call: type_of,
    },
    Native {
        name: "unpack",
        call: unpack,
    },
    Native {
        name: "xpcall",
        call: xpcall,
    },
];

static NEXT: Native = Native {
    name: "next",
    call: next,
};
static NEXT_LISTED: Native = Native {
    name: "ipairs",
    call: next_listed,
};

fn assert(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("assert", values);
    if given.any(machine, 1)?.is_true() {
        return Ok(given.rest(1));
    }
    match given.get(2) {
        Value::Nil => Err(machine.error("assertion failed!")),
        message => Err(Stop::Raised(message)),
    }
}

fn error(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("error", values);
    let level = given.integer_or(machine, 2, 1)?;
    match given.get(1) {
        // Only where `error` stands is known, not who called that function.
        Value::Text(text) if level > 0 => {
            let told = String::from_utf8_lossy(&text).into_owned();
            machine.budget.allocate(told.len())?;
            Err(machine.error(told))
        }
        value => Err(Stop::Raised(value)),
    }
}

fn getmetatable(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let value = Arguments::new("getmetatable", values).any(machine, 1)?;
    if let Some(shown) = machine.metamethod(&value, "__metatable") {
        return Ok(vec![shown]);
    }
    let metatable = machine.metatable(&value).map(Value::Table);
    Ok(vec![metatable.unwrap_or_default()])
}

fn setmetatable(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("setmetatable", values);
    let table = given.table(machine, 1)?;
    if machine
        .metamethod(&Value::Table(table), "__metatable")
        .is_some()
    {
        return Err(machine.error("cannot change a protected metatable"));
    }
    let metatable = match given.get(2) {
        Value::Nil => None,
        _ => Some(given.table(machine, 2)?),
    };
    machine.table_mut(table).metatable = metatable;
    Ok(vec![Value::Table(table)])
}

fn ipairs(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let table = Arguments::new("ipairs", values).table(machine, 1)?;
    let iterator = Value::Function(Function::Native(&NEXT_LISTED));
    Ok(vec![iterator, Value::Table(table), Value::Number(0.0)])
}

fn next_listed(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("ipairs", values);
    let table = given.table(machine, 1)?;
    let place = Value::Number(given.number(machine, 2)? + 1.0);
    let value = machine.get_raw(table, &place)?;
    if value.is_nil() {
        return Ok(vec![Value::Nil]);
    }
    Ok(vec![place, value])
}

fn pairs(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let table = Arguments::new("pairs", values).table(machine, 1)?;
    let iterator = Value::Function(Function::Native(&NEXT));
    Ok(vec![iterator, Value::Table(table), Value::Nil])
}

fn next(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("next", values);
    let table = given.table(machine, 1)?;
    let key = given.get(2);
    machine.look_up(&key)?;
    let Ok((found, looked)) = machine.table(table).next(&key) else {
        return Err(machine.error("invalid key to 'next'"));
    };
    machine.budget.step(looked)?;
    Ok(match found {
        Some((key, value)) => vec![key, value],
        None => vec![Value::Nil],
    })
}

fn pcall(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("pcall", values);
    let function = given.any(machine, 1)?;
    Ok(outcome(machine.call_protected(&function, given.rest(2))?))
}

fn xpcall(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("xpcall", values);
    let (function, handler) = (given.any(machine, 1)?, given.any(machine, 2)?);
    match machine.call_protected(&function, Vec::new())? {
        Err(raised) => {
            let mut results = vec![Value::Boolean(false)];
            results.extend(machine.call(&handler, vec![raised])?);
            Ok(results)
        }
        done @ Ok(_) => Ok(outcome(done)),
    }
}

fn outcome(result: Result<Vec<Value>, Value>) -> Vec<Value> {
    match result {
        Ok(results) => {
            let mut all = vec![Value::Boolean(true)];
            all.extend(results);
            all
        }
        Err(raised) => vec![Value::Boolean(false), raised],
    }
}

fn rawequal(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("rawequal", values);
    machine.look_up(&given.get(1))?;
    Ok(vec![Value::Boolean(given.get(1).same(&given.get(2)))])
}

fn rawget(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("rawget", values);
    let table = given.table(machine, 1)?;
    Ok(vec![machine.get_raw(table, &given.get(2))?])
}

fn rawset(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("rawset", values);
    let table = given.table(machine, 1)?;
    machine.set_raw(table, given.get(2), given.get(3))?;
    Ok(vec![Value::Table(table)])
}

/// Only libraries that are there anyway.
fn require(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let name = Arguments::new("require", values).text(machine, 1)?;
    let known = [&b"os"[..], b"table", b"string", b"math"].contains(&&*name);
    let library = machine.get_raw(machine.globals, &Value::Text(name.clone()))?;
    if known && !library.is_nil() {
        return Ok(vec![library]);
    }
    let name = Value::Text(name).told();
    Err(machine.error(format!("module {name} not found")))
}

fn select(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("select", values);
    if matches!(given.get(1), Value::Text(text) if *text == *b"#") {
        return Ok(vec![Value::Number(number::of_count(given.count() - 1))]);
    }
    let place = super::arguments::from_either_end(given.integer(machine, 1)?, given.count() - 1);
    match usize::try_from(place) {
        Ok(place @ 1..) => Ok(given.rest(place.saturating_add(1))),
        _ => Err(machine.error("bad argument #1 to 'select' (index out of range)")),
    }
}

fn tonumber(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("tonumber", values);
    let value = given.any(machine, 1)?;
    machine.look_up(&value)?;
    if given.get(2).is_nil() {
        return Ok(vec![value.as_number().map_or(Value::Nil, Value::Number)]);
    }
    let base = u32::try_from(given.integer(machine, 2)?)
        .ok()
        .filter(|base| (2..=36).contains(base))
        .ok_or_else(|| machine.error("bad argument #2 to 'tonumber' (base out of range)"))?;
    let text = given.text(machine, 1)?;
    let digits = String::from_utf8_lossy(&text);
    let number = number::whole(digits.trim(), base);
    Ok(vec![number.map_or(Value::Nil, Value::Number)])
}

fn tostring(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let value = Arguments::new("tostring", values).any(machine, 1)?;
    Ok(vec![to_text(machine, value)?])
}

/// As `tostring` does.
pub(super) fn to_text(machine: &mut Machine<'_>, value: Value) -> Outcome<Value> {
    if let Some(handler) = machine.metamethod(&value, "__tostring") {
        return machine.call_for_one(&handler, vec![value]);
    }
    if let Value::Text(_) = value {
        return Ok(value);
    }
    let shown = value.shown();
    machine.new_text(shown.into_bytes())
}

fn type_of(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let value = Arguments::new("type", values).any(machine, 1)?;
    Ok(vec![machine.new_text(value.type_name().into())?])
}

fn unpack(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("unpack", values);
    let table = given.table(machine, 1)?;
    let first = given.integer_or(machine, 2, 1)?;
    let length = i64::try_from(machine.table(table).len()).unwrap_or(i64::MAX);
    let last = given.integer_or(machine, 3, length)?;
    if last.saturating_sub(first) >= MAX_UNPACKED {
        return Err(machine.error("too many results to unpack"));
    }
    let mut results = Vec::new();
    for place in first..=last {
        machine.budget.step(1)?;
        let place = u32::try_from(place).map_or(Value::Nil, |place| Value::Number(place.into()));
        results.push(machine.table(table).get(&place));
    }
    Ok(results)
}
