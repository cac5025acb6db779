//! The grammar of secret placeholders: `<path:mount/data/path#key#version | modifier …>`, as
//! argocd-vault-plugin writes it. One pass, bounded look-ahead, no backtracking.

use std::{borrow::Cow, fmt, ops::Range};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const OPEN: &str = "<path:";
/// The longest placeholder, in bytes.
pub const MAX_LENGTH: usize = 2048;

/// What a placeholder refers to; never its value.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct SecretReference {
    /// The raw API path, for KV v2 with its `data` segment: `kv/data/app`.
    pub path: String,
    pub key: String,
    /// Absent means the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.path, self.key)?;
        match &self.version {
            Some(version) => write!(f, "#{version}"),
            None => Ok(()),
        }
    }
}

/// What happens to a value before it is put in, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Modifier {
    Base64Encode,
    Base64Decode,
    JsonParse,
    /// The expression, in braces as written.
    JsonPath(String),
    YamlParse,
    Indent(u8),
    Sha256Sum,
}

/// A placeholder in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholder {
    /// Where it stands, brackets included.
    pub range: Range<usize>,
    pub reference: SecretReference,
    pub modifiers: Vec<Modifier>,
}

/// A text that begins like a placeholder and isn't one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceholderError {
    #[error("placeholder at byte {at} has no closing '>' on its line within {MAX_LENGTH} bytes")]
    Unclosed { at: usize },
    #[error("placeholder {text:?} has no key: write <path:PATH#KEY>")]
    NoKey { text: String },
    #[error("placeholder {text:?} has an empty path or key, or more than path, key and version")]
    Malformed { text: String },
    #[error("placeholder {text:?} has the modifier {modifier:?}, which isn't known")]
    UnknownModifier { text: String, modifier: String },
}

/// The placeholders of a text, in order.
///
/// # Errors
/// At the first text that begins like a placeholder and isn't one.
pub fn find(text: &str) -> Result<Vec<Placeholder>, PlaceholderError> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(offset) = text[from..].find(OPEN) {
        let start = from + offset;
        let end = start + close(&text[start..]).ok_or(PlaceholderError::Unclosed { at: start })?;
        found.push(parse(text, start..end + 1)?);
        from = end + 1;
    }
    Ok(found)
}

/// The text with each placeholder replaced by what the closure gives for it.
///
/// # Errors
/// The closure's, or a malformed placeholder as the closure's error type.
pub fn replace<E: From<PlaceholderError>>(
    text: &str,
    mut value: impl FnMut(&Placeholder) -> Result<String, E>,
) -> Result<Cow<'_, str>, E> {
    let found = find(text)?;
    if found.is_empty() {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for placeholder in &found {
        out.push_str(&text[from..placeholder.range.start]);
        out.push_str(&value(placeholder)?);
        from = placeholder.range.end;
    }
    out.push_str(&text[from..]);
    Ok(Cow::Owned(out))
}

/// The closing bracket, relative to the opening one.
fn close(text: &str) -> Option<usize> {
    let end = text
        .bytes()
        .take(MAX_LENGTH)
        .position(|byte| matches!(byte, b'>' | b'\n' | b'\r'))?;
    (text.as_bytes()[end] == b'>').then_some(end)
}

fn parse(text: &str, range: Range<usize>) -> Result<Placeholder, PlaceholderError> {
    let whole = &text[range.clone()];
    let shown = || whole.to_owned();
    let inside = &whole[OPEN.len()..whole.len() - 1];
    let mut pipeline = inside.split('|');
    let reference = pipeline.next().unwrap_or_default();
    let modifiers = pipeline
        .map(|modifier| {
            modifier_of(modifier.trim()).ok_or_else(|| PlaceholderError::UnknownModifier {
                text: shown(),
                modifier: modifier.trim().to_owned(),
            })
        })
        .collect::<Result<_, _>>()?;
    let mut parts = reference.split('#').map(str::trim);
    let (Some(path), Some(key)) = (parts.next(), parts.next()) else {
        return Err(PlaceholderError::NoKey { text: shown() });
    };
    let version = parts.next();
    if path.is_empty() || key.is_empty() || version == Some("") || parts.next().is_some() {
        return Err(PlaceholderError::Malformed { text: shown() });
    }
    Ok(Placeholder {
        range,
        reference: SecretReference {
            path: path.to_owned(),
            key: key.to_owned(),
            version: version.map(str::to_owned),
        },
        modifiers,
    })
}

fn modifier_of(text: &str) -> Option<Modifier> {
    let (name, argument) = text
        .split_once(char::is_whitespace)
        .map_or((text, ""), |(name, argument)| (name, argument.trim()));
    match (name, argument) {
        ("base64encode", "") => Some(Modifier::Base64Encode),
        ("base64decode", "") => Some(Modifier::Base64Decode),
        ("jsonParse", "") => Some(Modifier::JsonParse),
        ("yamlParse", "") => Some(Modifier::YamlParse),
        ("sha256sum", "") => Some(Modifier::Sha256Sum),
        ("jsonPath", path) if !path.is_empty() => Some(Modifier::JsonPath(path.to_owned())),
        ("indent", count) => count.parse().ok().map(Modifier::Indent),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> Placeholder {
        find(text).unwrap().remove(0)
    }

    #[test]
    fn path_key_and_version_are_told_apart() {
        let found = one("user: <path:kv/data/app#user#3>");
        assert_eq!(found.reference.to_string(), "kv/data/app#user#3");
        assert_eq!(found.range, 6..31);
    }

    #[test]
    fn several_in_one_text_are_all_found() {
        let found = find("<path:a#b>:<path:c#d | base64encode>").unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].modifiers, [Modifier::Base64Encode]);
    }

    #[test]
    fn modifiers_keep_their_order_and_arguments() {
        let found = one("<path: kv/data/app # doc | jsonPath {.a.b} | indent 4 >");
        assert_eq!(found.reference.path, "kv/data/app");
        assert_eq!(
            found.modifiers,
            [Modifier::JsonPath("{.a.b}".into()), Modifier::Indent(4)]
        );
    }

    #[test]
    fn other_angle_brackets_are_left_alone() {
        assert_eq!(find("a < b > c <html> <pathological>").unwrap(), []);
    }

    #[test]
    fn a_placeholder_that_is_none_is_an_error_not_a_value() {
        assert!(matches!(
            find("<path:a"),
            Err(PlaceholderError::Unclosed { at: 0 })
        ));
        assert!(matches!(
            find("<path:a\n#b>"),
            Err(PlaceholderError::Unclosed { .. })
        ));
        assert!(matches!(
            find("<path:a>"),
            Err(PlaceholderError::NoKey { .. })
        ));
        assert!(matches!(
            find("<path:#b>"),
            Err(PlaceholderError::Malformed { .. })
        ));
        assert!(matches!(
            find("<path:a#b#1#2>"),
            Err(PlaceholderError::Malformed { .. })
        ));
        assert!(matches!(
            find("<path:a#b | rot13>"),
            Err(PlaceholderError::UnknownModifier { .. })
        ));
    }

    #[test]
    fn values_take_the_place_of_placeholders() {
        let replaced = replace("x=<path:a#b>;", |placeholder| {
            Ok::<_, PlaceholderError>(placeholder.reference.key.to_uppercase())
        });
        assert_eq!(replaced.unwrap(), "x=B;");
    }

    #[test]
    fn a_text_of_many_beginnings_is_read_once() {
        for worst in [
            "<path:",
            "<path:a#b>",
            "<path",
            "<path:a#b | base64encode>",
            "<",
            "####",
            "||||",
        ] {
            // A MiB: were the rest looked at from each beginning, the test would take hours.
            let text = worst.repeat((1 << 20) / worst.len());
            let _ = find(&text);
            let unclosed = format!("{OPEN}{text}");
            let _ = find(&unclosed);
        }
        let longest = format!("{OPEN}{}>", "a#".repeat(MAX_LENGTH));
        assert_eq!(find(&longest), Err(PlaceholderError::Unclosed { at: 0 }));
    }

    const WORDS: &[&str] = &[
        "<path:",
        "#",
        "|",
        ">",
        "<",
        "a",
        "é",
        "\n",
        " ",
        "\r",
        "path:",
        "<path",
        "indent ",
        "256",
        "4",
        "jsonPath",
        "base64encode",
        "\u{2028}",
        "\u{0}",
        "𝕩",
    ];
    /// Words of which many a sequence is right.
    const FITTING: &[&str] = &[
        "<path:",
        "<path:a#b",
        "a/b",
        "c",
        "#",
        "#3",
        ">",
        ">",
        " | base64encode",
        " | indent 4",
        " | jsonPath {.a}",
        "é",
        "\n",
    ];

    proptest! {
        #[test]
        fn any_text_is_parsed_without_panic(words in proptest::collection::vec(prop::sample::select(WORDS), 0..40)) {
            let text = words.concat();
            let _ = find(&text);
        }

        #[test]
        fn what_is_found_stands_there_in_order_and_says_what_it_is(words in proptest::collection::vec(prop::sample::select(FITTING), 0..30)) {
            let text = words.concat();
            if let Ok(found) = find(&text) {
                let mut from = 0;
                for placeholder in &found {
                    prop_assert!(placeholder.range.start >= from);
                    from = placeholder.range.end;
                    let written = &text[placeholder.range.clone()];
                    prop_assert!(written.starts_with(OPEN) && written.ends_with('>'));
                    prop_assert!(!placeholder.reference.path.is_empty() && !placeholder.reference.key.is_empty());
                }
                // Without them nothing is left to find.
                let gone = replace(&text, |_| Ok::<_, PlaceholderError>(String::new())).unwrap();
                prop_assert_eq!(gone.len() + found.iter().map(|found| found.range.len()).sum::<usize>(), text.len());
            }
        }
    }
}
