//! A record as the content of its `ConfigMap`: text that people can read, packed once it is long.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{Record, codec};

/// The key of the record, in `data` or `binaryData`.
const RECORD: &str = "record";
/// Text up to this size stays readable, in bytes. A ConfigMap holds 1 MiB, and other things stand beside the record.
const READABLE: usize = 192 * 1024;

/// Puts the record into `data` or `binary`, and null where it may have been before.
pub(super) fn write(
    record: &Record,
    data: &mut Map<String, Value>,
    binary: &mut Map<String, Value>,
) -> std::io::Result<()> {
    let text = serde_json::to_string(record)?;
    let (readable, packed) = if text.len() <= READABLE {
        (text.into(), Value::Null)
    } else {
        (Value::Null, encode(&codec::pack(text.as_bytes())?))
    };
    data.insert(RECORD.to_owned(), readable);
    binary.insert(RECORD.to_owned(), packed);
    Ok(())
}

/// The record that a `ConfigMap` holds.
pub(crate) fn read(object: &Value) -> Option<Record> {
    if let Some(text) = object["data"][RECORD].as_str() {
        return serde_json::from_str(text).ok();
    }
    let packed = decode(&object["binaryData"][RECORD])?;
    serde_json::from_slice(&codec::unpack(&packed).ok()?).ok()
}

/// What is created holds no null: only a patch removes.
pub(super) fn without_nulls(body: &mut Value) {
    for part in ["data", "binaryData"] {
        if let Some(entries) = body[part].as_object_mut() {
            entries.retain(|_, value| !value.is_null());
        }
    }
}

pub(super) fn encode(bytes: &[u8]) -> Value {
    STANDARD.encode(bytes).into()
}

fn decode(value: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(value.as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use bus::AppId;
    use serde_json::json;

    use super::*;

    fn content(record: &Record) -> Value {
        let (mut data, mut binary) = (Map::new(), Map::new());
        write(record, &mut data, &mut binary).unwrap();
        json!({"data": data, "binaryData": binary})
    }

    fn record(message_size: usize) -> Record {
        let mut record = Record::new(AppId::new("argocd", "shop").unwrap(), "u".to_owned());
        record.remember_command(&"c".repeat(message_size));
        record
    }

    #[test]
    fn a_short_record_is_text_that_people_can_read() {
        let record = record(10);
        let mut body = content(&record);

        assert!(body["binaryData"][RECORD].is_null());
        assert_eq!(read(&body).unwrap(), record);
        without_nulls(&mut body);
        assert_eq!(body["binaryData"], json!({}));
    }

    #[test]
    fn a_record_larger_than_a_config_map_fits_into_one() {
        let record = record(2_000_000);
        let body = content(&record);

        assert!(body["data"][RECORD].is_null());
        assert!(body.to_string().len() < 1_000_000);
        assert_eq!(read(&body).unwrap(), record);
    }
}
