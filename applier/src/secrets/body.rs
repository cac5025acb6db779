//! Placeholders of a manifest: found, and replaced on the way out. The values are only ever in the body that is sent, which is
//! cleared afterwards; no `Value` holds one.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};

use api::placeholder::{self, Modifier, Placeholder, SecretReference};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::cluster::Content;

const OPEN: &str = "<path:";

/// Values by reference.
pub(crate) type Resolved = HashMap<SecretReference, Zeroizing<String>>;

/// Names what is wrong with a placeholder; never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("{0}")]
    Placeholder(#[from] placeholder::PlaceholderError),
    #[error("{0} was not resolved")]
    Unresolved(SecretReference),
    #[error("{reference}: the modifier {modifier} isn't supported yet")]
    Modifier {
        reference: SecretReference,
        modifier: &'static str,
    },
    #[error("{0}: the value is not base64 text, as its modifier base64decode wants")]
    NotBase64(SecretReference),
    #[error("the object can't be written as JSON")]
    Json,
}

pub(crate) fn has_references(object: &Value) -> bool {
    let mut any = false;
    visit(object, &mut |text| any |= text.contains(OPEN));
    any
}

/// Every reference of the object, malformed ones as the error they are.
pub(crate) fn references(
    object: &Value,
    into: &mut BTreeSet<SecretReference>,
) -> Result<(), BodyError> {
    let mut failed = None;
    visit(object, &mut |text| match placeholder::find(text) {
        Ok(found) => into.extend(found.into_iter().map(|placeholder| placeholder.reference)),
        Err(error) => failed = Some(error),
    });
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// The object as JSON with its placeholders replaced.
pub(crate) fn render(object: &Value, resolved: &Resolved) -> Result<Content, BodyError> {
    // Counted first, so that the buffer never moves and leaves a copy behind.
    let mut size = Count(0);
    write_object(object, resolved, &mut size)?;
    let mut body = Zeroizing::new(Vec::with_capacity(size.0));
    write_object(object, resolved, &mut *body)?;
    Ok(body)
}

struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The values of a Secret's `data` are base64: what they hold decoded counts, too.
fn visit(object: &Value, seen: &mut impl FnMut(&str)) {
    fn inner(value: &Value, seen: &mut impl FnMut(&str)) {
        match value {
            Value::String(text) => seen(text),
            Value::Array(items) => items.iter().for_each(|item| inner(item, seen)),
            Value::Object(fields) => fields.iter().for_each(|(key, field)| {
                seen(key);
                inner(field, seen);
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    inner(object, seen);
    if is_secret(object) {
        for text in object["data"]
            .as_object()
            .into_iter()
            .flat_map(|data| data.values())
            .filter_map(Value::as_str)
        {
            if let Some(decoded) = decoded_placeholder(text) {
                seen(&decoded);
            }
        }
    }
}

fn is_secret(object: &Value) -> bool {
    object["kind"] == "Secret" && object["apiVersion"] == "v1"
}

/// The text behind base64, if it holds a placeholder.
fn decoded_placeholder(text: &str) -> Option<String> {
    if text.contains(OPEN) {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()?;
    decoded.contains(OPEN).then_some(decoded)
}

fn write_object(
    object: &Value,
    resolved: &Resolved,
    out: &mut impl Write,
) -> Result<(), BodyError> {
    let Value::Object(fields) = object else {
        return write_value(object, resolved, out);
    };
    let secret = is_secret(object);
    let strings = if secret { string_data(fields) } else { None };
    let mut first = true;
    put(out, b"{")?;
    for (key, field) in fields {
        if strings.is_some() && matches!(key.as_str(), "data" | "stringData") {
            continue;
        }
        separate(out, &mut first)?;
        json(out, key)?;
        put(out, b":")?;
        match field {
            Value::Object(data) if secret && key == "data" => write_data(data, resolved, out)?,
            other => write_value(other, resolved, out)?,
        }
    }
    if let Some(strings) = strings {
        separate(out, &mut first)?;
        put(out, b"\"data\":{")?;
        let mut first = true;
        let data = fields.get("data").and_then(Value::as_object);
        for (key, field) in data.into_iter().flatten() {
            if !strings.contains_key(key) {
                separate(out, &mut first)?;
                write_datum(key, field, resolved, out)?;
            }
        }
        for (key, text) in strings {
            separate(out, &mut first)?;
            write_text(key, resolved, out)?;
            put(out, b":")?;
            let plain = substitute(text.as_str().unwrap_or_default(), resolved)?;
            json(out, &Zeroizing::new(STANDARD.encode(plain.as_bytes())))?;
        }
        put(out, b"}")?;
    }
    put(out, b"}")
}

/// A Secret's `stringData`, which the API server keeps as `data`. Sent as such, so that the fields that we own are those
/// that are live: else an edit by hand or a removed key would go unnoticed. What isn't text is left for the server to refuse.
fn string_data(fields: &serde_json::Map<String, Value>) -> Option<&serde_json::Map<String, Value>> {
    let strings = fields.get("stringData")?.as_object()?;
    strings.values().all(Value::is_string).then_some(strings)
}

fn separate(out: &mut impl Write, first: &mut bool) -> Result<(), BodyError> {
    if std::mem::take(first) {
        Ok(())
    } else {
        put(out, b",")
    }
}

fn write_data(
    data: &serde_json::Map<String, Value>,
    resolved: &Resolved,
    out: &mut impl Write,
) -> Result<(), BodyError> {
    let mut first = true;
    put(out, b"{")?;
    for (key, field) in data {
        separate(out, &mut first)?;
        write_datum(key, field, resolved, out)?;
    }
    put(out, b"}")
}

fn write_datum(
    key: &str,
    field: &Value,
    resolved: &Resolved,
    out: &mut impl Write,
) -> Result<(), BodyError> {
    write_text(key, resolved, out)?;
    put(out, b":")?;
    match field.as_str().and_then(decoded_placeholder) {
        Some(decoded) => {
            let plain = substitute(&decoded, resolved)?;
            let encoded = Zeroizing::new(STANDARD.encode(plain.as_bytes()));
            json(out, &encoded)
        }
        None => write_value(field, resolved, out),
    }
}

fn write_value(value: &Value, resolved: &Resolved, out: &mut impl Write) -> Result<(), BodyError> {
    match value {
        Value::String(text) => write_text(text, resolved, out),
        Value::Array(items) => {
            put(out, b"[")?;
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    put(out, b",")?;
                }
                write_value(item, resolved, out)?;
            }
            put(out, b"]")
        }
        Value::Object(fields) => {
            put(out, b"{")?;
            for (at, (key, field)) in fields.iter().enumerate() {
                if at > 0 {
                    put(out, b",")?;
                }
                write_text(key, resolved, out)?;
                put(out, b":")?;
                write_value(field, resolved, out)?;
            }
            put(out, b"}")
        }
        plain => serde_json::to_writer(out, plain).map_err(|_| BodyError::Json),
    }
}

fn write_text(text: &str, resolved: &Resolved, out: &mut impl Write) -> Result<(), BodyError> {
    if text.contains(OPEN) {
        json(out, &substitute(text, resolved)?)
    } else {
        json(out, text)
    }
}

fn substitute(text: &str, resolved: &Resolved) -> Result<Zeroizing<String>, BodyError> {
    let found = placeholder::find(text)?;
    let values = found
        .iter()
        .map(|placeholder| value(placeholder, resolved))
        .collect::<Result<Vec<_>, _>>()?;
    let size = text.len() + values.iter().map(|value| value.len()).sum::<usize>();
    let mut whole = Zeroizing::new(String::with_capacity(size));
    let mut from = 0;
    for (placeholder, value) in found.iter().zip(&values) {
        whole.push_str(&text[from..placeholder.range.start]);
        whole.push_str(value);
        from = placeholder.range.end;
    }
    whole.push_str(&text[from..]);
    Ok(whole)
}

fn value(placeholder: &Placeholder, resolved: &Resolved) -> Result<Zeroizing<String>, BodyError> {
    let reference = &placeholder.reference;
    let mut value = resolved
        .get(reference)
        .cloned()
        .ok_or_else(|| BodyError::Unresolved(reference.clone()))?;
    for modifier in &placeholder.modifiers {
        value = match modifier {
            Modifier::Base64Encode => Zeroizing::new(STANDARD.encode(value.as_bytes())),
            Modifier::Base64Decode => {
                let bytes = STANDARD.decode(value.trim()).map(Zeroizing::new);
                let text = bytes
                    .ok()
                    .and_then(|bytes| std::str::from_utf8(&bytes).ok().map(str::to_owned));
                Zeroizing::new(text.ok_or_else(|| BodyError::NotBase64(reference.clone()))?)
            }
            Modifier::Sha256Sum => Zeroizing::new(hex::encode(Sha256::digest(value.as_bytes()))),
            Modifier::Indent(width) => {
                Zeroizing::new(indented(&value, usize::from(*width)).into_owned())
            }
            Modifier::JsonParse => return Err(unsupported(reference, "jsonParse")),
            Modifier::JsonPath(_) => return Err(unsupported(reference, "jsonPath")),
            Modifier::YamlParse => return Err(unsupported(reference, "yamlParse")),
        };
    }
    Ok(value)
}

fn unsupported(reference: &SecretReference, modifier: &'static str) -> BodyError {
    BodyError::Modifier {
        reference: reference.clone(),
        modifier,
    }
}

/// Every line but the first is moved in.
fn indented(text: &str, width: usize) -> Cow<'_, str> {
    if text.contains('\n') {
        Cow::Owned(text.replace('\n', &format!("\n{}", " ".repeat(width))))
    } else {
        Cow::Borrowed(text)
    }
}

fn put(out: &mut impl Write, bytes: &[u8]) -> Result<(), BodyError> {
    out.write_all(bytes).map_err(|_| BodyError::Json)
}

fn json(out: &mut impl Write, text: &str) -> Result<(), BodyError> {
    serde_json::to_writer(out, text).map_err(|_| BodyError::Json)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolved(pairs: &[(&str, &str, &str)]) -> Resolved {
        pairs
            .iter()
            .map(|(path, key, value)| {
                let reference = SecretReference {
                    path: (*path).to_owned(),
                    key: (*key).to_owned(),
                    version: None,
                };
                (reference, Zeroizing::new((*value).to_owned()))
            })
            .collect()
    }

    fn rendered(object: &Value, values: &Resolved) -> Value {
        serde_json::from_slice(&render(object, values).unwrap()).unwrap()
    }

    #[test]
    fn a_placeholder_becomes_its_value_whatever_characters_it_holds() {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"url": "u=<path:kv/data/a#p>;"}, "n": [1, null, true]});
        let out = rendered(&object, &resolved(&[("kv/data/a", "p", "q\"\n\\é")]));
        assert_eq!(out["data"]["url"], "u=q\"\n\\é;");
        assert_eq!(out["n"], json!([1, null, true]));
    }

    #[test]
    fn the_base64_of_a_secrets_data_is_looked_into() {
        let object = json!({"apiVersion": "v1", "kind": "Secret", "data": {
            "a": STANDARD.encode("x <path:kv/data/a#p>"),
            "b": "<path:kv/data/a#p | base64encode>",
            "c": STANDARD.encode("plain"),
        }});
        assert!(has_references(&object));
        let mut found = BTreeSet::new();
        references(&object, &mut found).unwrap();
        assert_eq!(found.len(), 1);
        let out = rendered(&object, &resolved(&[("kv/data/a", "p", "hunter2")]));
        assert_eq!(out["data"]["a"], STANDARD.encode("x hunter2"));
        assert_eq!(out["data"]["b"], STANDARD.encode("hunter2"));
        assert_eq!(out["data"]["c"], STANDARD.encode("plain"));
    }

    #[test]
    fn string_data_is_sent_as_the_data_that_the_server_keeps() {
        let object = json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": STANDARD.encode("old"), "b": STANDARD.encode("b")},
            "stringData": {"a": "<path:kv/data/a#p>", "c": "plain"}, "type": "Opaque"});
        let out = rendered(&object, &resolved(&[("kv/data/a", "p", "hunter2")]));
        assert_eq!(
            out,
            json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {
                "a": STANDARD.encode("hunter2"), "b": STANDARD.encode("b"), "c": STANDARD.encode("plain"),
            }})
        );
    }

    #[test]
    fn what_is_not_resolved_is_an_error_and_never_applied_as_text() {
        let object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "<path:kv/data/a#p>"}});
        assert!(matches!(
            render(&object, &Resolved::new()),
            Err(BodyError::Unresolved(_))
        ));
        let broken = json!({"data": {"a": "<path:kv/data/a"}});
        assert!(references(&broken, &mut BTreeSet::new()).is_err());
    }

    #[test]
    fn the_buffer_is_as_large_as_its_content() {
        let object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "<path:kv/data/a#p>"}});
        let body = render(
            &object,
            &resolved(&[("kv/data/a", "p", &"x".repeat(5_000))]),
        )
        .unwrap();
        assert_eq!(body.len(), body.capacity());
    }
}
