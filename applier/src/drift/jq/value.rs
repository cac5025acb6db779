//! What can be done with values: jq's comparisons, arithmetic and functions, each without steps of its own to count.

use std::borrow::Cow;
use std::cmp::Ordering;

use jaq_core::ops::{Cmp, Math};
use serde_json::{Number, Value};

use super::function::{Kind, Plain, With};

pub(super) fn truth(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

pub(super) fn is_of(kind: Kind, value: &Value) -> bool {
    let iterable = value.is_array() || value.is_object();
    match kind {
        Kind::Nulls => value.is_null(),
        Kind::Booleans => value.is_boolean(),
        Kind::Numbers => value.is_number(),
        Kind::Strings => value.is_string(),
        Kind::Arrays => value.is_array(),
        Kind::Objects => value.is_object(),
        Kind::Iterables => iterable,
        Kind::Scalars => !iterable,
        Kind::Values => !value.is_null(),
    }
}

/// A text as it is, anything else as JSON.
pub(super) fn written(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

pub(super) fn of_one(plain: Plain, value: &Value) -> Option<Value> {
    Some(match (plain, value) {
        (Plain::Not, value) => (!truth(value)).into(),
        (Plain::Length, Value::Null) => 0.into(),
        (Plain::Length, Value::String(text)) => text.chars().count().into(),
        (Plain::Length, Value::Array(items)) => items.len().into(),
        (Plain::Length, Value::Object(fields)) => fields.len().into(),
        (Plain::Length, Value::Number(number)) => number.as_f64()?.abs().into(),
        (Plain::Keys, Value::Array(items)) => (0..items.len()).collect::<Vec<_>>().into(),
        (Plain::Keys, Value::Object(fields)) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            names.into_iter().cloned().collect::<Vec<_>>().into()
        }
        (Plain::Type, value) => match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        }
        .into(),
        (Plain::ToString, value) => written(value).into_owned().into(),
        (Plain::ToNumber, Value::Number(number)) => number.clone().into(),
        (Plain::ToNumber, Value::String(text)) => text.trim().parse::<Number>().ok()?.into(),
        (Plain::Lower, Value::String(text)) => text.to_ascii_lowercase().into(),
        (Plain::Upper, Value::String(text)) => text.to_ascii_uppercase().into(),
        (Plain::Add, Value::Array(items)) => items
            .iter()
            .try_fold(Value::Null, |sum, item| math(Math::Add, &sum, item))?,
        _ => return None,
    })
}

pub(super) fn of_two(with: With, value: &Value, argument: &Value) -> Option<Value> {
    if with == With::Inside {
        return Some(contains(argument, value)?.into());
    }
    if with == With::Contains {
        return Some(contains(value, argument)?.into());
    }
    Some(match (with, value, argument) {
        (With::Has, Value::Object(fields), Value::String(name)) => fields.contains_key(name).into(),
        (With::Has, Value::Array(items), Value::Number(at)) => at
            .as_u64()
            .and_then(|at| usize::try_from(at).ok())
            .is_some_and(|at| at < items.len())
            .into(),
        (With::Begins, Value::String(text), Value::String(part)) => {
            text.starts_with(part.as_str()).into()
        }
        (With::Ends, Value::String(text), Value::String(part)) => {
            text.ends_with(part.as_str()).into()
        }
        (With::TrimStart, Value::String(text), Value::String(part)) => {
            text.strip_prefix(part.as_str()).unwrap_or(text).into()
        }
        (With::TrimEnd, Value::String(text), Value::String(part)) => {
            text.strip_suffix(part.as_str()).unwrap_or(text).into()
        }
        (With::TrimStart | With::TrimEnd, other, _) => other.clone(),
        (With::Split, Value::String(text), Value::String(by)) => {
            text.split(by.as_str()).collect::<Vec<_>>().into()
        }
        (With::Join, Value::Array(items), Value::String(by)) => {
            let texts: Vec<Cow<'_, str>> = items
                .iter()
                .map(|item| match item {
                    Value::Null => Cow::Borrowed(""),
                    item => written(item),
                })
                .collect();
            texts.join(by).into()
        }
        _ => return None,
    })
}

fn contains(whole: &Value, part: &Value) -> Option<bool> {
    Some(match (whole, part) {
        (Value::String(whole), Value::String(part)) => whole.contains(part.as_str()),
        (Value::Array(whole), Value::Array(part)) => part.iter().all(|part| {
            whole
                .iter()
                .any(|whole| contains(whole, part) == Some(true))
        }),
        (Value::Object(whole), Value::Object(part)) => part.iter().all(|(name, part)| {
            whole
                .get(name)
                .is_some_and(|whole| contains(whole, part) == Some(true))
        }),
        (Value::String(_) | Value::Array(_) | Value::Object(_), _)
        | (_, Value::String(_) | Value::Array(_) | Value::Object(_)) => return None,
        (whole, part) => compare(whole, part) == Ordering::Equal,
    })
}

pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => 1 + text.len() / 8,
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(size).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

/// How often something may be looked for in a value.
pub(super) fn size_of_list(value: &Value) -> usize {
    match value {
        Value::Array(_) | Value::Object(_) => size(value),
        _ => 1,
    }
}

pub(super) fn math(how: Math, one: &Value, two: &Value) -> Option<Value> {
    match (how, one, two) {
        (Math::Add, Value::Null, other) | (Math::Add, other, Value::Null) => Some(other.clone()),
        (Math::Add, Value::String(one), Value::String(two)) => Some(format!("{one}{two}").into()),
        (Math::Add, Value::Array(one), Value::Array(two)) => {
            Some(one.iter().chain(two).cloned().collect::<Vec<_>>().into())
        }
        (how, Value::Number(one), Value::Number(two)) => {
            if let (Some(one), Some(two)) = (one.as_i64(), two.as_i64()) {
                let whole = match how {
                    Math::Add => one.checked_add(two),
                    Math::Sub => one.checked_sub(two),
                    Math::Mul => one.checked_mul(two),
                    Math::Rem => one.checked_rem(two),
                    Math::Div => one
                        .checked_rem(two)
                        .filter(|rest| *rest == 0)
                        .map(|_| one / two),
                };
                if let Some(whole) = whole {
                    return Some(whole.into());
                }
            }
            let (one, two) = (one.as_f64()?, two.as_f64()?);
            let number = match how {
                Math::Add => one + two,
                Math::Sub => one - two,
                Math::Mul => one * two,
                Math::Div => one / two,
                Math::Rem => one % two,
            };
            Number::from_f64(number).map(Value::Number)
        }
        _ => None,
    }
}

pub(super) fn holds(how: Cmp, order: Ordering) -> bool {
    match how {
        Cmp::Lt => order.is_lt(),
        Cmp::Le => order.is_le(),
        Cmp::Gt => order.is_gt(),
        Cmp::Ge => order.is_ge(),
        Cmp::Eq => order.is_eq(),
        Cmp::Ne => order.is_ne(),
    }
}

/// jq's order: null, false, true, numbers, texts, lists, maps.
pub(super) fn compare(one: &Value, two: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(false) => 1,
        Value::Bool(true) => 2,
        Value::Number(_) => 3,
        Value::String(_) => 4,
        Value::Array(_) => 5,
        Value::Object(_) => 6,
    };
    match (one, two) {
        (Value::Number(one), Value::Number(two)) => match (one.as_i64(), two.as_i64()) {
            (Some(one), Some(two)) => one.cmp(&two),
            _ => one
                .as_f64()
                .partial_cmp(&two.as_f64())
                .unwrap_or(Ordering::Equal),
        },
        (Value::String(one), Value::String(two)) => one.cmp(two),
        (Value::Array(one), Value::Array(two)) => {
            let first = one
                .iter()
                .zip(two)
                .map(|(one, two)| compare(one, two))
                .find(|order| order.is_ne());
            first.unwrap_or_else(|| one.len().cmp(&two.len()))
        }
        (Value::Object(one), Value::Object(two)) => {
            let mut names: Vec<&String> = one.keys().collect();
            let mut others: Vec<&String> = two.keys().collect();
            names.sort();
            others.sort();
            names.cmp(&others).then_with(|| {
                let first = names
                    .iter()
                    .map(|name| compare(&one[name.as_str()], &two[name.as_str()]))
                    .find(|order| order.is_ne());
                first.unwrap_or(Ordering::Equal)
            })
        }
        (one, two) => rank(one).cmp(&rank(two)),
    }
}
