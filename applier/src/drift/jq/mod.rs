//! Path expressions in jq's language, such as `.spec.containers[] | select(.name == "proxy") | .image`: which places of an object
//! they name.
//!
//! jaq reads the language; what it read becomes an [`Expr`] of our own, which counts its steps: whoever may write an Application
//! must not hold the applier up. So there are no definitions, loops or programs, only what a path can be told by.

mod function;
mod run;
mod value;

use jaq_core::load::lex::{Lexer, StrPart, Tok, Token};
use jaq_core::load::parse::{BinaryOp, Parser, Pattern, Term};
use jaq_core::ops::{Cmp, Math};
use jaq_core::path::{Opt, Part as PathPart};
use serde_json::{Number, Value};

use self::function::Function;
use super::place::Place;

/// The longest expression, in bytes.
const MAX_LENGTH: usize = 1024;
/// How deep brackets and operators may be nested.
const MAX_DEPTH: usize = 64;

/// Why an expression can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JqError {
    #[error("is longer than {MAX_LENGTH} bytes")]
    TooLong,
    #[error("is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    #[error("isn't an expression of jq's language")]
    Syntax,
    #[error("uses {0}, which no path needs")]
    Unsupported(String),
    #[error("has a regular expression that can't be used: {0}")]
    Regex(String),
}

/// One expression, read and understood.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    text: Box<str>,
    expr: Expr,
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[derive(Clone, Debug)]
enum Expr {
    Identity,
    Recurse,
    Constant(Value),
    /// Texts and what is put between them.
    Text(Vec<Expr>),
    List(Option<Box<Expr>>),
    Pipe(Box<Expr>, Box<Expr>),
    Bind(Box<Expr>, Box<str>, Box<Expr>),
    Variable(Box<str>),
    Comma(Box<Expr>, Box<Expr>),
    Alternative(Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Compare(Cmp, Box<Expr>, Box<Expr>),
    Math(Math, Box<Expr>, Box<Expr>),
    /// What of a value: by name or position.
    Index(Box<Expr>, Box<Expr>, Opt),
    Each(Box<Expr>, Opt),
    If(Vec<(Expr, Expr)>, Option<Box<Expr>>),
    /// What fails yields nothing.
    Try(Box<Expr>),
    Call(Function),
}

impl Expression {
    pub(crate) fn read(text: &str) -> Result<Self, JqError> {
        if text.len() > MAX_LENGTH {
            return Err(JqError::TooLong);
        }
        // jaq's own reading goes as deep as the text does.
        let mut depth = 0_usize;
        for byte in text.bytes() {
            match byte {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > MAX_DEPTH {
                return Err(JqError::TooDeep);
            }
        }
        let tokens = Lexer::new(text).lex().map_err(|_| JqError::Syntax)?;
        if prefixes(&tokens) > MAX_DEPTH {
            return Err(JqError::TooDeep);
        }
        let term = Parser::new(&tokens)
            .parse(Parser::term)
            .map_err(|_| JqError::Syntax)?;
        Ok(Self {
            text: text.into(),
            expr: expr(&term, MAX_DEPTH)?,
        })
    }

    /// The places of `object` that it names, those too that aren't there. None when it fails, or takes too many steps: then it
    /// names nothing.
    pub(super) fn places(&self, object: &Value) -> Option<Vec<Place>> {
        run::places(&self.expr, object)
    }
}

/// How many words and signs there are that nest without brackets.
fn prefixes(tokens: &[Token<&str>]) -> usize {
    let of_one = |token: &Token<&str>| match &token.1 {
        Tok::Word => usize::from(matches!(
            token.0,
            "if" | "elif" | "try" | "def" | "reduce" | "foreach" | "label" | "as"
        )),
        Tok::Sym => usize::from(matches!(token.0, "-" | "|")),
        Tok::Block(inner) => prefixes(inner),
        Tok::Str(parts) => {
            let inner = parts.iter().map(|part| match part {
                StrPart::Term(token) => prefixes(std::slice::from_ref(token)),
                StrPart::Str(_) | StrPart::Char(_) => 0,
            });
            inner.sum()
        }
        Tok::Var | Tok::Fmt | Tok::Num => 0,
    };
    tokens.iter().map(of_one).sum()
}

fn unsupported<T>(what: &str) -> Result<T, JqError> {
    Err(JqError::Unsupported(what.to_owned()))
}

fn expr(term: &Term<&str>, depth: usize) -> Result<Expr, JqError> {
    let depth = depth.checked_sub(1).ok_or(JqError::TooDeep)?;
    let boxed = |term: &Term<&str>| expr(term, depth).map(Box::new);
    Ok(match term {
        Term::Id => Expr::Identity,
        Term::Recurse => Expr::Recurse,
        Term::Num(text) => {
            let number: Number = text.parse().map_err(|_| JqError::Syntax)?;
            Expr::Constant(Value::Number(number))
        }
        Term::Str(None, parts) => string(parts, depth)?,
        Term::Str(Some(format), _) => return unsupported(format),
        Term::Arr(inner) => Expr::List(inner.as_deref().map(boxed).transpose()?),
        Term::Neg(inner) => {
            let zero = Expr::Constant(Value::from(0));
            Expr::Math(Math::Sub, Box::new(zero), boxed(inner)?)
        }
        Term::BinOp(left, operator, right) => binary(left, operator, right, depth)?,
        Term::TryCatch(inner, None) => Expr::Try(boxed(inner)?),
        Term::IfThenElse(cases, otherwise) => {
            let cases = cases
                .iter()
                .map(|(when, then)| Ok((expr(when, depth)?, expr(then, depth)?)));
            let cases = cases.collect::<Result<_, JqError>>()?;
            Expr::If(cases, otherwise.as_deref().map(boxed).transpose()?)
        }
        Term::Call(name, arguments) => call(name, arguments, depth)?,
        Term::Var(name) => Expr::Variable((*name).into()),
        Term::Path(of, path) => {
            let mut inner = expr(of, depth)?;
            for (part, optional) in &path.0 {
                inner = match part {
                    PathPart::Index(at) => Expr::Index(Box::new(inner), boxed(at)?, *optional),
                    PathPart::Range(None, None) => Expr::Each(Box::new(inner), *optional),
                    PathPart::Range(_, _) => return unsupported("a slice of a list"),
                };
            }
            inner
        }
        Term::Obj(_) => return unsupported("an object that it makes"),
        Term::TryCatch(_, Some(_)) => return unsupported("`catch`"),
        Term::Label(..) | Term::Break(_) => return unsupported("`label`"),
        Term::Fold(name, ..) => return unsupported(name),
        Term::Def(..) => return unsupported("`def`"),
    })
}

fn string(parts: &[StrPart<&str, Term<&str>>], depth: usize) -> Result<Expr, JqError> {
    let mut plain = String::new();
    let mut pieces = Vec::new();
    for part in parts {
        match part {
            StrPart::Str(text) => plain.push_str(text),
            StrPart::Char(character) => plain.push(*character),
            StrPart::Term(term) => {
                pieces.push(Expr::Constant(std::mem::take(&mut plain).into()));
                pieces.push(expr(term, depth)?);
            }
        }
    }
    if pieces.is_empty() {
        return Ok(Expr::Constant(plain.into()));
    }
    pieces.push(Expr::Constant(plain.into()));
    Ok(Expr::Text(pieces))
}

fn binary(
    left: &Term<&str>,
    operator: &BinaryOp<&str>,
    right: &Term<&str>,
    depth: usize,
) -> Result<Expr, JqError> {
    let l = Box::new(expr(left, depth)?);
    let r = Box::new(expr(right, depth)?);
    Ok(match operator {
        BinaryOp::Pipe(None) => Expr::Pipe(l, r),
        BinaryOp::Pipe(Some(Pattern::Var(name))) => Expr::Bind(l, (*name).into(), r),
        BinaryOp::Pipe(Some(_)) => return unsupported("a pattern of several variables"),
        BinaryOp::Comma => Expr::Comma(l, r),
        BinaryOp::Alt => Expr::Alternative(l, r),
        BinaryOp::Or => Expr::Or(l, r),
        BinaryOp::And => Expr::And(l, r),
        BinaryOp::Math(math) => Expr::Math(*math, l, r),
        BinaryOp::Cmp(compare) => Expr::Compare(*compare, l, r),
        BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => {
            return unsupported("an assignment");
        }
    })
}

fn call(name: &str, arguments: &[Term<&str>], depth: usize) -> Result<Expr, JqError> {
    let arguments: Vec<Expr> = arguments
        .iter()
        .map(|argument| expr(argument, depth))
        .collect::<Result<_, _>>()?;
    Ok(match (name, arguments.len()) {
        ("true", 0) => Expr::Constant(true.into()),
        ("false", 0) => Expr::Constant(false.into()),
        ("null", 0) => Expr::Constant(Value::Null),
        ("recurse", 0) => Expr::Recurse,
        _ => Expr::Call(Function::of(name, &arguments)?),
    })
}

#[cfg(test)]
mod tests;
