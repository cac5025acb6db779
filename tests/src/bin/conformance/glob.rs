//! `directory.include` and `directory.exclude`, as the library that Argo CD asks (gobwas/glob, no separators) says they match.

pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    alternatives(&pattern)
        .iter()
        .any(|pattern| one(pattern, &text))
}

/// The pattern without `{a,b}`: one for each.
fn alternatives(pattern: &[char]) -> Vec<Vec<char>> {
    let (mut depth, mut open, mut commas, mut escaped) = (0, 0, Vec::new(), false);
    for (at, letter) in pattern.iter().enumerate() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => {
                depth += 1;
                if depth == 1 {
                    open = at;
                }
            }
            ',' if depth == 1 => commas.push(at),
            '}' if depth == 1 => {
                commas.push(at);
                let mut from = open + 1;
                let mut all = Vec::new();
                for to in commas {
                    let parts = [&pattern[..open], &pattern[from..to], &pattern[at + 1..]];
                    all.extend(alternatives(&parts.concat()));
                    from = to + 1;
                }
                return all;
            }
            '}' if depth > 1 => depth -= 1,
            _ => {}
        }
    }
    vec![pattern.to_vec()]
}

fn one(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], text) => text.is_empty(),
        (['*', rest @ ..], text) => (0..=text.len()).any(|skip| one(rest, &text[skip..])),
        (['?', rest @ ..], [_, text @ ..]) => one(rest, text),
        (['[', rest @ ..], [first, text @ ..]) => {
            let Some(end) = rest.iter().position(|letter| *letter == ']') else {
                return false;
            };
            let (class, rest) = (&rest[..end], &rest[end + 1..]);
            let (class, wanted) = match class {
                ['!', class @ ..] => (class, false),
                class => (class, true),
            };
            let within = match class {
                [low, '-', high] => (low..=high).contains(&first),
                class => class.contains(first),
            };
            within == wanted && one(rest, text)
        }
        (['\\', letter, rest @ ..] | [letter, rest @ ..], [first, text @ ..]) => {
            letter == first && one(rest, text)
        }
        (_, []) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_crosses_folders_and_braces_are_alternatives() {
        for (pattern, text) in [
            ("*.yaml", "a/b.yaml"),
            ("{a,b/*}.yaml", "b/c.yaml"),
            ("{a,{b,c}}.yaml", "c.yaml"),
            ("config-[a-c].?aml", "config-b.yaml"),
            ("[!x]*", "a"),
            ("a\\*", "a*"),
            ("**", "a/b"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("*.yaml", "a.yml"),
            ("{a,b}.yaml", "c.yaml"),
            ("[!x]*", "x1"),
            ("a\\*", "ab"),
            ("?", ""),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
