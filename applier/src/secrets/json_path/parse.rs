//! An expression becomes parts.

use super::{Filter, Operand, Operator, Part, Path, PathError, Step};

/// Ranges within ranges.
const MAX_DEPTH: usize = 32;

pub(super) fn parts(expression: &str) -> Result<Vec<Part>, PathError> {
    let mut open: Vec<(Path, Vec<Part>)> = Vec::new();
    let mut parts = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find('{') {
        literal(&mut parts, &rest[..at]);
        rest = &rest[at + 1..];
        loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            if let Some(after) = keyword(rest, "range") {
                if open.len() == MAX_DEPTH {
                    return Err(PathError::TooDeep);
                }
                rest = after.trim_start();
                let over = path(&mut rest)?;
                open.push((over, std::mem::take(&mut parts)));
            } else if let Some(after) = keyword(rest, "end") {
                rest = after;
                let (over, before) = open.pop().ok_or(PathError::Incomplete("{range …}"))?;
                let inside = std::mem::replace(&mut parts, before);
                parts.push(Part::Range(over, inside));
            } else if rest.starts_with(['\'', '"']) {
                let text = quoted(&mut rest)?;
                literal(&mut parts, &text);
            } else if rest.is_empty() {
                return Err(PathError::Incomplete("}"));
            } else {
                let path = path(&mut rest)?;
                parts.push(Part::Print(path));
            }
        }
    }
    literal(&mut parts, rest);
    if open.is_empty() {
        Ok(parts)
    } else {
        Err(PathError::Incomplete("{end}"))
    }
}

fn literal(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
}

fn keyword<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let after = text.strip_prefix(word)?;
    let ends = after
        .chars()
        .next()
        .is_none_or(|next| !next.is_alphanumeric() && next != '_');
    ends.then_some(after)
}

fn unreadable(text: &str) -> PathError {
    PathError::Unreadable(text.chars().take(20).collect())
}

fn path(rest: &mut &str) -> Result<Path, PathError> {
    let start = *rest;
    let from_root = rest.starts_with('$');
    if from_root || rest.starts_with('@') {
        *rest = &rest[1..];
    }
    let mut steps = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix("..") {
            *rest = after;
            steps.push(Step::Recursive);
            if !rest.starts_with('[') {
                steps.extend(field(rest));
            }
        } else if let Some(after) = rest.strip_prefix('.') {
            *rest = after;
            if !rest.starts_with('[') {
                steps.extend(field(rest));
            }
        } else if let Some(after) = rest.strip_prefix('[') {
            *rest = after;
            steps.push(bracket(rest)?);
        } else if rest.len() == start.len() {
            return Err(unreadable(rest));
        } else {
            return Ok(Path { from_root, steps });
        }
    }
}

/// A field's name after a dot; none behind a dot of its own.
fn field(rest: &mut &str) -> Option<Step> {
    let mut name = String::new();
    let mut symbols = rest.char_indices().peekable();
    let mut end = rest.len();
    while let Some((at, symbol)) = symbols.next() {
        match symbol {
            '\\' => name.extend(symbols.next().map(|(_, escaped)| escaped)),
            '.' | '[' | ']' | '{' | '}' | '(' | ')' | '\'' | '"' | '=' | '!' | '<' | ',' | '|' => {
                end = at;
                break;
            }
            symbol if symbol.is_whitespace() => {
                end = at;
                break;
            }
            symbol => name.push(symbol),
        }
    }
    *rest = &rest[end..];
    match name.as_str() {
        "" => None,
        "*" => Some(Step::Wildcard),
        _ => Some(Step::Field(name)),
    }
}

/// What is between brackets, the opening one read.
fn bracket(rest: &mut &str) -> Result<Step, PathError> {
    if let Some(after) = rest.strip_prefix("?(") {
        *rest = after;
        let filter = filter(rest)?;
        *rest = rest.strip_prefix(")]").ok_or(PathError::Incomplete(")]"))?;
        return Ok(Step::Filter(Box::new(filter)));
    }
    let mut steps = Vec::new();
    loop {
        *rest = rest.trim_start();
        steps.push(if rest.starts_with(['\'', '"']) {
            Step::Field(quoted(rest)?)
        } else {
            let end = rest.find([',', ']']).ok_or(PathError::Incomplete("]"))?;
            let (text, after) = rest.split_at(end);
            *rest = after;
            indices(text.trim())?
        });
        *rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(',') {
            *rest = after;
        } else {
            *rest = rest.strip_prefix(']').ok_or(PathError::Incomplete("]"))?;
            return Ok(match steps.len() {
                1 => steps.remove(0),
                _ => Step::Union(steps),
            });
        }
    }
}

fn indices(text: &str) -> Result<Step, PathError> {
    if text == "*" {
        return Ok(Step::Wildcard);
    }
    let numbers = text
        .split(':')
        .map(|number| match number.trim() {
            "" => Ok(None),
            number => number.parse().map(Some),
        })
        .collect::<Result<Vec<Option<i64>>, _>>()
        .map_err(|_| unreadable(text))?;
    match numbers[..] {
        [Some(index)] => Ok(Step::Index(index)),
        [first, end] => Ok(Step::Slice {
            first,
            end,
            stride: None,
        }),
        [first, end, stride] if stride.is_none_or(|stride| stride > 0) => {
            Ok(Step::Slice { first, end, stride })
        }
        _ => Err(unreadable(text)),
    }
}

fn filter(rest: &mut &str) -> Result<Filter, PathError> {
    *rest = rest.trim_start();
    let left = operand(rest)?;
    *rest = rest.trim_start();
    let operator = [
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<=", Operator::LessOrEqual),
        ("<", Operator::Less),
    ]
    .into_iter()
    .find_map(|(sign, operator)| Some((rest.strip_prefix(sign)?, operator)));
    let right = match operator {
        None => None,
        Some((after, operator)) => {
            *rest = after.trim_start();
            let right = operand(rest)?;
            *rest = rest.trim_start();
            Some((operator, right))
        }
    };
    Ok(Filter { left, right })
}

fn operand(rest: &mut &str) -> Result<Operand, PathError> {
    if rest.starts_with(['\'', '"']) {
        let text = quoted(rest)?;
        let json = serde_json::to_string(&text).map_err(|_| unreadable(&text))?;
        return Ok(Operand::Literal(json));
    }
    if rest.starts_with(['@', '$', '.', '[']) {
        return Ok(Operand::Path(path(rest)?));
    }
    let end = rest
        .find(|symbol: char| !symbol.is_alphanumeric() && !matches!(symbol, '-' | '+' | '.'))
        .unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    let known = matches!(word, "true" | "false" | "null") || word.parse::<f64>().is_ok();
    if !known {
        return Err(unreadable(rest));
    }
    *rest = after;
    Ok(Operand::Literal(word.to_owned()))
}

/// A text in quotes, with Go's escapes for what is common.
fn quoted(rest: &mut &str) -> Result<String, PathError> {
    let quote = rest.chars().next().unwrap_or('\'');
    let mut text = String::new();
    let mut symbols = rest.char_indices().skip(1);
    while let Some((at, symbol)) = symbols.next() {
        match symbol {
            '\\' => text.push(match symbols.next().map(|(_, escaped)| escaped) {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some(other) => other,
                None => break,
            }),
            symbol if symbol == quote => {
                *rest = &rest[at + symbol.len_utf8()..];
                return Ok(text);
            }
            symbol => text.push(symbol),
        }
    }
    Err(PathError::Incomplete("a closing quote"))
}
