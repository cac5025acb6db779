//! Tokens → functions, with names resolved.

mod expression;
mod scope;
mod statement;

use self::scope::Functions;
use crate::SyntaxError;
use crate::ast::{Chunk, Constant, ConstantId};
use crate::lex::{Token, tokens};

/// How deep blocks, functions and expressions may be nested.
const MAX_DEPTH: usize = 150;
/// How high the tree may become: that is how deep whoever walks it goes. Each operator or call of a chain adds one.
const MAX_HEIGHT: usize = 400;
/// The longest script, in bytes.
const MAX_TEXT: usize = 512 * 1024;

pub(crate) fn parse(text: &str) -> Result<Chunk, SyntaxError> {
    if text.len() > MAX_TEXT {
        return Err(SyntaxError {
            line: 1,
            what: format!("the script is longer than {MAX_TEXT} bytes"),
        });
    }
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
        height: 0,
        functions: Functions::default(),
        constants: Vec::new(),
    };
    parser.functions.begin();
    parser.functions.set_variadic();
    let body = parser.block()?;
    parser.expect(&Token::EndOfText, "the end of the script")?;
    parser.functions.end(body);
    Ok(Chunk {
        functions: parser.functions.done(),
        constants: parser.constants,
    })
}

struct Parser {
    tokens: Vec<(Token, u32)>,
    at: usize,
    depth: usize,
    /// Of the tallest part of what is being parsed at this level.
    height: usize,
    functions: Functions,
    constants: Vec<Constant>,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens
            .get(self.at)
            .map_or(&Token::EndOfText, |(token, _)| token)
    }

    fn peek_second(&self) -> &Token {
        self.tokens
            .get(self.at + 1)
            .map_or(&Token::EndOfText, |(token, _)| token)
    }

    fn line(&self) -> u32 {
        let at = self.at.min(self.tokens.len().saturating_sub(1));
        self.tokens.get(at).map_or(1, |(_, line)| *line)
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn takes(&mut self, token: &Token) -> bool {
        let is = self.peek() == token;
        if is {
            self.at += 1;
        }
        is
    }

    fn expect(&mut self, token: &Token, what: &str) -> Result<(), SyntaxError> {
        if self.takes(token) {
            Ok(())
        } else {
            Err(self.expected(what))
        }
    }

    fn expected(&self, what: &str) -> SyntaxError {
        self.error(format!("expected {what}, found {}", told(self.peek())))
    }

    fn error(&self, what: impl Into<String>) -> SyntaxError {
        SyntaxError {
            line: self.line(),
            what: what.into(),
        }
    }

    fn name(&mut self) -> Result<Box<str>, SyntaxError> {
        match self.peek() {
            Token::Name(name) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.expected("a name")),
        }
    }

    fn text_constant(&mut self, text: &[u8]) -> ConstantId {
        self.constant(Constant::Text(text.into()))
    }

    fn constant(&mut self, constant: Constant) -> ConstantId {
        // Scripts have few constants, and looking for an equal one keeps names comparable by their number.
        let known = self.constants.iter().position(|known| *known == constant);
        known.unwrap_or_else(|| {
            self.constants.push(constant);
            self.constants.len() - 1
        })
    }

    /// One level deeper for as long as `inner` parses.
    fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        if self.depth >= MAX_DEPTH {
            return Err(self.error("nested too deep"));
        }
        self.depth += 1;
        let beside = std::mem::take(&mut self.height);
        let parsed = inner(self);
        self.depth -= 1;
        self.grow()?;
        self.height = self.height.max(beside);
        parsed
    }

    /// A node above what has been parsed at this level.
    fn grow(&mut self) -> Result<(), SyntaxError> {
        self.height += 1;
        if self.height > MAX_HEIGHT {
            return Err(self.error("too many operators, calls or blocks in one another"));
        }
        Ok(())
    }
}

fn told(token: &Token) -> String {
    match token {
        Token::Name(name) => format!("`{name}`"),
        Token::Text(text) => format!("\"{}\"", String::from_utf8_lossy(text)),
        Token::Number(number) => crate::number::show(*number),
        Token::EndOfText => "the end of the script".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}
