//! Statements and blocks.

use super::Parser;
use crate::SyntaxError;
use crate::ast::{Block, Constant, Expression, Slot, Statement, Target};
use crate::lex::Token;

impl Parser {
    /// Statements up to what ends a block; their variables go out of scope.
    pub(super) fn block(&mut self) -> Result<Block, SyntaxError> {
        let mark = self.functions.mark();
        let block = self.open_block();
        self.functions.back_to(mark);
        block
    }

    /// A block whose variables stay in scope.
    fn open_block(&mut self) -> Result<Block, SyntaxError> {
        self.nested(|parser| {
            let mut block = Vec::new();
            loop {
                match parser.peek() {
                    Token::EndOfText | Token::End | Token::Else | Token::ElseIf | Token::Until => {
                        return Ok(block);
                    }
                    Token::Semicolon => parser.at += 1,
                    Token::Return => {
                        block.push(parser.r#return()?);
                        return Ok(block);
                    }
                    _ => block.push(parser.statement()?),
                }
            }
        })
    }

    fn r#return(&mut self) -> Result<Statement, SyntaxError> {
        self.at += 1;
        let over = matches!(
            self.peek(),
            Token::EndOfText
                | Token::End
                | Token::Else
                | Token::ElseIf
                | Token::Until
                | Token::Semicolon
        );
        let values = if over {
            Vec::new()
        } else {
            self.expressions()?
        };
        self.takes(&Token::Semicolon);
        Ok(Statement::Return(values))
    }

    fn statement(&mut self) -> Result<Statement, SyntaxError> {
        match self.peek() {
            Token::If => self.r#if(),
            Token::While => {
                self.at += 1;
                let condition = self.expression()?;
                self.expect(&Token::Do, "`do`")?;
                let body = self.closed_block()?;
                Ok(Statement::While { condition, body })
            }
            Token::Do => {
                self.at += 1;
                Ok(Statement::Do(self.closed_block()?))
            }
            Token::For => self.r#for(),
            Token::Repeat => self.repeat(),
            Token::Function => self.named_function(),
            Token::Local => self.local(),
            Token::Break => {
                self.at += 1;
                Ok(Statement::Break)
            }
            Token::Goto => {
                self.at += 1;
                let name = self.name()?;
                Ok(Statement::Goto(self.text_constant(name.as_bytes())))
            }
            Token::DoubleColon => {
                self.at += 1;
                let name = self.name()?;
                self.expect(&Token::DoubleColon, "`::`")?;
                Ok(Statement::Label(self.text_constant(name.as_bytes())))
            }
            _ => self.call_or_assignment(),
        }
    }

    fn closed_block(&mut self) -> Result<Block, SyntaxError> {
        let block = self.block()?;
        self.expect(&Token::End, "`end`")?;
        Ok(block)
    }

    fn r#if(&mut self) -> Result<Statement, SyntaxError> {
        let mut branches = Vec::new();
        loop {
            self.at += 1;
            let condition = self.expression()?;
            self.expect(&Token::Then, "`then`")?;
            branches.push((condition, self.block()?));
            if *self.peek() != Token::ElseIf {
                break;
            }
        }
        let otherwise = if self.takes(&Token::Else) {
            self.block()?
        } else {
            Vec::new()
        };
        self.expect(&Token::End, "`end`")?;
        Ok(Statement::If {
            branches,
            otherwise,
        })
    }

    fn r#for(&mut self) -> Result<Statement, SyntaxError> {
        let line = self.line();
        self.at += 1;
        let mut names = vec![self.name()?];
        if self.takes(&Token::Assign) {
            let first = self.expression()?;
            self.expect(&Token::Comma, "`,`")?;
            let last = self.expression()?;
            let step = if self.takes(&Token::Comma) {
                self.expression()?
            } else {
                Expression::Constant(self.constant(Constant::Number(1.0)))
            };
            let range = Box::new([first, last, step]);
            let (slots, body) = self.loop_body(&names)?;
            let slot = slots[0];
            return Ok(Statement::Count {
                slot,
                range,
                body,
                line,
            });
        }
        while self.takes(&Token::Comma) {
            names.push(self.name()?);
        }
        self.expect(&Token::In, "`in`")?;
        let values = self.expressions()?;
        let (slots, body) = self.loop_body(&names)?;
        Ok(Statement::Iterate {
            slots,
            values,
            body,
            line,
        })
    }

    fn loop_body(&mut self, names: &[Box<str>]) -> Result<(Vec<Slot>, Block), SyntaxError> {
        self.expect(&Token::Do, "`do`")?;
        let mark = self.functions.mark();
        let slots = names
            .iter()
            .map(|name| self.functions.declare(name))
            .collect();
        let body = self.block()?;
        self.functions.back_to(mark);
        self.expect(&Token::End, "`end`")?;
        Ok((slots, body))
    }

    fn repeat(&mut self) -> Result<Statement, SyntaxError> {
        self.at += 1;
        let mark = self.functions.mark();
        let body = self.open_block()?;
        self.expect(&Token::Until, "`until`")?;
        let until = self.expression()?;
        self.functions.back_to(mark);
        Ok(Statement::Repeat { body, until })
    }

    /// `function a.b:c() … end`
    fn named_function(&mut self) -> Result<Statement, SyntaxError> {
        self.at += 1;
        let name = self.name()?;
        let mut target = self.variable(&name);
        let mut before: &[&str] = &[];
        while matches!(self.peek(), Token::Dot | Token::Colon) && before.is_empty() {
            let line = self.line();
            if self.take() == Token::Colon {
                before = &["self"];
            }
            self.grow()?;
            let name = self.name()?;
            let key = Expression::Constant(self.text_constant(name.as_bytes()));
            target = Expression::Index {
                of: Box::new((target, key)),
                line,
            };
        }
        let target = self.target(target)?;
        let function = self.function(before)?;
        Ok(Statement::Assign {
            targets: vec![target],
            values: vec![Expression::Function(function)],
        })
    }

    fn local(&mut self) -> Result<Statement, SyntaxError> {
        self.at += 1;
        if self.takes(&Token::Function) {
            let name = self.name()?;
            // In scope already in its own body.
            let slot = self.functions.declare(&name);
            let function = self.function(&[])?;
            return Ok(Statement::LocalFunction { slot, function });
        }
        let mut names = vec![self.name()?];
        while self.takes(&Token::Comma) {
            names.push(self.name()?);
        }
        let values = if self.takes(&Token::Assign) {
            self.expressions()?
        } else {
            Vec::new()
        };
        let slots = names
            .iter()
            .map(|name| self.functions.declare(name))
            .collect();
        Ok(Statement::Local { slots, values })
    }

    fn call_or_assignment(&mut self) -> Result<Statement, SyntaxError> {
        let first = self.nested(Self::suffixed)?;
        if !matches!(self.peek(), Token::Assign | Token::Comma) {
            return match first {
                Expression::Call(call) => Ok(Statement::Call(*call)),
                _ => Err(self.expected("`=` or a call")),
            };
        }
        let mut targets = vec![self.target(first)?];
        while self.takes(&Token::Comma) {
            let next = self.nested(Self::suffixed)?;
            targets.push(self.target(next)?);
        }
        self.expect(&Token::Assign, "`=`")?;
        Ok(Statement::Assign {
            targets,
            values: self.expressions()?,
        })
    }

    fn target(&self, expression: Expression) -> Result<Target, SyntaxError> {
        match expression {
            Expression::Local(slot) => Ok(Target::Local(slot)),
            Expression::Captured(index) => Ok(Target::Captured(index)),
            Expression::Global(name) => Ok(Target::Global(name)),
            Expression::Index { of, line } => {
                let (table, key) = *of;
                Ok(Target::Index { table, key, line })
            }
            _ => Err(self.error("nothing can be assigned to this")),
        }
    }
}
