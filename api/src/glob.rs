//! Argo CD's globs: `*` stops at a separator, `**` doesn't, `?`, `[a-z]`, `[!a]`, `{a,b}`, `\`.

/// Alternatives that one pattern may expand to.
const MAX_ALTERNATIVES: usize = 128;
/// Length of a pattern and of a text, in characters.
const MAX_LENGTH: usize = 4096;

/// Whether the glob matches the whole text. `None` when the pattern is malformed or too large; the
/// caller decides which side is safe.
pub fn matches(pattern: &str, text: &str, separator: Option<char>) -> Option<bool> {
    if pattern == "*" && separator.is_none() {
        return Some(true);
    }
    if pattern.len() > MAX_LENGTH || text.len() > MAX_LENGTH {
        return None;
    }
    let text: Vec<char> = text.chars().collect();
    let mut matched = false;
    for alternative in expand(&pattern.chars().collect::<Vec<_>>())? {
        matched |= run(&tokens(&alternative)?, &text, separator);
    }
    Some(matched)
}

enum Token {
    One(char),
    AnyOne,
    Any,
    AnyAndSeparators,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// Braces multiplied out. Bounded, so a nest of braces can't blow up.
fn expand(pattern: &[char]) -> Option<Vec<Vec<char>>> {
    let mut done: Vec<Vec<char>> = vec![Vec::new()];
    let mut at = 0;
    while at < pattern.len() {
        match pattern[at] {
            '\\' => {
                let escaped = *pattern.get(at + 1)?;
                for prefix in &mut done {
                    prefix.extend(['\\', escaped]);
                }
                at += 2;
            }
            '{' => {
                let close = closing(&pattern[at..])? + at;
                let mut next = Vec::new();
                for choice in choices(&pattern[at + 1..close]) {
                    for inner in expand(choice)? {
                        for prefix in &done {
                            let mut joined = prefix.clone();
                            joined.extend(&inner);
                            next.push(joined);
                            if next.len() > MAX_ALTERNATIVES {
                                return None;
                            }
                        }
                    }
                }
                done = next;
                at = close + 1;
            }
            '}' => return None,
            other => {
                for prefix in &mut done {
                    prefix.push(other);
                }
                at += 1;
            }
        }
    }
    Some(done)
}

/// The index of the brace that closes the one at 0.
fn closing(pattern: &[char]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut escaped = false;
    for (index, symbol) in pattern.iter().enumerate() {
        match symbol {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(index);
                }
            }
            _ => {}
        }
        if depth > 16 {
            return None;
        }
    }
    None
}

fn choices(inside: &[char]) -> Vec<&[char]> {
    let mut found = Vec::new();
    let (mut start, mut depth, mut escaped) = (0, 0_i32, false);
    for (index, symbol) in inside.iter().enumerate() {
        match symbol {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&inside[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    found.push(&inside[start..]);
    found
}

fn tokens(pattern: &[char]) -> Option<Vec<Token>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < pattern.len() {
        match pattern[at] {
            '\\' => {
                found.push(Token::One(*pattern.get(at + 1)?));
                at += 2;
            }
            '?' => {
                found.push(Token::AnyOne);
                at += 1;
            }
            '*' if pattern.get(at + 1) == Some(&'*') => {
                found.push(Token::AnyAndSeparators);
                while pattern.get(at) == Some(&'*') {
                    at += 1;
                }
            }
            '*' => {
                found.push(Token::Any);
                at += 1;
            }
            '[' => {
                let close = pattern[at..].iter().position(|symbol| *symbol == ']')? + at;
                found.push(class(&pattern[at + 1..close])?);
                at = close + 1;
            }
            other => {
                found.push(Token::One(other));
                at += 1;
            }
        }
    }
    Some(found)
}

fn class(inside: &[char]) -> Option<Token> {
    let negated = matches!(inside.first(), Some('!' | '^'));
    let inside = if negated { &inside[1..] } else { inside };
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < inside.len() {
        if inside.get(at + 1) == Some(&'-') && at + 2 < inside.len() {
            ranges.push((inside[at], inside[at + 2]));
            at += 3;
        } else {
            ranges.push((inside[at], inside[at]));
            at += 1;
        }
    }
    (!ranges.is_empty()).then_some(Token::Class { negated, ranges })
}

/// All positions of the text that a prefix of the tokens can reach: tokens × length, never more.
fn run(tokens: &[Token], text: &[char], separator: Option<char>) -> bool {
    let mut reachable = vec![false; text.len() + 1];
    reachable[0] = true;
    for token in tokens {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            match token {
                Token::Any | Token::AnyAndSeparators => {
                    let goes_on = at > 0
                        && next[at - 1]
                        && (matches!(token, Token::AnyAndSeparators)
                            || Some(text[at - 1]) != separator);
                    next[at] = reachable[at] || goes_on;
                }
                one => {
                    next[at] = at > 0 && reachable[at - 1] && takes(one, text[at - 1], separator);
                }
            }
        }
        reachable = next;
    }
    reachable[text.len()]
}

fn takes(token: &Token, symbol: char, separator: Option<char>) -> bool {
    match token {
        Token::One(expected) => *expected == symbol,
        Token::AnyOne => Some(symbol) != separator,
        Token::Class { negated, ranges } => {
            ranges
                .iter()
                .any(|(low, high)| (*low..=*high).contains(&symbol))
                != *negated
        }
        Token::Any | Token::AnyAndSeparators => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yes(pattern: &str, text: &str) -> bool {
        matches(pattern, text, Some('/')) == Some(true)
    }

    #[test]
    fn one_star_stops_at_the_separator() {
        assert!(yes("https://h/*", "https://h/a"));
        assert!(!yes("https://h/*", "https://h/a/b"));
        assert!(yes("https://h/**", "https://h/a/b"));
        assert_eq!(matches("https://h/*", "https://h/a/b", None), Some(true));
    }

    #[test]
    fn braces_and_classes_choose() {
        assert!(yes("team-{a,b}-[0-9]", "team-b-7"));
        assert!(!yes("team-{a,b}-[!0-9]", "team-b-7"));
        assert!(yes("{a,{b,c}}d", "cd"));
    }

    #[test]
    fn the_whole_text_must_match() {
        assert!(!yes("prod", "prod-1"));
        assert!(yes("", ""));
    }

    #[test]
    fn malformed_and_huge_patterns_have_no_answer() {
        for pattern in ["{a", "a}", "[a", "[]", "\\"] {
            assert_eq!(matches(pattern, "a", None), None, "{pattern}");
        }
        assert_eq!(matches(&"{a,b}".repeat(20), "a", None), None);
        assert_eq!(matches(&"{".repeat(3000), "a", None), None);
    }

    #[test]
    fn many_stars_are_no_trouble() {
        assert!(!yes(&"*a".repeat(200), &"a".repeat(190)));
    }
}
