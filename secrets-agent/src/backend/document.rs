//! All values at one path, in memory that is cleared.

use std::borrow::Cow;
use std::collections::BTreeMap;

use api::json_string;
use bus::seal::SecretValue;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The values of one path at one version.
#[derive(Debug)]
pub struct Document {
    pub version: Option<u64>,
    values: BTreeMap<String, SecretValue>,
}

impl Document {
    pub fn new(version: Option<u64>, values: BTreeMap<String, SecretValue>) -> Self {
        Self { version, values }
    }

    pub fn get(&self, key: &str) -> Option<&SecretValue> {
        self.values.get(key)
    }

    /// Reads Vault's answer for a KV engine that counts versions.
    pub(super) fn of_versioned(body: &[u8]) -> Option<Self> {
        let body: Body<'_> = serde_json::from_slice(body).ok()?;
        let inner: Versioned<'_> = serde_json::from_str(body.data?.get()).ok()?;
        Some(Self {
            version: Some(inner.metadata.version),
            values: values(inner.data?)?,
        })
    }

    /// Reads Vault's answer for a KV engine that doesn't.
    pub(super) fn of_plain(body: &[u8]) -> Option<Self> {
        let body: Body<'_> = serde_json::from_slice(body).ok()?;
        Some(Self {
            version: None,
            values: values(body.data?)?,
        })
    }
}

// Borrowed throughout: the only copies of a value are the body and the value itself, and both are cleared.

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Versioned<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    version: u64,
}

/// A text is its characters; a number, boolean, object or list is its JSON, as written; null is no value.
fn values(object: &RawValue) -> Option<BTreeMap<String, SecretValue>> {
    let raw: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(object.get()).ok()?;
    raw.into_iter()
        .filter(|(_, value)| value.get() != "null")
        .map(|(key, value)| {
            let value = if value.get().starts_with('"') {
                SecretValue::new(json_string::unescape(value.get())?)
            } else {
                SecretValue::json(value.get().as_bytes().to_vec())
            };
            Some((key.into_owned(), value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use bus::seal::Form;

    use super::*;

    #[test]
    fn a_versioned_answer_gives_values_and_version() {
        let body = br#"{"request_id":"x","data":{"data":{"a":"one\n\u00fc","n":7,"o":{"x":[1, 2]},"z":null,"e":""},
            "metadata":{"version":3,"destroyed":false}},"warnings":null}"#;
        let document = Document::of_versioned(body).unwrap();
        assert_eq!(document.version, Some(3));
        assert_eq!(document.get("a").unwrap().expose(), "one\nü".as_bytes());
        assert_eq!(document.get("n").unwrap().expose(), b"7");
        assert_eq!(document.get("n").unwrap().form(), Form::Json);
        assert_eq!(document.get("o").unwrap().expose(), br#"{"x":[1, 2]}"#);
        assert_eq!(document.get("e").unwrap().expose(), b"");
        assert!(document.get("z").is_none());
        assert!(!format!("{document:?}").contains("one"));
    }

    #[test]
    fn a_plain_answer_has_no_version() {
        let document = Document::of_plain(br#"{"data":{"a":"1"}}"#).unwrap();
        assert_eq!(
            (document.version, document.get("a").unwrap().expose()),
            (None, &b"1"[..])
        );
    }

    #[test]
    fn other_answers_are_none_at_all() {
        for body in [
            &b""[..],
            b"{}",
            b"[]",
            b"{\"data\":null}",
            b"{\"data\":{\"data\":null,\"metadata\":{\"version\":2}}}",
            b"{\"data\":{\"data\":[1],\"metadata\":{\"version\":2}}}",
            b"{\"data\":{\"data\":{}}}",
            b"{\"data\":{\"data\":{\"a\":\"\xff\"},\"metadata\":{\"version\":2}}}",
        ] {
            assert!(
                Document::of_versioned(body).is_none(),
                "{}",
                String::from_utf8_lossy(body)
            );
        }
    }
}
