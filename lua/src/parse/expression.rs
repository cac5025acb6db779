//! Expressions, by the precedence of their operators.

use super::Parser;
use super::scope::Variable;
use crate::SyntaxError;
use crate::ast::{Binary, Call, Callee, Constant, Expression, Field, FunctionId, Unary};
use crate::lex::Token;

/// Of `not`, `#` and the sign: only `^` binds closer.
const UNARY: u8 = 12;

enum Operator {
    And,
    Or,
    Binary(Binary),
}

impl Parser {
    pub(super) fn expression(&mut self) -> Result<Expression, SyntaxError> {
        self.binary(0)
    }

    pub(super) fn expressions(&mut self) -> Result<Vec<Expression>, SyntaxError> {
        let mut list = vec![self.expression()?];
        while self.takes(&Token::Comma) {
            list.push(self.expression()?);
        }
        Ok(list)
    }

    /// Operators that bind closer than `limit`.
    fn binary(&mut self, limit: u8) -> Result<Expression, SyntaxError> {
        self.nested(|parser| {
            let mut left = parser.unary()?;
            while let Some((operator, binds, right)) = operator(parser.peek()) {
                if binds <= limit {
                    break;
                }
                parser.grow()?;
                let line = parser.line();
                parser.at += 1;
                let operands = Box::new((left, parser.binary(right)?));
                left = match operator {
                    Operator::And => Expression::And(operands),
                    Operator::Or => Expression::Or(operands),
                    Operator::Binary(operator) => Expression::Binary {
                        operator,
                        operands,
                        line,
                    },
                };
            }
            Ok(left)
        })
    }

    fn unary(&mut self) -> Result<Expression, SyntaxError> {
        let operator = match self.peek() {
            Token::Not => Unary::Not,
            Token::Minus => Unary::Minus,
            Token::Hash => Unary::Length,
            _ => return self.simple(),
        };
        let line = self.line();
        self.at += 1;
        Ok(Expression::Unary {
            operator,
            operand: Box::new(self.binary(UNARY)?),
            line,
        })
    }

    fn simple(&mut self) -> Result<Expression, SyntaxError> {
        let simple = match self.peek() {
            Token::Nil => Expression::Nil,
            Token::True => Expression::Boolean(true),
            Token::False => Expression::Boolean(false),
            Token::Number(number) => {
                let number = *number;
                Expression::Constant(self.constant(Constant::Number(number)))
            }
            Token::Text(text) => {
                let text = text.clone();
                Expression::Constant(self.text_constant(&text))
            }
            Token::Ellipsis if self.functions.is_variadic() => Expression::Varargs,
            Token::Ellipsis => return Err(self.error("`...` outside of a function that takes it")),
            Token::LeftBrace => return self.table(),
            Token::Function => {
                self.at += 1;
                return Ok(Expression::Function(self.function(&[])?));
            }
            _ => return self.suffixed(),
        };
        self.at += 1;
        Ok(simple)
    }

    /// A name or something in parentheses, with all calls and indexes that follow.
    pub(super) fn suffixed(&mut self) -> Result<Expression, SyntaxError> {
        let mut expression = match self.peek() {
            Token::Name(name) => {
                let name = name.clone();
                self.at += 1;
                self.variable(&name)
            }
            Token::LeftParenthesis => {
                self.at += 1;
                let inner = self.expression()?;
                self.expect(&Token::RightParenthesis, "`)`")?;
                Expression::One(Box::new(inner))
            }
            _ => return Err(self.expected("an expression")),
        };
        loop {
            let line = self.line();
            expression = match self.peek() {
                Token::Dot => {
                    self.at += 1;
                    let name = self.name()?;
                    let key = Expression::Constant(self.text_constant(name.as_bytes()));
                    Expression::Index {
                        of: Box::new((expression, key)),
                        line,
                    }
                }
                Token::LeftBracket => {
                    self.at += 1;
                    let key = self.expression()?;
                    self.expect(&Token::RightBracket, "`]`")?;
                    Expression::Index {
                        of: Box::new((expression, key)),
                        line,
                    }
                }
                Token::Colon => {
                    self.at += 1;
                    let name = self.name()?;
                    let callee = Callee::Method(expression, self.text_constant(name.as_bytes()));
                    self.call(callee, line)?
                }
                Token::LeftParenthesis | Token::LeftBrace | Token::Text(_) => {
                    self.call(Callee::Function(expression), line)?
                }
                _ => return Ok(expression),
            };
            self.grow()?;
        }
    }

    pub(super) fn variable(&mut self, name: &str) -> Expression {
        match self.functions.find(name) {
            Variable::Local(slot) => Expression::Local(slot),
            Variable::Captured(index) => Expression::Captured(index),
            Variable::Global => Expression::Global(self.text_constant(name.as_bytes())),
        }
    }

    fn call(&mut self, callee: Callee, line: u32) -> Result<Expression, SyntaxError> {
        let arguments = match self.peek() {
            Token::Text(text) => {
                let text = text.clone();
                self.at += 1;
                vec![Expression::Constant(self.text_constant(&text))]
            }
            Token::LeftBrace => vec![self.table()?],
            _ => {
                self.expect(&Token::LeftParenthesis, "arguments")?;
                if self.takes(&Token::RightParenthesis) {
                    Vec::new()
                } else {
                    let arguments = self.expressions()?;
                    self.expect(&Token::RightParenthesis, "`)`")?;
                    arguments
                }
            }
        };
        Ok(Expression::Call(Box::new(Call {
            callee,
            arguments,
            line,
        })))
    }

    fn table(&mut self) -> Result<Expression, SyntaxError> {
        self.nested(|parser| {
            parser.expect(&Token::LeftBrace, "`{`")?;
            let mut fields = Vec::new();
            while *parser.peek() != Token::RightBrace {
                fields.push(parser.field()?);
                if !parser.takes(&Token::Comma) && !parser.takes(&Token::Semicolon) {
                    break;
                }
            }
            parser.expect(&Token::RightBrace, "`}`")?;
            Ok(Expression::Table(fields))
        })
    }

    fn field(&mut self) -> Result<Field, SyntaxError> {
        match self.peek() {
            Token::LeftBracket => {
                self.at += 1;
                let key = self.expression()?;
                self.expect(&Token::RightBracket, "`]`")?;
                self.expect(&Token::Assign, "`=`")?;
                Ok(Field::Keyed(key, self.expression()?))
            }
            Token::Name(name) if *self.peek_second() == Token::Assign => {
                let name = name.clone();
                self.at += 2;
                let key = Expression::Constant(self.text_constant(name.as_bytes()));
                Ok(Field::Keyed(key, self.expression()?))
            }
            _ => Ok(Field::Listed(self.expression()?)),
        }
    }

    /// Parameters and body, after the word `function` and a name; `before` are parameters that aren't written down.
    pub(super) fn function(&mut self, before: &[&str]) -> Result<FunctionId, SyntaxError> {
        self.nested(|parser| {
            parser.functions.begin();
            for name in before {
                parser.functions.add_parameter(name);
            }
            parser.expect(&Token::LeftParenthesis, "`(`")?;
            while *parser.peek() != Token::RightParenthesis {
                if parser.takes(&Token::Ellipsis) {
                    parser.functions.set_variadic();
                    break;
                }
                let name = parser.name()?;
                parser.functions.add_parameter(&name);
                if !parser.takes(&Token::Comma) {
                    break;
                }
            }
            parser.expect(&Token::RightParenthesis, "`)`")?;
            let body = parser.block()?;
            parser.expect(&Token::End, "`end`")?;
            Ok(parser.functions.end(body))
        })
    }
}

/// The operator, how close it binds to what is on its left, and to what is on its right.
fn operator(token: &Token) -> Option<(Operator, u8, u8)> {
    use Binary::{
        Add, Concat, Divide, Equal, Greater, GreaterEqual, Less, LessEqual, Modulo, Multiply,
        NotEqual, Power, Subtract,
    };
    let (operator, left, right) = match token {
        Token::Or => return Some((Operator::Or, 1, 1)),
        Token::And => return Some((Operator::And, 2, 2)),
        Token::Less => (Less, 3, 3),
        Token::LessEqual => (LessEqual, 3, 3),
        Token::Greater => (Greater, 3, 3),
        Token::GreaterEqual => (GreaterEqual, 3, 3),
        Token::Equal => (Equal, 3, 3),
        Token::NotEqual => (NotEqual, 3, 3),
        // To the right: `a .. b .. c` is `a .. (b .. c)`.
        Token::Concat => (Concat, 9, 8),
        Token::Plus => (Add, 10, 10),
        Token::Minus => (Subtract, 10, 10),
        Token::Star => (Multiply, 11, 11),
        Token::Slash => (Divide, 11, 11),
        Token::Percent => (Modulo, 11, 11),
        Token::Caret => (Power, 14, 13),
        _ => return None,
    };
    Some((Operator::Binary(operator), left, right))
}
