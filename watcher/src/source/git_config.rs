//! Git's configuration format, as far as a repository's own files (`.gitmodules`, `.lfsconfig`) need it. Nothing is ever included or
//! expanded. Pure.

/// Longest file.
const MAX_BYTES: usize = 1 << 20;

/// One `name = value` of a section, in the order of the file. Section and name are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) section: String,
    /// The quoted part of `[section "subsection"]`.
    pub(super) subsection: Option<String>,
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConfigError {
    #[error("it is over {MAX_BYTES} bytes")]
    TooLong,
    #[error("it isn't UTF-8 text")]
    NotText,
    #[error("line {0} is neither a [section] nor `name = value`")]
    Line(usize),
}

pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Entry>, ConfigError> {
    if bytes.len() > MAX_BYTES {
        return Err(ConfigError::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ConfigError::NotText)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut entries = Vec::new();
    let (mut section, mut subsection) = (String::new(), None);
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let broken = || ConfigError::Line(at + 1);
        let mut line = line.trim();
        if line.starts_with('[') {
            let (name, below, rest) = header(line).ok_or_else(broken)?;
            (section, subsection) = (name, below);
            line = rest.trim_start();
        }
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let (name, rest) = line.split_once('=').unwrap_or((line, "true"));
        let name = name.trim();
        let plain = |symbol: char| symbol.is_ascii_alphanumeric() || symbol == '-';
        if section.is_empty() || name.is_empty() || !name.chars().all(plain) {
            return Err(broken());
        }
        let mut value = Value::default();
        let mut more = value.read(rest).ok_or_else(broken)?;
        while more {
            let Some((_, next)) = lines.next() else { break };
            more = value.read(next).ok_or_else(broken)?;
        }
        entries.push(Entry {
            section: section.clone(),
            subsection: subsection.clone(),
            name: name.to_lowercase(),
            value: value.finish(),
        });
    }
    Ok(entries)
}

/// `[section "subsection"]`, and what follows it.
fn header(line: &str) -> Option<(String, Option<String>, &str)> {
    let inner = line.strip_prefix('[')?;
    let quote = inner.find('"');
    let close = inner.find(']')?;
    let Some(quote) = quote.filter(|quote| *quote < close) else {
        let (name, rest) = (&inner[..close], &inner[close + 1..]);
        return Some((name.trim().to_lowercase(), None, rest));
    };
    let name = inner[..quote].trim().to_lowercase();
    let mut below = String::new();
    let mut symbols = inner[quote + 1..].char_indices();
    while let Some((at, symbol)) = symbols.next() {
        match symbol {
            '\\' => below.push(symbols.next()?.1),
            '"' => {
                let rest = inner[quote + 1 + at + 1..].trim_start().strip_prefix(']')?;
                return Some((name, Some(below), rest));
            }
            symbol => below.push(symbol),
        }
    }
    None
}

/// A value while it is read: quotes, escapes, comments, lines that go on.
#[derive(Default)]
struct Value {
    text: String,
    /// Length without the blanks that so far are at its end.
    solid: usize,
    quoted: bool,
}

impl Value {
    /// Reads a line; true if the next one belongs to it too, none if it is broken.
    fn read(&mut self, line: &str) -> Option<bool> {
        let mut symbols = line.chars();
        while let Some(symbol) = symbols.next() {
            match symbol {
                '"' => self.quoted = !self.quoted,
                '#' | ';' if !self.quoted => break,
                '\\' => match symbols.next() {
                    None => return Some(true),
                    Some('n') => self.push('\n'),
                    Some('t') => self.push('\t'),
                    Some('b') => self.push('\u{8}'),
                    Some(symbol @ ('"' | '\\')) => self.push(symbol),
                    Some(_) => return None,
                },
                symbol if symbol.is_whitespace() && !self.quoted => {
                    if !self.text.is_empty() {
                        self.text.push(symbol);
                    }
                }
                symbol => self.push(symbol),
            }
        }
        (!self.quoted).then_some(false)
    }

    fn push(&mut self, symbol: char) {
        self.text.push(symbol);
        self.solid = self.text.len();
    }

    fn finish(mut self) -> String {
        self.text.truncate(self.solid);
        self.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, Option<String>, String, String)> {
        let entries = parse(text.as_bytes()).unwrap();
        let parts = |it: Entry| (it.section, it.subsection, it.name, it.value);
        entries.into_iter().map(parts).collect()
    }

    fn value(text: &str) -> String {
        read(&format!("[s]\nk = {text}\n"))[0].3.clone()
    }

    #[test]
    fn sections_names_and_values_are_read() {
        let text = "# c\n[Submodule \"a \\\"b]\"] path = x\n\tURL=../y.git ; c\n[lfs]\n url\n";
        let below = Some("a \"b]".to_owned());
        assert_eq!(
            read(text),
            [
                ("submodule".into(), below.clone(), "path".into(), "x".into()),
                ("submodule".into(), below, "url".into(), "../y.git".into()),
                ("lfs".into(), None, "url".into(), "true".into()),
            ]
        );
    }

    #[test]
    fn quotes_escapes_and_long_lines_are_as_git_reads_them() {
        assert_eq!(value("  a b  "), "a b");
        assert_eq!(value("\" a # b \" # c"), " a # b ");
        assert_eq!(value("a\\\n  b"), "a  b");
        assert_eq!(value("a\\tb\\\\"), "a\tb\\");
    }

    #[test]
    fn a_broken_line_is_named() {
        for text in [
            "x = 1",
            "[s]\n\n%",
            "[s",
            "[s]\nk = \"a",
            "[s]\nk = \\x",
            "[s \"a",
        ] {
            assert!(
                matches!(parse(text.as_bytes()), Err(ConfigError::Line(_))),
                "{text}"
            );
        }
        assert_eq!(parse(b"[s]\n\n%"), Err(ConfigError::Line(3)));
        assert_eq!(parse(&vec![b'['; MAX_BYTES + 1]), Err(ConfigError::TooLong));
        assert_eq!(parse(&[0xff]), Err(ConfigError::NotText));
    }

    proptest! {
        #[test]
        fn no_file_is_a_panic(text in "([\\[\\]\"\\\\=#; \na-c]|.){0,80}") {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn what_is_written_quoted_is_read_back(below in "[^\n\r\0]{0,20}", text in "[^\r\0]{0,30}") {
            let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let written = format!("[s \"{}\"]\nk = \"{}\"\n", quote(&below), quote(&text));
            let lines_of_text = !written.replace("\\n", "").chars().any(|it| "\u{b}\u{c}\u{85}\u{2028}".contains(it));
            prop_assume!(lines_of_text);
            prop_assert_eq!(read(&written), [("s".to_owned(), Some(below), "k".to_owned(), text)]);
        }
    }
}
