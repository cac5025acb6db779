//! Lua's patterns, each step of a search counted.

use crate::budget::Budget;
use crate::machine::{BYTES_A_STEP, Stop};

const MAX_CAPTURES: usize = 32;
/// How many parts of a pattern may wait for what follows them.
const MAX_DEPTH: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capture {
    /// Begun at this place.
    Open(usize),
    Span(usize, usize),
    /// `()`: the place itself.
    Place(usize),
}

pub(super) enum Fault {
    Malformed(&'static str),
    Stop(Stop),
}

impl From<Stop> for Fault {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// A match: where it ends (it begins where it was looked for), and what it captured.
pub(super) struct Match {
    pub(super) end: usize,
    pub(super) captures: Vec<Capture>,
}

/// Whether the pattern matches at this very place.
pub(super) fn match_at(
    budget: &mut Budget,
    subject: &[u8],
    pattern: &[u8],
    start: usize,
) -> Result<Option<Match>, Fault> {
    let mut matcher = Matcher {
        subject,
        pattern,
        captures: Vec::new(),
        depth: 0,
        budget,
    };
    let end = matcher.from(start, 0)?;
    let captures = matcher.captures;
    let unfinished = captures
        .iter()
        .any(|capture| matches!(capture, Capture::Open(_)));
    match end {
        Some(_) if unfinished => Err(Fault::Malformed("unfinished capture")),
        Some(end) => Ok(Some(Match { end, captures })),
        None => Ok(None),
    }
}

struct Matcher<'a> {
    subject: &'a [u8],
    pattern: &'a [u8],
    captures: Vec<Capture>,
    depth: usize,
    budget: &'a mut Budget,
}

type Ended = Result<Option<usize>, Fault>;

impl Matcher<'_> {
    fn from(&mut self, at: usize, part: usize) -> Ended {
        if self.depth >= MAX_DEPTH {
            return Err(Fault::Malformed("pattern too complex"));
        }
        self.depth += 1;
        let end = self.parts(at, part);
        self.depth -= 1;
        end
    }

    fn parts(&mut self, mut at: usize, mut part: usize) -> Ended {
        loop {
            self.budget.step(1)?;
            match self.pattern.get(part) {
                None => return Ok(Some(at)),
                Some(b'(') if self.pattern.get(part + 1) == Some(&b')') => {
                    return self.capturing(Capture::Place(at), at, part + 2);
                }
                Some(b'(') => return self.capturing(Capture::Open(at), at, part + 1),
                Some(b')') => return self.close(at, part + 1),
                Some(b'$') if part + 1 == self.pattern.len() => {
                    return Ok((at == self.subject.len()).then_some(at));
                }
                Some(b'%') if self.pattern.get(part + 1) == Some(&b'b') => {
                    let Some(end) = self.balanced(at, part + 2)? else {
                        return Ok(None);
                    };
                    (at, part) = (end, part + 4);
                    continue;
                }
                Some(b'%') if self.pattern.get(part + 1) == Some(&b'f') => {
                    let set = part + 2;
                    if self.pattern.get(set) != Some(&b'[') {
                        return Err(Fault::Malformed("missing '[' after '%f' in pattern"));
                    }
                    let next = self.end_of_single(set)?;
                    let before = at.checked_sub(1).map_or(0, |place| self.subject[place]);
                    let here = self.subject.get(at).copied().unwrap_or(0);
                    if self.in_set(before, set, next) || !self.in_set(here, set, next) {
                        return Ok(None);
                    }
                    part = next;
                    continue;
                }
                Some(b'%') if self.pattern.get(part + 1).is_some_and(u8::is_ascii_digit) => {
                    let Some(end) = self.again(at, self.pattern[part + 1])? else {
                        return Ok(None);
                    };
                    (at, part) = (end, part + 2);
                    continue;
                }
                Some(_) => {}
            }
            let next = self.end_of_single(part)?;
            match self.pattern.get(next) {
                Some(b'?') => {
                    if self.single(at, part, next)
                        && let Some(end) = self.from(at + 1, next + 1)?
                    {
                        return Ok(Some(end));
                    }
                    part = next + 1;
                }
                Some(b'*') => return self.longest(at, part, next),
                Some(b'+') => {
                    return if self.single(at, part, next) {
                        self.longest(at + 1, part, next)
                    } else {
                        Ok(None)
                    };
                }
                Some(b'-') => return self.shortest(at, part, next),
                _ if self.single(at, part, next) => (at, part) = (at + 1, next),
                _ => return Ok(None),
            }
        }
    }

    fn capturing(&mut self, capture: Capture, at: usize, part: usize) -> Ended {
        if self.captures.len() >= MAX_CAPTURES {
            return Err(Fault::Malformed("too many captures"));
        }
        let before = self.captures.len();
        self.captures.push(capture);
        let end = self.from(at, part)?;
        if end.is_none() {
            self.captures.truncate(before);
        }
        Ok(end)
    }

    fn close(&mut self, at: usize, part: usize) -> Ended {
        let open = self
            .captures
            .iter()
            .rposition(|capture| matches!(capture, Capture::Open(_)));
        let Some(index) = open else {
            return Err(Fault::Malformed("invalid pattern capture"));
        };
        let was = self.captures[index];
        if let Capture::Open(start) = was {
            self.captures[index] = Capture::Span(start, at);
        }
        let end = self.from(at, part)?;
        if end.is_none() {
            self.captures[index] = was;
        }
        Ok(end)
    }

    fn longest(&mut self, at: usize, part: usize, next: usize) -> Ended {
        let mut count = 0;
        while self.single(at + count, part, next) {
            self.budget.step(1)?;
            count += 1;
        }
        loop {
            if let Some(end) = self.from(at + count, next + 1)? {
                return Ok(Some(end));
            }
            if count == 0 {
                return Ok(None);
            }
            count -= 1;
        }
    }

    fn shortest(&mut self, mut at: usize, part: usize, next: usize) -> Ended {
        loop {
            if let Some(end) = self.from(at, next + 1)? {
                return Ok(Some(end));
            }
            if !self.single(at, part, next) {
                return Ok(None);
            }
            at += 1;
        }
    }

    fn balanced(&mut self, at: usize, part: usize) -> Ended {
        let (Some(open), Some(close)) = (self.pattern.get(part), self.pattern.get(part + 1)) else {
            return Err(Fault::Malformed("unbalanced pattern"));
        };
        if self.subject.get(at) != Some(open) {
            return Ok(None);
        }
        let mut depth = 1;
        for (place, byte) in self.subject.iter().enumerate().skip(at + 1) {
            self.budget.step(1)?;
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(place + 1));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// The same text as an earlier capture.
    fn again(&mut self, at: usize, digit: u8) -> Ended {
        let index = usize::from(digit.wrapping_sub(b'1'));
        let Some(Capture::Span(start, end)) = self.captures.get(index).copied() else {
            return Err(Fault::Malformed("invalid capture index"));
        };
        let text = &self.subject[start..end];
        self.budget.step(text.len() / BYTES_A_STEP)?;
        Ok(self.subject[at..]
            .starts_with(text)
            .then(|| at + text.len()))
    }

    /// Where the pattern goes on after a part that stands for one byte.
    fn end_of_single(&mut self, part: usize) -> Result<usize, Fault> {
        match self.pattern.get(part) {
            Some(b'%') if part + 1 == self.pattern.len() => {
                Err(Fault::Malformed("malformed pattern (ends with '%')"))
            }
            Some(b'%') => Ok(part + 2),
            Some(b'[') => {
                let mut at = part + 1;
                if self.pattern.get(at) == Some(&b'^') {
                    at += 1;
                }
                // A bracket right at the beginning is one of the set's bytes.
                let mut first = true;
                loop {
                    match self.pattern.get(at) {
                        None => return Err(Fault::Malformed("malformed pattern (missing ']')")),
                        Some(b']') if !first => break,
                        Some(b'%') => at += 2,
                        Some(_) => at += 1,
                    }
                    first = false;
                }
                self.budget.step((at - part) / BYTES_A_STEP)?;
                Ok(at + 1)
            }
            _ => Ok(part + 1),
        }
    }

    fn single(&self, at: usize, part: usize, next: usize) -> bool {
        let Some(byte) = self.subject.get(at).copied() else {
            return false;
        };
        match self.pattern[part] {
            b'.' => true,
            b'%' => in_class(byte, self.pattern[part + 1]),
            b'[' => self.in_set(byte, part, next),
            literal => literal == byte,
        }
    }

    /// A set from its bracket at `part` to before `next`.
    fn in_set(&self, byte: u8, part: usize, next: usize) -> bool {
        let mut set = &self.pattern[part + 1..next - 1];
        let negated = set.first() == Some(&b'^');
        if negated {
            set = &set[1..];
        }
        let mut found = false;
        while !found {
            match set {
                [] => break,
                [b'%', class, rest @ ..] => {
                    found = in_class(byte, *class);
                    set = rest;
                }
                [low, b'-', high, rest @ ..] => {
                    found = (*low..=*high).contains(&byte);
                    set = rest;
                }
                [one, rest @ ..] => {
                    found = *one == byte;
                    set = rest;
                }
            }
        }
        found != negated
    }
}

fn in_class(byte: u8, class: u8) -> bool {
    let is = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0b,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is != class.is_ascii_uppercase()
}
