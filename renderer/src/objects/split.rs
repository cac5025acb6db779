//! A stream of YAML documents, cut where the tools cut it.

use std::borrow::Cow;

/// One document of a stream and the line of the stream that it starts at (from 1).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

/// Helm's rule: at each `---` that starts a line, even with text right behind it, which is then the next document's.
pub(crate) fn helm(stream: &str) -> Vec<Piece<'_>> {
    cut(stream, |line| {
        let rest = line.strip_prefix("---")?;
        Some(rest.trim_start_matches([' ', '\t']))
    })
}

/// The rule of Kubernetes' decoder: at each line that is `---`, with nothing behind it but blanks or a comment.
pub(crate) fn kubernetes(stream: &str) -> Vec<Piece<'_>> {
    cut(stream, |line| {
        let rest = line.strip_prefix("---")?.trim();
        (rest.is_empty() || rest.starts_with('#')).then_some("")
    })
}

/// `separator` gives what of a separating line belongs to the next document.
fn cut(stream: &str, separator: impl Fn(&str) -> Option<&str>) -> Vec<Piece<'_>> {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let mut pieces = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 1, 0);
    for (index, line) in stream.split_inclusive('\n').enumerate() {
        if let Some(rest) = separator(line) {
            push(&mut pieces, &stream[start..at], start_line);
            (start, start_line) = (
                at + line.len() - rest.len(),
                index + 1 + usize::from(rest.is_empty()),
            );
        }
        at += line.len();
    }
    push(&mut pieces, &stream[start..], start_line);
    pieces
}

/// A document with one more line end, where that can mean something: behind a text without one, and behind a block scalar that
/// keeps all of its own (`|+`).
pub(crate) fn ended(text: &str) -> Cow<'_, str> {
    if text.ends_with('\n') && !keeps_line_ends(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{text}\n"))
}

/// Whether there is something like `|+`, `>2+`. In doubt, there is.
fn keeps_line_ends(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.match_indices('+').any(|(at, _)| {
        let before = bytes[..at].iter().rev();
        let sign = before.copied().find(|byte| !byte.is_ascii_digit());
        matches!(sign, Some(b'|' | b'>'))
    })
}

fn push<'a>(pieces: &mut Vec<Piece<'a>>, text: &'a str, line: usize) {
    if !text.trim().is_empty() {
        pieces.push(Piece { text, line });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pieces: &[Piece<'_>]) -> Vec<String> {
        pieces
            .iter()
            .map(|piece| piece.text.trim().to_owned())
            .collect()
    }

    #[test]
    fn both_cut_at_separators_and_drop_what_is_empty() {
        let stream = "---\na: 1\n---\n\n--- # more\nb: 2\n";
        assert_eq!(texts(&kubernetes(stream)), ["a: 1", "b: 2"]);
        assert_eq!(
            texts(&helm("---\na: 1\n---\n \n---\nb: 2\n")),
            ["a: 1", "b: 2"]
        );
    }

    #[test]
    fn a_line_end_more_is_put_where_it_means_something() {
        for text in ["a: |+\n  b\n", "a: >2+\n   b\n", "a: |\n  b"] {
            assert_eq!(ended(text), format!("{text}\n"));
        }
        for text in ["a: |\n  b\n", "a: 1+1\n", "+\n"] {
            assert_eq!(ended(text), text);
        }
    }

    #[test]
    fn helm_cuts_where_a_template_forgot_the_line_break() {
        assert_eq!(
            texts(&helm("a: 1\n---apiVersion: v1\nkind: A\n")),
            ["a: 1", "apiVersion: v1\nkind: A"]
        );
        assert_eq!(kubernetes("a: 1\n---b: 2\n").len(), 1);
    }

    #[test]
    fn a_piece_knows_its_line() {
        let pieces = kubernetes("# head\na: 1\n---\nb: 2\n");
        assert_eq!(pieces[1].line, 4);
        assert_eq!(helm("a: 1\n---b: 2\n")[1].line, 2);
    }

    #[test]
    fn indented_dashes_are_content() {
        assert_eq!(kubernetes("a: |\n  ---\n  b\n").len(), 1);
        assert_eq!(helm("a: |\n  ---\n  b\n").len(), 1);
    }
}
