//! All values at one path, in memory that is cleared.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;

use api::json_string;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bus::seal::{Form, SecretValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

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

    /// All values as one JSON object; none where one of them isn't UTF-8.
    pub(crate) fn whole(&self) -> Option<SecretValue> {
        // Counted first, so that the buffer never moves and leaves a copy behind.
        let mut size = Count(0);
        self.write(&mut size)?;
        let mut json = Zeroizing::new(Vec::with_capacity(size.0));
        self.write(&mut *json)?;
        Some(SecretValue::json(json))
    }

    fn write(&self, out: &mut impl Write) -> Option<()> {
        out.write_all(b"{").ok()?;
        for (at, (key, value)) in self.values.iter().enumerate() {
            if at > 0 {
                out.write_all(b",").ok()?;
            }
            serde_json::to_writer(&mut *out, key).ok()?;
            out.write_all(b":").ok()?;
            let text = std::str::from_utf8(value.expose()).ok()?;
            match value.form() {
                Form::Text => serde_json::to_writer(&mut *out, text).ok()?,
                Form::Json => out.write_all(text.as_bytes()).ok()?,
            }
        }
        out.write_all(b"}").ok()
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

    /// Reads Vault's answer for an engine that doesn't.
    pub(super) fn of_plain(body: &[u8]) -> Option<Self> {
        let body: Body<'_> = serde_json::from_slice(body).ok()?;
        Some(Self {
            version: None,
            values: values(body.data?)?,
        })
    }

    /// Reads the answer of Vault's transit engine, whose plaintext is in base64.
    pub(super) fn plaintext(body: &[u8]) -> Option<SecretValue> {
        let decrypted = Self::of_plain(body)?;
        let text = decrypted.get("plaintext")?;
        let mut bytes = Zeroizing::new(vec![0; text.expose().len()]);
        let length = STANDARD.decode_slice(text.expose(), &mut bytes).ok()?;
        bytes.truncate(length);
        Some(SecretValue::new(bytes))
    }
}

/// The lease under which Vault lends what it answers.
pub(super) fn lease_of(body: &[u8]) -> Option<String> {
    let body: Body<'_> = serde_json::from_slice(body).ok()?;
    body.lease_id.filter(|lease| !lease.is_empty())
}

/// How much would be written.
struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

// Borrowed throughout: the only copies of a value are the body and the value itself, and both are cleared.

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    lease_id: Option<String>,
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
    fn all_values_are_one_object_if_all_are_text() {
        let body = br#"{"data":{"b\"":"one\n\u00fc","a":{"x":[1, 2]}}}"#;
        let whole = Document::of_plain(body).unwrap().whole().unwrap();
        assert_eq!(whole.form(), Form::Json);
        assert_eq!(
            std::str::from_utf8(whole.expose()).unwrap(),
            r#"{"a":{"x":[1, 2]},"b\"":"one\nü"}"#
        );
        let binary = [("a".to_owned(), SecretValue::new(vec![0xff]))].into();
        assert!(Document::new(None, binary).whole().is_none());
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
    fn a_decrypted_text_is_bytes_and_what_is_lent_names_its_lease() {
        let value = Document::plaintext(br#"{"lease_id":"","data":{"plaintext":"AP9h"}}"#);
        assert_eq!(value.unwrap().expose(), [0, 0xff, b'a']);
        assert!(Document::plaintext(br#"{"data":{"plaintext":"not base64"}}"#).is_none());
        assert!(Document::plaintext(br#"{"data":{}}"#).is_none());
        let lent = br#"{"lease_id":"database/creds/x/1","data":{"username":"u"}}"#;
        assert_eq!(lease_of(lent).as_deref(), Some("database/creds/x/1"));
        assert_eq!(lease_of(br#"{"lease_id":"","data":{}}"#), None);
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
