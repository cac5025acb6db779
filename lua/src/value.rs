//! What a script computes with.

use std::rc::Rc;

use crate::library::Native;
use crate::machine::Closure;
use crate::number;

/// How many bytes of a text an error quotes.
const MAX_TOLD: usize = 200;

#[derive(Clone, Default)]
pub(crate) enum Value {
    #[default]
    Nil,
    Boolean(bool),
    Number(f64),
    Text(Rc<[u8]>),
    Table(TableId),
    Function(Function),
}

/// A table of the machine, which frees all of them at once: they may hold each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TableId(pub(crate) usize);

#[derive(Clone)]
pub(crate) enum Function {
    Script(Rc<Closure>),
    Native(&'static Native),
    /// What `string.gmatch` returned: which search of the machine goes on.
    Matches(usize),
}

/// A value as the key of a table.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Boolean(bool),
    /// The bits of a number that is neither NaN nor negative zero.
    Number(u64),
    Text(Rc<[u8]>),
    Table(TableId),
    /// A function by its address, or number, and what kind it is.
    Function(u8, usize),
}

impl Value {
    pub(crate) fn text(text: impl AsRef<[u8]>) -> Self {
        Self::Text(text.as_ref().into())
    }

    pub(crate) fn is_true(&self) -> bool {
        !matches!(self, Self::Nil | Self::Boolean(false))
    }

    pub(crate) fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Boolean(_) => "boolean",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::Table(_) => "table",
            Self::Function(_) => "function",
        }
    }

    /// A number, or a text that is one.
    pub(crate) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => number::parse(text),
            _ => None,
        }
    }

    /// A text, or a number as one.
    pub(crate) fn as_text(&self) -> Option<Rc<[u8]>> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(number) => Some(number::show(*number).into_bytes().into()),
            _ => None,
        }
    }

    /// None for nil and NaN, which no table has.
    pub(crate) fn as_key(&self) -> Option<Key> {
        match self {
            Self::Nil => None,
            Self::Boolean(is) => Some(Key::Boolean(*is)),
            Self::Number(number) if number.is_nan() => None,
            Self::Number(number) => Some(Key::Number((number + 0.0).to_bits())),
            Self::Text(text) => Some(Key::Text(text.clone())),
            Self::Table(id) => Some(Key::Table(*id)),
            Self::Function(function) => {
                let (kind, which) = function.identity();
                Some(Key::Function(kind, which))
            }
        }
    }

    /// As `tostring` shows it, without asking metatables.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Nil => "nil".to_owned(),
            Self::Boolean(is) => is.to_string(),
            Self::Number(number) => number::show(*number),
            Self::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Self::Table(id) => format!("table: {:#010x}", id.0),
            Self::Function(Function::Native(native)) => format!("function: {}", native.name),
            Self::Function(_) => "function".to_owned(),
        }
    }

    /// For an error, which a script may make many of: the beginning of it.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Text(text) => {
                let beginning = &text[..text.len().min(MAX_TOLD)];
                String::from_utf8_lossy(beginning).into_owned()
            }
            other => other.shown(),
        }
    }

    /// Equal without asking metatables.
    #[expect(clippy::float_cmp, reason = "that is what Lua does")]
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Boolean(one), Self::Boolean(other)) => one == other,
            (Self::Number(one), Self::Number(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Table(one), Self::Table(other)) => one == other,
            (Self::Function(one), Self::Function(other)) => one.identity() == other.identity(),
            _ => false,
        }
    }
}

impl Function {
    pub(crate) fn identity(&self) -> (u8, usize) {
        match self {
            Self::Script(closure) => (0, Rc::as_ptr(closure) as usize),
            Self::Native(native) => (1, std::ptr::from_ref::<Native>(native) as usize),
            Self::Matches(which) => (2, *which),
        }
    }
}
