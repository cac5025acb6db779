//! All values at one path, in memory that is cleared.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bus::seal::SecretValue;
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
            let bytes = if value.get().starts_with('"') {
                unescape(value.get())?
            } else {
                Zeroizing::new(value.get().as_bytes().to_vec())
            };
            Some((key.into_owned(), SecretValue::new(bytes)))
        })
        .collect()
}

/// The characters of a JSON string, which is valid up to its surrogates. serde would do it in a buffer that it leaves behind.
fn unescape(string: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut rest = string.strip_prefix('"')?.strip_suffix('"')?;
    // No escape is shorter than what it stands for: this never grows.
    let mut text = Zeroizing::new(Vec::with_capacity(rest.len()));
    while let Some(at) = rest.find('\\') {
        text.extend_from_slice(&rest.as_bytes()[..at]);
        let kind = *rest.as_bytes().get(at + 1)?;
        rest = rest.get(at + 2..)?;
        let symbol = match kind {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => code_point(&mut rest)?,
            other => char::from(other),
        };
        text.extend_from_slice(symbol.encode_utf8(&mut [0; 4]).as_bytes());
    }
    text.extend_from_slice(rest.as_bytes());
    Some(text)
}

/// What follows `\u`, with the second half of a pair of surrogates.
fn code_point(rest: &mut &str) -> Option<char> {
    let first = unit(rest)?;
    if !(0xd800..0xe000).contains(&first) {
        return char::from_u32(first.into());
    }
    *rest = rest.strip_prefix("\\u")?;
    char::decode_utf16([first, unit(rest)?]).next()?.ok()
}

fn unit(rest: &mut &str) -> Option<u16> {
    let (digits, after) = rest.split_at_checked(4)?;
    *rest = after;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_stand_for_what_json_says() {
        for text in [
            r#""""#,
            r#""a\"b\\c\/d\b\f\n\r\t""#,
            r#""\u00fc\u2028\ud83d\ude00x""#,
            r#""\u0000""#,
        ] {
            let expected: String = serde_json::from_str(text).unwrap();
            assert_eq!(*unescape(text).unwrap(), expected.as_bytes(), "{text}");
        }
        for text in [
            r#""\ud83d""#,
            r#""\ud83dx""#,
            r#""\ud83d\u0041""#,
            r#""\ude00""#,
        ] {
            assert!(unescape(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_its_json(text in ".*") {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(&*unescape(&json).unwrap(), text.as_bytes());
        }

        #[test]
        fn what_serde_reads_is_read_alike(inside in r#"([a-zü"\\/bu0-9d]|\\u[0-9a-f]{4}|\\.){0,12}"#) {
            let json = format!("\"{inside}\"");
            if serde_json::from_str::<&RawValue>(&json).is_ok() {
                let expected = serde_json::from_str::<String>(&json).ok();
                prop_assert_eq!(unescape(&json).map(|text| text.to_vec()), expected.map(String::into_bytes));
            }
        }
    }

    #[test]
    fn a_versioned_answer_gives_values_and_version() {
        let body = br#"{"request_id":"x","data":{"data":{"a":"one\n\u00fc","n":7,"o":{"x":[1, 2]},"z":null,"e":""},
            "metadata":{"version":3,"destroyed":false}},"warnings":null}"#;
        let document = Document::of_versioned(body).unwrap();
        assert_eq!(document.version, Some(3));
        assert_eq!(document.get("a").unwrap().expose(), "one\nü".as_bytes());
        assert_eq!(document.get("n").unwrap().expose(), b"7");
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
