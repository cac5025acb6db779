//! The functions that a path can be told by. Each ends by itself, in a time that its input bounds.

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::{Expr, JqError};

/// The largest compiled regular expression, in bytes.
const MAX_REGEX: usize = 256 * 1024;

#[derive(Clone, Debug)]
pub(super) enum Function {
    Empty,
    Select(Box<Expr>),
    First(Box<Expr>),
    /// Lets through what is of one kind.
    Only(Kind),
    Map(Box<Expr>),
    Any(Box<Expr>, Box<Expr>),
    All(Box<Expr>, Box<Expr>),
    /// Whether the input is among what the argument yields.
    In(Box<Expr>),
    Plain(Plain),
    With(With, Box<Expr>),
    Test(Regex),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Nulls,
    Booleans,
    Numbers,
    Strings,
    Arrays,
    Objects,
    Iterables,
    Scalars,
    Values,
}

/// Of the input alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    Not,
    Length,
    Keys,
    Type,
    ToString,
    ToNumber,
    Lower,
    Upper,
    Add,
}

/// Of the input and one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum With {
    Has,
    Contains,
    Inside,
    Begins,
    Ends,
    TrimStart,
    TrimEnd,
    Split,
    Join,
}

impl Function {
    pub(super) fn of(name: &str, arguments: &[Expr]) -> Result<Self, JqError> {
        let unsupported = || {
            let count = arguments.len();
            JqError::Unsupported(format!("the function {name}/{count}"))
        };
        let mut given = arguments.iter().cloned().map(Box::new);
        let (one, two) = (given.next(), given.next());
        let each = || {
            Box::new(Expr::Each(
                Box::new(Expr::Identity),
                jaq_core::path::Opt::Essential,
            ))
        };
        let this = || Box::new(Expr::Identity);
        Ok(match (name, one, two, arguments.len()) {
            ("empty", None, None, 0) => Self::Empty,
            ("select", Some(condition), None, 1) => Self::Select(condition),
            ("first", None, None, 0) => Self::First(each()),
            ("first", Some(of), None, 1) => Self::First(of),
            ("map", Some(to), None, 1) => Self::Map(to),
            ("any", None, None, 0) => Self::Any(each(), this()),
            ("any", Some(condition), None, 1) => Self::Any(each(), condition),
            ("any", Some(of), Some(condition), 2) => Self::Any(of, condition),
            ("all", None, None, 0) => Self::All(each(), this()),
            ("all", Some(condition), None, 1) => Self::All(each(), condition),
            ("all", Some(of), Some(condition), 2) => Self::All(of, condition),
            ("IN", Some(of), None, 1) => Self::In(of),
            ("test", Some(pattern), None, 1) => Self::Test(regex(&pattern, None)?),
            ("test", Some(pattern), Some(flags), 2) => Self::Test(regex(&pattern, Some(&flags))?),
            (_, None, None, 0) => match (kind(name), plain(name)) {
                (Some(kind), _) => Self::Only(kind),
                (None, Some(plain)) => Self::Plain(plain),
                (None, None) => return Err(unsupported()),
            },
            (_, Some(argument), None, 1) => {
                Self::With(with(name).ok_or_else(unsupported)?, argument)
            }
            _ => return Err(unsupported()),
        })
    }
}

fn kind(name: &str) -> Option<Kind> {
    Some(match name {
        "nulls" => Kind::Nulls,
        "booleans" => Kind::Booleans,
        "numbers" => Kind::Numbers,
        "strings" => Kind::Strings,
        "arrays" => Kind::Arrays,
        "objects" => Kind::Objects,
        "iterables" => Kind::Iterables,
        "scalars" => Kind::Scalars,
        "values" => Kind::Values,
        _ => return None,
    })
}

fn plain(name: &str) -> Option<Plain> {
    Some(match name {
        "not" => Plain::Not,
        "length" => Plain::Length,
        "keys" => Plain::Keys,
        "type" => Plain::Type,
        "tostring" => Plain::ToString,
        "tonumber" => Plain::ToNumber,
        "ascii_downcase" => Plain::Lower,
        "ascii_upcase" => Plain::Upper,
        "add" => Plain::Add,
        _ => return None,
    })
}

fn with(name: &str) -> Option<With> {
    Some(match name {
        "has" => With::Has,
        "contains" => With::Contains,
        "inside" => With::Inside,
        "startswith" => With::Begins,
        "endswith" => With::Ends,
        "ltrimstr" => With::TrimStart,
        "rtrimstr" => With::TrimEnd,
        "split" => With::Split,
        "join" => With::Join,
        _ => return None,
    })
}

/// Known beforehand, so that it is compiled once and bounded.
fn regex(pattern: &Expr, flags: Option<&Expr>) -> Result<Regex, JqError> {
    let text = |expr: &Expr| match expr {
        Expr::Constant(Value::String(text)) => Ok(text.clone()),
        _ => Err(JqError::Regex("it isn't a text".to_owned())),
    };
    let mut builder = RegexBuilder::new(&text(pattern)?);
    builder.size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX);
    for flag in flags.map(text).transpose()?.unwrap_or_default().chars() {
        match flag {
            // All matches or one: whether there is any is all that counts.
            'g' => {}
            'i' => _ = builder.case_insensitive(true),
            'x' => _ = builder.ignore_whitespace(true),
            's' => _ = builder.dot_matches_new_line(true),
            other => return Err(JqError::Regex(format!("flag {other:?}"))),
        }
    }
    builder
        .build()
        .map_err(|error| JqError::Regex(error.to_string()))
}
