//! Text → tokens, each with its line.

use crate::SyntaxError;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Name(Box<str>),
    Text(Box<[u8]>),
    Number(f64),
    And,
    Break,
    Do,
    Else,
    ElseIf,
    End,
    False,
    For,
    Function,
    Goto,
    If,
    In,
    Local,
    Nil,
    Not,
    Or,
    Repeat,
    Return,
    Then,
    True,
    Until,
    While,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Caret,
    Hash,
    Assign,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    LeftParenthesis,
    RightParenthesis,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Semicolon,
    Colon,
    DoubleColon,
    Comma,
    Dot,
    Concat,
    Ellipsis,
    EndOfText,
}

/// All tokens of a text, the last one [`Token::EndOfText`].
pub(crate) fn tokens(text: &str) -> Result<Vec<(Token, u32)>, SyntaxError> {
    let mut lexer = Lexer {
        text: text.as_bytes(),
        at: 0,
        line: 1,
    };
    if lexer.peek() == Some(b'#') {
        lexer.skip_line();
    }
    let mut found = Vec::new();
    loop {
        lexer.skip_space()?;
        let line = lexer.line;
        let token = lexer.token()?;
        let over = token == Token::EndOfText;
        found.push((token, line));
        if over {
            return Ok(found);
        }
    }
}

struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<u8> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        if byte == b'\n' {
            self.line += 1;
        }
        Some(byte)
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        if is {
            self.take();
        }
        is
    }

    fn error(&self, what: impl Into<String>) -> SyntaxError {
        SyntaxError {
            line: self.line,
            what: what.into(),
        }
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|byte| byte != b'\n') {
            self.take();
        }
    }

    /// White space and comments.
    fn skip_space(&mut self) -> Result<(), SyntaxError> {
        loop {
            match self.peek() {
                Some(byte) if byte.is_ascii_whitespace() || byte == 0x0b => {
                    self.take();
                }
                Some(b'-') if self.peek_at(1) == Some(b'-') => {
                    self.at += 2;
                    match self.long_bracket() {
                        Some(level) => {
                            self.long_text(level)?;
                        }
                        None => self.skip_line(),
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    /// Takes `[`, any number of `=` and `[`, if they are next; how many `=` there were.
    fn long_bracket(&mut self) -> Option<usize> {
        if self.peek() != Some(b'[') {
            return None;
        }
        let level = self.text[self.at + 1..]
            .iter()
            .take_while(|byte| **byte == b'=')
            .count();
        if self.peek_at(level + 1) != Some(b'[') {
            return None;
        }
        self.at += level + 2;
        Some(level)
    }

    fn long_text(&mut self, level: usize) -> Result<Box<[u8]>, SyntaxError> {
        // A line break right after the bracket isn't part of the text.
        self.takes(b'\r');
        self.takes(b'\n');
        let start = self.at;
        loop {
            match self.take() {
                Some(b']') => {
                    let closes = self.text[self.at..]
                        .iter()
                        .take_while(|byte| **byte == b'=')
                        .count()
                        == level
                        && self.peek_at(level) == Some(b']');
                    if closes {
                        let end = self.at - 1;
                        self.at += level + 1;
                        return Ok(self.text[start..end].into());
                    }
                }
                Some(_) => {}
                None => return Err(self.error("a long text or comment isn't closed")),
            }
        }
    }

    fn token(&mut self) -> Result<Token, SyntaxError> {
        let Some(byte) = self.peek() else {
            return Ok(Token::EndOfText);
        };
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Ok(self.word()),
            b'0'..=b'9' => self.number(),
            b'.' if self.peek_at(1).is_some_and(|next| next.is_ascii_digit()) => self.number(),
            b'"' | b'\'' => self.text(),
            b'[' => match self.long_bracket() {
                Some(level) => Ok(Token::Text(self.long_text(level)?)),
                None => self.symbol(),
            },
            _ => self.symbol(),
        }
    }

    fn word(&mut self) -> Token {
        let start = self.at;
        while self
            .peek()
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            self.at += 1;
        }
        let word = String::from_utf8_lossy(&self.text[start..self.at]);
        match &*word {
            "and" => Token::And,
            "break" => Token::Break,
            "do" => Token::Do,
            "else" => Token::Else,
            "elseif" => Token::ElseIf,
            "end" => Token::End,
            "false" => Token::False,
            "for" => Token::For,
            "function" => Token::Function,
            "goto" => Token::Goto,
            "if" => Token::If,
            "in" => Token::In,
            "local" => Token::Local,
            "nil" => Token::Nil,
            "not" => Token::Not,
            "or" => Token::Or,
            "repeat" => Token::Repeat,
            "return" => Token::Return,
            "then" => Token::Then,
            "true" => Token::True,
            "until" => Token::Until,
            "while" => Token::While,
            _ => Token::Name(word.into()),
        }
    }

    fn number(&mut self) -> Result<Token, SyntaxError> {
        let start = self.at;
        while let Some(byte) = self.peek() {
            let signs = matches!(byte, b'+' | b'-')
                && matches!(self.text[self.at - 1], b'e' | b'E')
                && !self.text[start..].starts_with(b"0x");
            if !(byte.is_ascii_alphanumeric() || byte == b'.' || signs) {
                break;
            }
            self.at += 1;
        }
        let digits = &self.text[start..self.at];
        crate::number::parse(digits)
            .map(Token::Number)
            .ok_or_else(|| {
                self.error(format!(
                    "malformed number `{}`",
                    String::from_utf8_lossy(digits)
                ))
            })
    }

    fn text(&mut self) -> Result<Token, SyntaxError> {
        let quote = self.take();
        let mut text = Vec::new();
        loop {
            match self.take() {
                None | Some(b'\n') => return Err(self.error("a text isn't closed")),
                Some(b'\\') => self.escape(&mut text)?,
                byte if byte == quote => return Ok(Token::Text(text.into())),
                Some(byte) => text.push(byte),
            }
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let byte = match self.take() {
            None => return Err(self.error("a text isn't closed")),
            Some(b'a') => 0x07,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'v') => 0x0b,
            Some(first @ b'0'..=b'9') => {
                let mut code = u16::from(first - b'0');
                for _ in 0..2 {
                    let Some(digit) = self.peek().filter(u8::is_ascii_digit) else {
                        break;
                    };
                    self.at += 1;
                    code = code * 10 + u16::from(digit - b'0');
                }
                u8::try_from(code).map_err(|_| self.error("a byte's code is over 255"))?
            }
            // Whatever else is escaped stands for itself: quotes, the backslash, a line break.
            Some(other) => other,
        };
        text.push(byte);
        Ok(())
    }

    fn symbol(&mut self) -> Result<Token, SyntaxError> {
        let Some(byte) = self.take() else {
            return Ok(Token::EndOfText);
        };
        let either = |is: bool, longer: Token, shorter: Token| if is { longer } else { shorter };
        Ok(match byte {
            b'+' => Token::Plus,
            b'-' => Token::Minus,
            b'*' => Token::Star,
            b'/' => Token::Slash,
            b'%' => Token::Percent,
            b'^' => Token::Caret,
            b'#' => Token::Hash,
            b'(' => Token::LeftParenthesis,
            b')' => Token::RightParenthesis,
            b'{' => Token::LeftBrace,
            b'}' => Token::RightBrace,
            b'[' => Token::LeftBracket,
            b']' => Token::RightBracket,
            b';' => Token::Semicolon,
            b',' => Token::Comma,
            b':' => either(self.takes(b':'), Token::DoubleColon, Token::Colon),
            b'=' => either(self.takes(b'='), Token::Equal, Token::Assign),
            b'<' => either(self.takes(b'='), Token::LessEqual, Token::Less),
            b'>' => either(self.takes(b'='), Token::GreaterEqual, Token::Greater),
            b'~' if self.takes(b'=') => Token::NotEqual,
            b'.' if self.takes(b'.') => either(self.takes(b'.'), Token::Ellipsis, Token::Concat),
            b'.' => Token::Dot,
            other => {
                return Err(self.error(format!("unexpected `{}`", other.escape_ascii())));
            }
        })
    }
}
