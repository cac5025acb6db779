//! Placeholders of a manifest: found, and replaced on the way out. The values are only ever in the body that is sent, which is
//! cleared afterwards; no `Value` holds one.

use std::collections::BTreeSet;
use std::io::Write;

use api::placeholder::{self, Placeholder, Scope, ScopeError, SecretReference};
use api::vault_secret::VaultSecret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::cleared::Count;
use super::filled::{self, Data, FilledError};
use super::modifier::{self, ModifierError};
use super::value::{Resolved, SecretText};
use crate::cluster::Content;

/// Names what is wrong with a placeholder; never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error(transparent)]
    Scope(#[from] ScopeError),
    #[error(transparent)]
    Placeholder(#[from] placeholder::PlaceholderError),
    #[error("{0} was not resolved")]
    Unresolved(SecretReference),
    #[error("{0} has no value, and only a field of an object can be left out for that")]
    NotRemovable(SecretReference),
    #[error("{reference}: {error}")]
    Modifier {
        reference: SecretReference,
        error: ModifierError,
    },
    #[error(
        "{0} is an object or a list, which must be all of its field: take away the text around its placeholder, or add a modifier"
    )]
    Composed(SecretReference),
    #[error(transparent)]
    Filled(#[from] FilledError),
    #[error("the object can't be written as JSON")]
    Json,
}

/// Every reference of the object and of what its data is filled from, malformed ones as the error they are.
pub(crate) fn references(
    object: &Value,
    filled: Option<&VaultSecret>,
    into: &mut BTreeSet<SecretReference>,
) -> Result<(), BodyError> {
    if let Some(source) = filled {
        let paths = source.paths.iter();
        into.extend(paths.flat_map(|path| source.references(path)));
    }
    let scope = Scope::of(object)?;
    let mut failed = None;
    visit(object, &scope, &mut |text| match scope.find(text) {
        Ok(found) => into.extend(found.into_iter().map(|placeholder| placeholder.reference)),
        Err(error) => failed = Some(error),
    });
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// The object as JSON with its placeholders replaced and its data filled in.
pub(crate) fn render(
    object: &Value,
    filled: Option<&VaultSecret>,
    resolved: &Resolved,
) -> Result<Content, BodyError> {
    let writer = Writer {
        scope: Scope::of(object)?,
        resolved,
        filled: filled
            .map(|source| filled::data(source, resolved))
            .transpose()?,
    };
    // Counted first, so that the buffer never moves and leaves a copy behind.
    let mut size = Count(0);
    writer.object(object, &mut size)?;
    let mut body = Zeroizing::new(Vec::with_capacity(size.0));
    writer.object(object, &mut *body)?;
    Ok(body)
}

/// The values of a Secret's `data` are base64: what they hold decoded counts, too. Names of fields are no texts.
fn visit(object: &Value, scope: &Scope, seen: &mut impl FnMut(&str)) {
    fn inner(value: &Value, seen: &mut impl FnMut(&str)) {
        match value {
            Value::String(text) => seen(text),
            Value::Array(items) => items.iter().for_each(|item| inner(item, seen)),
            Value::Object(fields) => fields.values().for_each(|field| inner(field, seen)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    inner(object, seen);
    if is_secret(object) {
        let data = object["data"].as_object().into_iter();
        for text in data
            .flat_map(|data| data.values())
            .filter_map(Value::as_str)
        {
            if let Some(decoded) = decoded_placeholder(text, scope) {
                seen(&decoded);
            }
        }
    }
}

pub(super) fn is_secret(object: &Value) -> bool {
    object["kind"] == "Secret" && object["apiVersion"] == "v1"
}

fn is_config_map(object: &Value) -> bool {
    object["kind"] == "ConfigMap" && object["apiVersion"] == "v1"
}

/// The text behind base64, if it holds a placeholder.
pub(super) fn decoded_placeholder(text: &str, scope: &Scope) -> Option<String> {
    if scope.may_hold(text) {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()?;
    scope.may_hold(&decoded).then_some(decoded)
}

/// A Secret's `stringData`, which the API server keeps as `data`. Sent as such, so that the fields that we own are those
/// that are live: else an edit by hand or a removed key would go unnoticed. What isn't text is left for the server to refuse.
fn string_data(fields: &Map<String, Value>) -> Option<&Map<String, Value>> {
    let strings = fields.get("stringData")?.as_object()?;
    strings.values().all(Value::is_string).then_some(strings)
}

/// Writes one object.
struct Writer<'a> {
    scope: Scope,
    resolved: &'a Resolved,
    /// The data of a Secret that has none of its own.
    filled: Option<Data>,
}

impl Writer<'_> {
    fn object(&self, object: &Value, out: &mut impl Write) -> Result<(), BodyError> {
        let Value::Object(fields) = object else {
            return self.value(object, out);
        };
        let secret = is_secret(object);
        let texts = secret || is_config_map(object);
        let strings = if secret { string_data(fields) } else { None };
        let mut first = true;
        put(out, b"{")?;
        for (key, field) in fields {
            if strings.is_some() && matches!(key.as_str(), "data" | "stringData") {
                continue;
            }
            match field {
                Value::Object(data) if secret && key == "data" => {
                    name(key, &mut first, out)?;
                    self.data(data, out)?;
                }
                Value::Object(data) if texts && matches!(key.as_str(), "data" | "stringData") => {
                    name(key, &mut first, out)?;
                    self.texts(data, out)?;
                }
                other => self.field(key, other, &mut first, out)?,
            }
        }
        if let Some(data) = &self.filled {
            name("data", &mut first, out)?;
            put(out, b"{")?;
            let mut first = true;
            for (key, encoded) in data {
                name(key, &mut first, out)?;
                json(out, encoded)?;
            }
            put(out, b"}")?;
        }
        if let Some(strings) = strings {
            name("data", &mut first, out)?;
            put(out, b"{")?;
            let mut first = true;
            let data = fields.get("data").and_then(Value::as_object);
            for (key, field) in data.into_iter().flatten() {
                if !strings.contains_key(key) {
                    self.datum(key, field, &mut first, out)?;
                }
            }
            for (key, text) in strings {
                let text = text.as_str().unwrap_or_default();
                if let Some(plain) = self.text(text)? {
                    name(key, &mut first, out)?;
                    let plain = plain.characters();
                    json(out, &Zeroizing::new(STANDARD.encode(plain.as_bytes())))?;
                }
            }
            put(out, b"}")?;
        }
        put(out, b"}")
    }

    /// A Secret's `data`.
    fn data(&self, data: &Map<String, Value>, out: &mut impl Write) -> Result<(), BodyError> {
        let mut first = true;
        put(out, b"{")?;
        for (key, field) in data {
            self.datum(key, field, &mut first, out)?;
        }
        put(out, b"}")
    }

    fn datum(
        &self,
        key: &str,
        field: &Value,
        first: &mut bool,
        out: &mut impl Write,
    ) -> Result<(), BodyError> {
        let decoded = field
            .as_str()
            .and_then(|text| decoded_placeholder(text, &self.scope));
        let Some(decoded) = decoded else {
            return self.datum_text(key, field, first, out);
        };
        if let Some(plain) = self.text(&decoded)? {
            name(key, first, out)?;
            let plain = plain.characters();
            json(out, &Zeroizing::new(STANDARD.encode(plain.as_bytes())))?;
        }
        Ok(())
    }

    /// Fields of which each is a text to the API server, whatever type a value has.
    fn texts(&self, data: &Map<String, Value>, out: &mut impl Write) -> Result<(), BodyError> {
        let mut first = true;
        put(out, b"{")?;
        for (key, field) in data {
            self.datum_text(key, field, &mut first, out)?;
        }
        put(out, b"}")
    }

    fn datum_text(
        &self,
        key: &str,
        field: &Value,
        first: &mut bool,
        out: &mut impl Write,
    ) -> Result<(), BodyError> {
        let Value::String(text) = field else {
            return self.field(key, field, first, out);
        };
        if let Some(value) = self.text(text)? {
            name(key, first, out)?;
            json(out, value.characters())?;
        }
        Ok(())
    }

    /// A named field, unless it is left out.
    fn field(
        &self,
        key: &str,
        field: &Value,
        first: &mut bool,
        out: &mut impl Write,
    ) -> Result<(), BodyError> {
        let Value::String(text) = field else {
            name(key, first, out)?;
            return self.value(field, out);
        };
        match self.text(text)? {
            None => Ok(()),
            Some(value) => {
                name(key, first, out)?;
                written(&value, out)
            }
        }
    }

    fn value(&self, value: &Value, out: &mut impl Write) -> Result<(), BodyError> {
        match value {
            Value::String(text) => match self.text(text)? {
                Some(value) => written(&value, out),
                None => Err(self.not_removable(text)),
            },
            Value::Array(items) => {
                put(out, b"[")?;
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        put(out, b",")?;
                    }
                    self.value(item, out)?;
                }
                put(out, b"]")
            }
            Value::Object(fields) => {
                let mut first = true;
                put(out, b"{")?;
                for (key, field) in fields {
                    self.field(key, field, &mut first, out)?;
                }
                put(out, b"}")
            }
            plain => serde_json::to_writer(out, plain).map_err(|_| BodyError::Json),
        }
    }

    /// The text with its placeholders replaced; none when a value that may be missing is.
    fn text(&self, text: &str) -> Result<Option<SecretText>, BodyError> {
        if !self.scope.may_hold(text) {
            return Ok(Some(SecretText::text(text)));
        }
        let found = self.scope.find(text)?;
        let Some(values) = found
            .iter()
            .map(|placeholder| self.placeholder(placeholder))
            .collect::<Result<Option<Vec<_>>, _>>()?
        else {
            return Ok(None);
        };
        if let ([placeholder], [value]) = (&found[..], &values[..])
            && placeholder.range == (0..text.len())
        {
            return Ok(Some(value.clone()));
        }
        let size = text.len()
            + values
                .iter()
                .map(|value| value.characters().len())
                .sum::<usize>();
        let mut whole = Zeroizing::new(String::with_capacity(size));
        let mut from = 0;
        for (placeholder, value) in found.iter().zip(&values) {
            if value.is_composed() {
                return Err(BodyError::Composed(placeholder.reference.clone()));
            }
            whole.push_str(&text[from..placeholder.range.start]);
            whole.push_str(value.characters());
            from = placeholder.range.end;
        }
        whole.push_str(&text[from..]);
        Ok(Some(SecretText::Text(whole)))
    }

    fn placeholder(&self, placeholder: &Placeholder) -> Result<Option<SecretText>, BodyError> {
        let reference = &placeholder.reference;
        let value = self
            .resolved
            .get(reference)
            .ok_or_else(|| BodyError::Unresolved(reference.clone()))?;
        let Some(value) = value else {
            return Ok(None);
        };
        placeholder
            .modifiers
            .iter()
            .try_fold(value.clone(), |value, it| modifier::apply(it, &value))
            .map(Some)
            .map_err(|error| BodyError::Modifier {
                reference: reference.clone(),
                error,
            })
    }

    fn not_removable(&self, text: &str) -> BodyError {
        let missing = self.scope.find(text).ok().and_then(|found| {
            found
                .into_iter()
                .map(|placeholder| placeholder.reference)
                .find(|reference| matches!(self.resolved.get(reference), Some(None)))
        });
        missing.map_or(BodyError::Json, BodyError::NotRemovable)
    }
}

fn name(key: &str, first: &mut bool, out: &mut impl Write) -> Result<(), BodyError> {
    if !std::mem::take(first) {
        put(out, b",")?;
    }
    json(out, key)?;
    put(out, b":")
}

fn written(value: &SecretText, out: &mut impl Write) -> Result<(), BodyError> {
    match value {
        SecretText::Text(text) => json(out, text),
        SecretText::Json(raw) => put(out, raw.as_bytes()),
    }
}

fn put(out: &mut impl Write, bytes: &[u8]) -> Result<(), BodyError> {
    out.write_all(bytes).map_err(|_| BodyError::Json)
}

fn json(out: &mut impl Write, text: &str) -> Result<(), BodyError> {
    serde_json::to_writer(out, text).map_err(|_| BodyError::Json)
}

#[cfg(test)]
mod tests;
