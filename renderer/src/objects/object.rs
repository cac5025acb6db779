//! One object. Of a large document that was parsed before, its JSON is kept and not its values: a chart's definitions are the
//! same in every render, and parsing and writing them anew would cost more than all the rest of it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bus::Digest;
use serde_json::{Map, Value};

use crate::kept::{self, Kept};

/// What is rendered.
#[derive(Clone, Debug)]
pub struct Object {
    /// All of it; of one whose JSON is kept, what names it.
    value: Value,
    json: Option<Arc<str>>,
}

impl Object {
    pub(crate) fn new(value: Value) -> Self {
        Self { value, json: None }
    }

    /// Its values.
    pub fn value(&self) -> Result<Value, serde_json::Error> {
        match &self.json {
            None => Ok(self.value.clone()),
            Some(json) => serde_json::from_str(json),
        }
    }

    /// What names it: `apiVersion`, `kind` and `metadata` at least.
    pub(crate) fn head(&self) -> &Value {
        &self.value
    }

    pub(super) fn head_mut(&mut self) -> &mut Value {
        &mut self.value
    }
}

/// Objects as one JSON array.
pub fn json(objects: &[Object]) -> Result<String, serde_json::Error> {
    let mut json = Vec::with_capacity(4096);
    json.push(b'[');
    for (number, object) in objects.iter().enumerate() {
        if number > 0 {
            json.push(b',');
        }
        match &object.json {
            Some(kept) => json.extend_from_slice(kept.as_bytes()),
            None => serde_json::to_writer(&mut json, &object.value)?,
        }
    }
    json.push(b']');
    String::from_utf8(json).map_err(serde::ser::Error::custom)
}

/// Large documents of the last renders, by their text.
pub(crate) struct Documents {
    kept: Mutex<Kept<Slot>>,
}

type Slot = Arc<OnceLock<Document>>;

struct Document {
    object: Object,
    /// What it counts as.
    bytes: usize,
}

impl Default for Documents {
    fn default() -> Self {
        Self {
            kept: Mutex::new(Kept::new(Self::BOUNDS)),
        }
    }
}

impl Documents {
    /// Parsing a smaller one costs less than it is worth to remember it.
    const LARGE: usize = 8 << 10;
    const BOUNDS: kept::Bounds = kept::Bounds {
        count: 256,
        bytes: 24 << 20,
    };

    /// The object that a text is, and what it counts as, if that is known; else from `parse`, and known then. What is no object
    /// for certain, or several in a list, is parsed each time.
    pub(super) fn object<E>(
        &self,
        text: &str,
        parse: impl FnOnce() -> Result<Option<(Value, usize)>, E>,
    ) -> Result<Option<(Object, usize)>, E> {
        let known = |(value, bytes)| (Object::new(value), bytes);
        if text.len() < Self::LARGE {
            return Ok(parse()?.map(known));
        }
        let name = Digest::of(text.as_bytes()).to_string();
        let slot = self.lock().get(name.clone());
        if let Some(document) = slot.get() {
            return Ok(Some((document.object.clone(), document.bytes)));
        }
        let Some((value, bytes)) = parse()? else {
            return Ok(None);
        };
        let Some(object) = condensed(&value) else {
            return Ok(Some(known((value, bytes))));
        };
        let size = object.json.as_ref().map_or(0, |json| json.len());
        let document = Document {
            object: object.clone(),
            bytes,
        };
        // Another render may have been as far in the same moment.
        let _ = slot.set(document);
        self.lock().weigh(&name, size as u64);
        Ok(Some((object, bytes)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept<Slot>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The object by its JSON, if it is one.
fn condensed(value: &Value) -> Option<Object> {
    let fields = value.as_object()?;
    if fields.contains_key("items") {
        return None;
    }
    let named = ["apiVersion", "kind", "metadata"].into_iter();
    let head: Map<String, Value> = named
        .filter_map(|field| Some((field.to_owned(), fields.get(field)?.clone())))
        .collect();
    Some(Object {
        value: Value::Object(head),
        json: Some(serde_json::to_string(value).ok()?.into()),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::*;

    fn large() -> Value {
        let many: HashMap<String, String> = (0..1000)
            .map(|number| (format!("k{number:04}"), "value".repeat(4)))
            .collect();
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": many})
    }

    fn object(documents: &Documents, value: &Value, parses: &mut usize) -> Object {
        let text = value.to_string();
        let found = documents.object(&text, || {
            *parses += 1;
            Ok::<_, ()>(Some((value.clone(), 7)))
        });
        let (object, bytes) = found.unwrap().unwrap();
        assert_eq!(bytes, 7);
        object
    }

    #[test]
    fn a_large_document_is_parsed_once_and_written_as_ever() {
        let (documents, mut parses) = (Documents::default(), 0);
        for _ in 0..3 {
            let object = object(&documents, &large(), &mut parses);
            assert_eq!(object.value().unwrap(), large());
            assert_eq!(object.head()["metadata"]["name"], "a");
            let all = json(&[object, Object::new(json!({"kind": "B"}))]).unwrap();
            assert_eq!(all, json!([large(), {"kind": "B"}]).to_string());
        }
        assert_eq!(parses, 1);
    }

    #[test]
    fn a_small_one_and_a_list_are_parsed_each_time() {
        let (documents, mut parses) = (Documents::default(), 0);
        let list = json!({"kind": "List", "items": [large()]});
        for value in [json!({"kind": "A"}), list] {
            for _ in 0..2 {
                assert_eq!(
                    object(&documents, &value, &mut parses).value().unwrap(),
                    value
                );
            }
        }
        assert_eq!(parses, 4);
    }

    #[test]
    fn what_fails_is_not_remembered() {
        let documents = Documents::default();
        let text = large().to_string();
        assert!(documents.object(&text, || Err(())).is_err());
        let found = documents.object(&text, || Ok::<_, ()>(Some((large(), 1))));
        assert!(found.unwrap().is_some());
    }
}
