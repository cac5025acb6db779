//! Parts and JSON become text.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{Filter, Operand, Operator, Part, Path, PathError, Step};

/// Values in hand at once.
const MAX_FOUND: usize = 10_000;
/// Bytes of a result.
const MAX_TEXT: usize = 1 << 20;
/// Steps taken in all.
const MAX_WORK: usize = 200_000;

type Found<'a> = Vec<&'a RawValue>;

pub(super) fn text(parts: &[Part], root: &RawValue) -> Result<Zeroizing<String>, PathError> {
    let mut out = Out {
        root,
        pieces: Vec::new(),
        size: 0,
        work: 0,
    };
    out.parts(parts, root)?;
    let mut whole = Zeroizing::new(String::with_capacity(out.size));
    for piece in &out.pieces {
        whole.push_str(piece);
    }
    Ok(whole)
}

struct Out<'a> {
    root: &'a RawValue,
    pieces: Vec<Zeroizing<String>>,
    size: usize,
    work: usize,
}

impl<'a> Out<'a> {
    fn parts(&mut self, parts: &[Part], here: &'a RawValue) -> Result<(), PathError> {
        for part in parts {
            match part {
                Part::Text(text) => self.put(Zeroizing::new(text.clone()))?,
                Part::Print(path) => {
                    let found = self.find(path, here)?;
                    for (at, value) in found.into_iter().enumerate() {
                        if at > 0 {
                            self.put(Zeroizing::new(" ".to_owned()))?;
                        }
                        self.put(printed(value)?)?;
                    }
                }
                Part::Range(over, inside) => {
                    for value in self.find(over, here)? {
                        // A list is gone through, as kubectl does it.
                        match items(value) {
                            Some(items) => {
                                for item in items {
                                    self.parts(inside, item)?;
                                }
                            }
                            None => self.parts(inside, value)?,
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, text: Zeroizing<String>) -> Result<(), PathError> {
        self.size += text.len();
        self.work += 1;
        if self.size > MAX_TEXT || self.work > MAX_WORK {
            return Err(PathError::TooMuch);
        }
        self.pieces.push(text);
        Ok(())
    }

    fn find(&mut self, path: &Path, here: &'a RawValue) -> Result<Found<'a>, PathError> {
        let mut found = vec![if path.from_root { self.root } else { here }];
        for step in &path.steps {
            found = self.step(step, &found)?;
        }
        Ok(found)
    }

    fn step(&mut self, step: &Step, from: &[&'a RawValue]) -> Result<Found<'a>, PathError> {
        let mut found = Vec::new();
        match step {
            Step::Field(name) => {
                for value in from {
                    found.extend(
                        fields(value)
                            .into_iter()
                            .flatten()
                            .rev()
                            .find_map(|(key, value)| (key == *name).then_some(value)),
                    );
                }
                if found.is_empty() && !from.is_empty() {
                    return Err(PathError::NotFound(name.clone()));
                }
            }
            Step::Index(index) => {
                for value in from {
                    if let Some(items) = items(value) {
                        let at = position(*index, items.len());
                        found.push(*items.get(at).ok_or(PathError::OutOfBounds(*index))?);
                    }
                }
            }
            Step::Slice { first, end, stride } => {
                for value in from {
                    if let Some(items) = items(value) {
                        let bound = |at: Option<i64>, default: usize| {
                            at.map_or(default, |at| position(at, items.len()))
                                .min(items.len())
                        };
                        let (first, end) = (bound(*first, 0), bound(*end, items.len()));
                        let stride = stride.and_then(|it| usize::try_from(it).ok()).unwrap_or(1);
                        if let Some(slice) = items.get(first..end) {
                            found.extend(slice.iter().step_by(stride.max(1)));
                        }
                    }
                }
            }
            Step::Wildcard => {
                for value in from {
                    found.extend(children(value));
                }
            }
            Step::Recursive => {
                let mut next: Vec<&RawValue> = from.iter().rev().copied().collect();
                while let Some(value) = next.pop() {
                    found.push(value);
                    let mut inside = children(value);
                    inside.reverse();
                    next.extend(inside);
                    self.count(found.len().max(next.len()))?;
                }
            }
            Step::Union(steps) => {
                for step in steps {
                    found.extend(self.step(step, from)?);
                }
            }
            Step::Filter(filter) => {
                for value in from {
                    for item in items(value).unwrap_or_default() {
                        if self.holds(filter, item)? {
                            found.push(item);
                        }
                    }
                }
            }
        }
        self.count(found.len())?;
        Ok(found)
    }

    fn count(&mut self, found: usize) -> Result<(), PathError> {
        self.work += 1;
        if found > MAX_FOUND || self.work > MAX_WORK {
            Err(PathError::TooMuch)
        } else {
            Ok(())
        }
    }

    fn holds(&mut self, filter: &Filter, item: &'a RawValue) -> Result<bool, PathError> {
        let Some(left) = self.operand(&filter.left, item)? else {
            return Ok(false);
        };
        let Some((operator, right)) = &filter.right else {
            return Ok(true);
        };
        let Some(right) = self.operand(right, item)? else {
            return Ok(false);
        };
        let order = compared(&left, &right);
        Ok(match operator {
            Operator::Equal => order == Some(Ordering::Equal),
            Operator::NotEqual => order != Some(Ordering::Equal),
            Operator::Less => order == Some(Ordering::Less),
            Operator::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        })
    }

    fn operand(
        &mut self,
        operand: &Operand,
        item: &'a RawValue,
    ) -> Result<Option<Zeroizing<String>>, PathError> {
        match operand {
            Operand::Literal(json) => Ok(Some(Zeroizing::new(json.clone()))),
            Operand::Path(path) => match self.find(path, item) {
                Ok(found) => Ok(found.first().map(|it| Zeroizing::new(it.get().to_owned()))),
                Err(PathError::NotFound(_) | PathError::OutOfBounds(_)) => Ok(None),
                Err(error) => Err(error),
            },
        }
    }
}

/// Two values as JSON; none where they aren't of one kind.
fn compared(left: &str, right: &str) -> Option<Ordering> {
    if left.starts_with('"') && right.starts_with('"') {
        let characters = api::json_string::unescape;
        return Some(
            characters(left)?
                .as_slice()
                .cmp(characters(right)?.as_slice()),
        );
    }
    match (left.parse::<f64>(), right.parse::<f64>()) {
        (Ok(left), Ok(right)) => left.partial_cmp(&right),
        _ => (left == right).then_some(Ordering::Equal),
    }
}

fn position(index: i64, length: usize) -> usize {
    let from_end = index < 0;
    let distance = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
    if from_end {
        length.checked_sub(distance).unwrap_or(usize::MAX)
    } else {
        distance
    }
}

fn items(value: &RawValue) -> Option<Vec<&RawValue>> {
    value
        .get()
        .starts_with('[')
        .then(|| serde_json::from_str(value.get()).ok())?
}

/// Names and values in their order.
fn fields(value: &RawValue) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    if !value.get().starts_with('{') {
        return None;
    }
    let fields: Fields<'_> = serde_json::from_str(value.get()).ok()?;
    Some(fields.0)
}

fn children(value: &RawValue) -> Vec<&RawValue> {
    items(value).unwrap_or_else(|| {
        let fields = fields(value).unwrap_or_default();
        fields.into_iter().map(|(_, value)| value).collect()
    })
}

/// As kubectl prints it: a text as its characters, an object or a list as JSON without white space.
fn printed(value: &RawValue) -> Result<Zeroizing<String>, PathError> {
    let json = value.get();
    if json.starts_with('"') {
        return api::json_string::unescape(json)
            .and_then(|bytes| std::str::from_utf8(&bytes).ok().map(str::to_owned))
            .map(Zeroizing::new)
            .ok_or_else(|| PathError::Unreadable("a text of the value".to_owned()));
    }
    Ok(compact(json))
}

/// Without the white space between its parts.
fn compact(json: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(json.len()));
    let (mut inside, mut escaped) = (false, false);
    for symbol in json.chars() {
        if inside || !symbol.is_ascii_whitespace() {
            out.push(symbol);
        }
        if escaped {
            escaped = false;
        } else {
            match symbol {
                '"' => inside = !inside,
                '\\' => escaped = inside,
                _ => {}
            }
        }
    }
    out
}

struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Fields<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
                    fields.push(entry);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}
