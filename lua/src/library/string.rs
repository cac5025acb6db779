//! `string`.

use std::rc::Rc;

use super::Native;
use super::arguments::{Arguments, from_either_end};
use super::base::to_text;
use super::format;
use super::pattern::{Capture, Fault, Match, match_at};
use super::substitute;
use crate::machine::{BYTES_A_STEP, Machine, Outcome, Stop};
use crate::number;
use crate::value::{Function, Value};

pub(super) const FUNCTIONS: &[Native] = &[
    Native {
        name: "string.byte",
        call: byte,
    },
    Native {
        name: "string.char",
        call: char,
    },
    Native {
        name: "string.find",
        call: find,
    },
    Native {
        name: "string.format",
        call: format::format,
    },
    Native {
        name: "string.gmatch",
        call: gmatch,
    },
    Native {
        name: "string.gsub",
        call: substitute::gsub,
    },
    Native {
        name: "string.len",
        call: len,
    },
    Native {
        name: "string.lower",
        call: lower,
    },
    Native {
        name: "string.match",
        call: first_match,
    },
    Native {
        name: "string.rep",
        call: rep,
    },
    Native {
        name: "string.reverse",
        call: reverse,
    },
    Native {
        name: "string.sub",
        call: sub,
    },
    Native {
        name: "string.upper",
        call: upper,
    },
];

/// How many bytes `string.byte` may return at once.
const MAX_BYTES: usize = 10_000;

/// What `string.gmatch` goes on with.
pub(crate) struct Search {
    subject: Rc<[u8]>,
    pattern: Rc<[u8]>,
    at: usize,
}

fn byte(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("byte", values);
    let text = given.text(machine, 1)?;
    let first = given.integer_or(machine, 2, 1)?;
    let last = given.integer_or(machine, 3, first)?;
    let bytes = part(&text, first, last);
    if bytes.len() > MAX_BYTES {
        return Err(machine.error("string slice too long"));
    }
    machine.budget.step(bytes.len())?;
    Ok(bytes
        .iter()
        .map(|byte| Value::Number(f64::from(*byte)))
        .collect())
}

fn char(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("char", values);
    let mut text = Vec::with_capacity(given.count());
    for at in 1..=given.count() {
        let code = given.integer(machine, at)?;
        let byte = u8::try_from(code).map_err(|_| machine.error("a byte's code is over 255"))?;
        text.push(byte);
    }
    Ok(vec![machine.new_text(text)?])
}

fn len(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let text = Arguments::new("len", values).text(machine, 1)?;
    Ok(vec![Value::Number(number::of_count(text.len()))])
}

fn lower(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let text = Arguments::new("lower", values).text(machine, 1)?;
    machine.budget.allocate(text.len())?;
    Ok(vec![machine.new_text(text.to_ascii_lowercase())?])
}

fn upper(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let text = Arguments::new("upper", values).text(machine, 1)?;
    machine.budget.allocate(text.len())?;
    Ok(vec![machine.new_text(text.to_ascii_uppercase())?])
}

fn reverse(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let text = Arguments::new("reverse", values).text(machine, 1)?;
    machine.budget.allocate(text.len())?;
    Ok(vec![
        machine.new_text(text.iter().rev().copied().collect())?,
    ])
}

fn rep(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("rep", values);
    let text = given.text(machine, 1)?;
    let count = usize::try_from(given.integer(machine, 2)?).unwrap_or(0);
    machine.budget.allocate(text.len().saturating_mul(count))?;
    let repeated = if text.is_empty() {
        Vec::new()
    } else {
        text.repeat(count)
    };
    Ok(vec![machine.new_text(repeated)?])
}

fn sub(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("sub", values);
    let text = given.text(machine, 1)?;
    let first = given.integer(machine, 2)?;
    let last = given.integer_or(machine, 3, -1)?;
    let part = part(&text, first, last);
    machine.budget.allocate(part.len())?;
    Ok(vec![machine.new_text(part.to_vec())?])
}

/// From place to place, both counted from either end.
fn part(text: &[u8], first: i64, last: i64) -> &[u8] {
    let place = |place| usize::try_from(from_either_end(place, text.len())).unwrap_or(0);
    let start = place(first).max(1) - 1;
    let end = place(last).min(text.len());
    text.get(start..end).unwrap_or_default()
}

fn find(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("find", values);
    let (subject, pattern) = (given.text(machine, 1)?, given.text(machine, 2)?);
    let Some(start) = start_of(machine, &given, subject.len())? else {
        return Ok(vec![Value::Nil]);
    };
    if given.get(4).is_true() {
        let rest = &subject[start..];
        let compared = rest.len().saturating_mul(pattern.len()) / BYTES_A_STEP;
        machine.budget.step(rest.len() / BYTES_A_STEP + compared)?;
        let found = if pattern.is_empty() {
            Some(0)
        } else {
            rest.windows(pattern.len())
                .position(|window| *window == *pattern)
        };
        return Ok(match found {
            Some(at) => span(start + at, start + at + pattern.len()),
            None => vec![Value::Nil],
        });
    }
    let Some((at, found)) = first(machine, &subject, &pattern, start)? else {
        return Ok(vec![Value::Nil]);
    };
    let mut results = span(at, found.end);
    for capture in &found.captures {
        results.push(captured(machine, &subject, *capture)?);
    }
    Ok(results)
}

fn span(start: usize, end: usize) -> Vec<Value> {
    vec![
        Value::Number(number::of_count(start + 1)),
        Value::Number(number::of_count(end)),
    ]
}

fn first_match(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("match", values);
    let (subject, pattern) = (given.text(machine, 1)?, given.text(machine, 2)?);
    let Some(start) = start_of(machine, &given, subject.len())? else {
        return Ok(vec![Value::Nil]);
    };
    match first(machine, &subject, &pattern, start)? {
        Some((at, found)) => all_captured(machine, &subject, at, &found),
        None => Ok(vec![Value::Nil]),
    }
}

/// Where a search is to begin, by its third argument; none beyond the text.
fn start_of(machine: &Machine<'_>, given: &Arguments, length: usize) -> Outcome<Option<usize>> {
    let place = from_either_end(given.integer_or(machine, 3, 1)?, length).max(1);
    let start = usize::try_from(place).unwrap_or(usize::MAX) - 1;
    Ok((start <= length).then_some(start))
}

fn gmatch(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("gmatch", values);
    let search = Search {
        subject: given.text(machine, 1)?,
        pattern: given.text(machine, 2)?,
        at: 0,
    };
    machine.budget.allocate(size_of::<Search>())?;
    machine.searches.push(search);
    let which = machine.searches.len() - 1;
    Ok(vec![Value::Function(Function::Matches(which))])
}

/// What `string.gmatch` returned was called.
pub(crate) fn next_match(machine: &mut Machine<'_>, which: usize) -> Outcome<Vec<Value>> {
    let search = &machine.searches[which];
    let (subject, pattern, mut at) = (search.subject.clone(), search.pattern.clone(), search.at);
    while at <= subject.len() {
        if let Some(found) = attempt(machine, &subject, &pattern, at)? {
            // An empty match would be found for ever.
            machine.searches[which].at = found.end.max(at + 1);
            return all_captured(machine, &subject, at, &found);
        }
        at += 1;
    }
    machine.searches[which].at = at;
    Ok(vec![Value::Nil])
}

pub(super) fn whole_or_first(
    machine: &mut Machine<'_>,
    subject: &[u8],
    at: usize,
    found: &Match,
) -> Outcome<Value> {
    let first = found.captures.first().copied();
    captured(
        machine,
        subject,
        first.unwrap_or(Capture::Span(at, found.end)),
    )
}

/// The captures of a match; the whole of it where it has none.
pub(super) fn all_captured(
    machine: &mut Machine<'_>,
    subject: &[u8],
    at: usize,
    found: &Match,
) -> Outcome<Vec<Value>> {
    if found.captures.is_empty() {
        return Ok(vec![whole_or_first(machine, subject, at, found)?]);
    }
    let mut values = Vec::with_capacity(found.captures.len());
    for capture in &found.captures {
        values.push(captured(machine, subject, *capture)?);
    }
    Ok(values)
}

pub(super) fn captured(
    machine: &mut Machine<'_>,
    subject: &[u8],
    capture: Capture,
) -> Outcome<Value> {
    match capture {
        Capture::Span(start, end) => {
            machine.budget.allocate(end - start)?;
            machine.new_text(subject[start..end].to_vec())
        }
        Capture::Place(place) | Capture::Open(place) => {
            Ok(Value::Number(number::of_count(place + 1)))
        }
    }
}

/// The first place from `start` on where the pattern matches.
fn first(
    machine: &mut Machine<'_>,
    subject: &[u8],
    pattern: &[u8],
    start: usize,
) -> Outcome<Option<(usize, Match)>> {
    if let Some(pattern) = pattern.strip_prefix(b"^") {
        let found = attempt(machine, subject, pattern, start)?;
        return Ok(found.map(|found| (start, found)));
    }
    for at in start..=subject.len() {
        if let Some(found) = attempt(machine, subject, pattern, at)? {
            return Ok(Some((at, found)));
        }
    }
    Ok(None)
}

pub(super) fn attempt(
    machine: &mut Machine<'_>,
    subject: &[u8],
    pattern: &[u8],
    at: usize,
) -> Outcome<Option<Match>> {
    match match_at(&mut machine.budget, subject, pattern, at) {
        Ok(found) => Ok(found),
        Err(Fault::Stop(stop)) => Err(stop),
        Err(Fault::Malformed(why)) => Err(machine.error(why)),
    }
}

/// The text that a value of `%s` is shown as.
pub(super) fn shown(machine: &mut Machine<'_>, value: Value) -> Result<Rc<[u8]>, Stop> {
    let text = to_text(machine, value)?;
    text.as_text()
        .ok_or_else(|| machine.error("'__tostring' must return a string"))
}
