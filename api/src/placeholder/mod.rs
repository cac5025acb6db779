//! The grammar of secret placeholders, as argocd-vault-plugin writes it: `<path:mount/data/path#key#version | modifier …>`, and
//! `<key | modifier …>` in an object whose annotation names a path ([`Scope`]). Ours is `<vault:transit/decrypt/KEY#vault:v1:…>`, for a
//! text that Vault's transit engine encrypted. One pass, bounded look-ahead, no backtracking.

mod scope;

pub use scope::{PREFIX, Scope, ScopeError};

use std::{fmt, ops::Range};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const OPEN: &str = "<path:";
const INLINE: &str = "path:";
const OPEN_CIPHERTEXT: &str = "<vault:";
const INLINE_CIPHERTEXT: &str = "vault:";
/// What Vault puts before everything that it encrypts.
const CIPHERTEXT: &str = "vault:v";
/// The longest placeholder, in bytes.
pub const MAX_LENGTH: usize = 2048;

/// What a placeholder refers to; never its value.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct SecretReference {
    /// For instance `kv/data/app`; see `form`.
    pub path: String,
    /// Empty for all keys at once.
    pub key: String,
    /// Absent means the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The path may lack the key: its field is left out then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    #[serde(default, skip_serializing_if = "PathForm::is_default")]
    pub form: PathForm,
}

/// How a path is written.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum PathForm {
    /// As the store's API has it, for KV v2 with its `data` segment: `kv/data/app`.
    #[default]
    Api,
    /// As people write it for `vault kv get`, without that segment: `kv/app`.
    Short,
    /// Of an engine that decrypts, as its API has it: `transit/decrypt/app`. The key is what is to be decrypted.
    Ciphertext,
}

impl PathForm {
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// A key for people: what is encrypted is long, and says nothing.
    pub fn shown(self, key: &str) -> &str {
        match self {
            Self::Ciphertext => "vault:…",
            Self::Api | Self::Short if key.is_empty() => "*",
            Self::Api | Self::Short => key,
        }
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.form.shown(&self.key);
        write!(f, "{}#{key}", self.path)?;
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
    #[error(
        "placeholder {text:?} is no encrypted text: write <vault:transit/decrypt/KEY#vault:v1:…>"
    )]
    NoCiphertext { text: String },
    #[error("placeholder {text:?} has an empty path or key, or more than path, key and version")]
    Malformed { text: String },
    #[error("placeholder {text:?} has the modifier {modifier:?}, which isn't known")]
    UnknownModifier { text: String, modifier: String },
}

impl Scope {
    /// The placeholders of a text, in order.
    ///
    /// # Errors
    /// At the first text that begins like a placeholder and isn't one.
    pub fn find(&self, text: &str) -> Result<Vec<Placeholder>, PlaceholderError> {
        let mut found = Vec::new();
        if self.ignored {
            return Ok(found);
        }
        let (mut from, mut ends) = (0, Ends::default());
        while let Some(offset) = text[from..].find('<') {
            let start = from + offset;
            if self.generic.is_none() && !is_inline(&text[start..]) {
                from = start + 1;
                continue;
            }
            match ends.after(text, start) {
                Some(end) => {
                    found.push(self.parse(text, start..end + 1)?);
                    from = end + 1;
                }
                // A bracket of its own is no placeholder, but what begins with a path is meant to be one.
                None if !is_inline(&text[start..]) => from = start + 1,
                None => return Err(PlaceholderError::Unclosed { at: start }),
            }
        }
        Ok(found)
    }

    fn parse(&self, text: &str, range: Range<usize>) -> Result<Placeholder, PlaceholderError> {
        let whole = &text[range.clone()];
        let shown = || whole.to_owned();
        let inside = whole.trim_matches(['<', '>']);
        let mut pipeline = inside.split('|');
        let place = pipeline.next().unwrap_or_default().trim();
        let modifiers = pipeline
            .map(|modifier| {
                modifier_of(modifier.trim()).ok_or_else(|| PlaceholderError::UnknownModifier {
                    text: shown(),
                    modifier: modifier.trim().to_owned(),
                })
            })
            .collect::<Result<_, _>>()?;
        if let Some(place) = place.strip_prefix(INLINE_CIPHERTEXT) {
            return Ok(Placeholder {
                range,
                reference: ciphertext(place)
                    .ok_or_else(|| PlaceholderError::NoCiphertext { text: shown() })?,
                modifiers,
            });
        }
        let reference = match (place.strip_prefix(INLINE), &self.generic) {
            (None, Some(generic)) if !place.is_empty() => SecretReference {
                path: generic.path.clone(),
                key: place.to_owned(),
                version: generic.version.clone(),
                optional: self.optional,
                form: PathForm::Api,
            },
            (Some(place), _) => self.inline(place, shown)?,
            (None, _) => return Err(PlaceholderError::Malformed { text: shown() }),
        };
        Ok(Placeholder {
            range,
            reference,
            modifiers,
        })
    }

    /// `path#key` or `path#key#version`.
    fn inline(
        &self,
        place: &str,
        shown: impl Fn() -> String,
    ) -> Result<SecretReference, PlaceholderError> {
        let mut parts = place.split('#').map(str::trim);
        let (Some(path), Some(key)) = (parts.next(), parts.next()) else {
            return Err(PlaceholderError::NoKey { text: shown() });
        };
        let version = parts.next();
        if path.is_empty() || key.is_empty() || version == Some("") || parts.next().is_some() {
            return Err(PlaceholderError::Malformed { text: shown() });
        }
        Ok(SecretReference {
            path: path.to_owned(),
            key: key.to_owned(),
            version: version.map(str::to_owned),
            optional: self.optional,
            form: PathForm::Api,
        })
    }
}

/// Whether what begins with a bracket is meant as a placeholder wherever it stands.
fn is_inline(text: &str) -> bool {
    text.starts_with(OPEN) || text.starts_with(OPEN_CIPHERTEXT)
}

/// `path#ciphertext`.
fn ciphertext(place: &str) -> Option<SecretReference> {
    let (path, text) = place.split_once('#')?;
    let (path, text) = (path.trim(), text.trim());
    let is_one = text.starts_with(CIPHERTEXT)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b":+/=-_".contains(&byte));
    (is_one && !path.is_empty()).then(|| SecretReference {
        path: path.to_owned(),
        key: text.to_owned(),
        version: None,
        optional: false,
        form: PathForm::Ciphertext,
    })
}

/// The next closing bracket or end of line, looked for once however many opening brackets come before it.
#[derive(Default)]
struct Ends {
    known: Option<usize>,
}

impl Ends {
    /// The closing bracket of what opens at `start`.
    fn after(&mut self, text: &str, start: usize) -> Option<usize> {
        if self.known.is_none_or(|known| known < start) {
            let next = text[start..].find(['>', '\n', '\r']);
            self.known = Some(next.map_or(text.len(), |next| start + next));
        }
        self.known
            .filter(|end| end - start < MAX_LENGTH && text.as_bytes().get(*end) == Some(&b'>'))
    }
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

    fn find(text: &str) -> Result<Vec<Placeholder>, PlaceholderError> {
        Scope::default().find(text)
    }

    /// In an object with a path for `<key>`.
    fn generic(text: &str) -> Result<Vec<Placeholder>, PlaceholderError> {
        let scope = Scope {
            generic: Some(scope::Generic {
                path: "kv/data/app".to_owned(),
                version: Some("7".to_owned()),
            }),
            ..Scope::default()
        };
        scope.find(text)
    }

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
    fn an_encrypted_text_is_a_placeholder_of_the_path_that_decrypts_it() {
        let text = "u:<vault:transit/decrypt/shop#vault:v1:8SDd3Whb+/==>@<path:kv/a#b>";
        for found in [find(text).unwrap(), generic(text).unwrap()] {
            assert_eq!(found.len(), 2);
            let reference = &found[0].reference;
            assert_eq!(reference.path, "transit/decrypt/shop");
            assert_eq!(reference.key, "vault:v1:8SDd3Whb+/==");
            assert_eq!(reference.form, PathForm::Ciphertext);
            assert_eq!(reference.to_string(), "transit/decrypt/shop#vault:…");
        }
        let piped = one("<vault: transit/decrypt/shop # vault:v12:aa== | base64decode >");
        assert_eq!(piped.modifiers, [Modifier::Base64Decode]);
        for wrong in [
            "<vault:v1:aa==>",
            "<vault:transit/decrypt/shop#key>",
            "<vault:#vault:v1:aa>",
            "<vault:transit/decrypt/shop#vault:v1:a b>",
            "<vault:transit/decrypt/shop#vault:v1:aa#2>",
        ] {
            let error = find(wrong).unwrap_err();
            assert!(
                matches!(error, PlaceholderError::NoCiphertext { .. }),
                "{wrong}: {error}"
            );
        }
    }

    #[test]
    fn other_angle_brackets_are_left_alone() {
        assert_eq!(
            find("a < b > c <html> <pathological> <vaulted:x>").unwrap(),
            []
        );
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
    fn a_key_alone_is_of_the_objects_path_and_an_inline_path_has_its_own_version() {
        let found =
            generic("postgres://<user>:<path:kv/data/b#pass | base64decode>@<host | indent 2>")
                .unwrap();
        let names: Vec<_> = found.iter().map(|it| it.reference.to_string()).collect();
        assert_eq!(
            names,
            ["kv/data/app#user#7", "kv/data/b#pass", "kv/data/app#host#7"]
        );
        assert_eq!(found[2].modifiers, [Modifier::Indent(2)]);
        assert_eq!(found[0].range, 11..17);
    }

    #[test]
    fn with_a_path_a_bracket_reaches_to_the_next_closing_one_of_its_line() {
        assert_eq!(generic("a < b\n<key>").unwrap().len(), 1);
        assert_eq!(generic("a < b <key>").unwrap()[0].reference.key, "b <key");
        assert_eq!(generic("<<key>").unwrap()[0].reference.key, "key");
        assert!(matches!(
            generic("<>"),
            Err(PlaceholderError::Malformed { .. })
        ));
        assert!(matches!(
            generic("< | base64encode>"),
            Err(PlaceholderError::Malformed { .. })
        ));
        assert!(matches!(
            generic("<path:a\n"),
            Err(PlaceholderError::Unclosed { .. })
        ));
    }

    #[test]
    fn a_text_of_many_beginnings_is_read_once() {
        for worst in [
            "<path:",
            "<path:a#b>",
            "<path",
            "<path:a#b | base64encode>",
            "<vault:",
            "<vault:a#vault:v1:b>",
            "<",
            "####",
            "||||",
        ] {
            // A MiB: were the rest looked at from each beginning, the test would take hours.
            let text = worst.repeat((1 << 20) / worst.len());
            let _ = find(&text);
            let _ = generic(&text);
            let unclosed = format!("{OPEN}{text}");
            let _ = find(&unclosed);
        }
        let longest = format!("{OPEN}{}>", "a#".repeat(MAX_LENGTH));
        assert_eq!(find(&longest), Err(PlaceholderError::Unclosed { at: 0 }));
    }

    const WORDS: &[&str] = &[
        "<path:",
        "<vault:",
        "#vault:v1:",
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
            let _ = generic(&text);
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
            }
        }
    }
}
