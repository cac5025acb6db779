//! JSON that may hold a secret's value, between the body that was rendered and the one that is sent: cleared when it is dropped.

use std::io::Write;

use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

use crate::cluster::{ClusterError, Content};

pub(crate) struct Cleared(Value);

impl Cleared {
    pub(crate) fn new(value: Value) -> Self {
        Self(value)
    }

    pub(crate) fn read(body: &Content) -> Result<Self, ClusterError> {
        serde_json::from_slice(body)
            .map(Self)
            .map_err(ClusterError::Unreadable)
    }

    /// Counted first, so that the buffer never moves and leaves a copy behind.
    pub(crate) fn write(&self) -> Result<Content, ClusterError> {
        let mut size = Count(0);
        serde_json::to_writer(&mut size, &self.0).map_err(ClusterError::Unreadable)?;
        let mut body = Zeroizing::new(Vec::with_capacity(size.0));
        serde_json::to_writer(&mut *body, &self.0).map_err(ClusterError::Unreadable)?;
        Ok(body)
    }
}

impl std::ops::Deref for Cleared {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl std::ops::DerefMut for Cleared {
    fn deref_mut(&mut self) -> &mut Value {
        &mut self.0
    }
}

impl Drop for Cleared {
    fn drop(&mut self) {
        clear(&mut self.0);
    }
}

fn clear(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(clear),
        Value::Object(fields) => fields.values_mut().for_each(clear),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// How much would be written.
pub(crate) struct Count(pub(crate) usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_what_was_read() {
        let body = Zeroizing::new(br#"{"data":{"a":"eA==","n":[1,null]}}"#.to_vec());
        let value = Cleared::read(&body).unwrap();
        assert_eq!(value["data"]["a"], "eA==");
        assert_eq!(value.write().unwrap(), body);
    }

    #[test]
    fn no_text_is_left_in_what_is_cleared() {
        let mut value = json!({"a": "secret", "b": [{"c": "secret"}], "d": 1});
        clear(&mut value);
        assert_eq!(value, json!({"a": "", "b": [{"c": ""}], "d": 1}));
    }
}
