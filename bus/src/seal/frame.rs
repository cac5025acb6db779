//! Values as bytes: what a value is in memory, and how many of them are one plaintext.

use std::fmt;

use zeroize::Zeroizing;

use super::SealError;

/// The largest plaintext: in base64, and with the rest of the answer, it stays below the broker's limit of a message.
pub(super) const MAX_PLAINTEXT: usize = 704 * 1024;
/// Plaintexts are filled up to a multiple of this, so that their size tells little of a short value.
const BLOCK: usize = 256;
/// The first byte: which framing follows.
const VERSION: u8 = 2;

/// A secret value. Cleared when dropped; `Debug` prints `<redacted>`, and there is no `Display`, `Clone` or `Serialize`.
#[derive(PartialEq, Eq)]
pub struct SecretValue {
    bytes: Zeroizing<Vec<u8>>,
    form: Form,
}

/// What the bytes of a value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The characters of a text.
    Text,
    /// JSON of a number, boolean, object or list, as its store wrote it.
    Json,
}

impl SecretValue {
    pub fn new(bytes: impl Into<Zeroizing<Vec<u8>>>) -> Self {
        Self {
            bytes: bytes.into(),
            form: Form::Text,
        }
    }

    pub fn json(bytes: impl Into<Zeroizing<Vec<u8>>>) -> Self {
        Self {
            bytes: bytes.into(),
            form: Form::Json,
        }
    }

    pub const fn form(&self) -> Form {
        self.form
    }

    /// The value itself. Each call is a place to look at when asking where a secret can go.
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// Of a reference without a value.
const ABSENT: u8 = 0;
const TEXT: u8 = 1;
const JSON: u8 = 2;

/// One byte of version, the count, then each value as a byte of form and its length before it (all u32, big endian), then zeros.
pub(super) fn write(values: &[Option<&SecretValue>]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let used = values.iter().fold(5_usize, |sum, value| {
        let size = value.map_or(0, |value| value.bytes.len());
        sum.saturating_add(5).saturating_add(size)
    });
    let size = used.next_multiple_of(BLOCK);
    let too_large = || SealError::TooLarge {
        size: used,
        limit: MAX_PLAINTEXT,
    };
    if size > MAX_PLAINTEXT {
        return Err(too_large());
    }
    // Allocated once: a vector that grows leaves copies of what it held behind.
    let mut frame = Zeroizing::new(Vec::with_capacity(size));
    let length = |length: usize| {
        u32::try_from(length)
            .map(u32::to_be_bytes)
            .map_err(|_| too_large())
    };
    frame.push(VERSION);
    frame.extend_from_slice(&length(values.len())?);
    for value in values {
        let (form, bytes) = match value {
            None => (ABSENT, &[][..]),
            Some(value) => match value.form {
                Form::Text => (TEXT, &value.bytes[..]),
                Form::Json => (JSON, &value.bytes[..]),
            },
        };
        frame.push(form);
        frame.extend_from_slice(&length(bytes.len())?);
        frame.extend_from_slice(bytes);
    }
    frame.resize(size, 0);
    Ok(frame)
}

/// The `count` values of a plaintext; none when it isn't exactly that.
pub(super) fn read(frame: &[u8], count: usize) -> Option<Vec<Option<SecretValue>>> {
    let mut rest = frame.strip_prefix(&[VERSION])?;
    if length(&mut rest)? != count {
        return None;
    }
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let (form, after) = rest.split_first()?;
        rest = after;
        let size = length(&mut rest)?;
        let (bytes, after) = rest.split_at_checked(size)?;
        rest = after;
        values.push(match *form {
            ABSENT if bytes.is_empty() => None,
            TEXT => Some(SecretValue::new(bytes.to_vec())),
            JSON => Some(SecretValue::json(bytes.to_vec())),
            _ => return None,
        });
    }
    rest.iter().all(|byte| *byte == 0).then_some(values)
}

fn length(rest: &mut &[u8]) -> Option<usize> {
    let (bytes, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    usize::try_from(u32::from_be_bytes(*bytes)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_values_are_all_of_one_size() {
        let size = |text: &str| {
            write(&[Some(&SecretValue::new(text.as_bytes().to_vec()))])
                .unwrap()
                .len()
        };
        assert_eq!(size(""), size("a password of some length"));
    }

    #[test]
    fn what_is_not_exactly_a_frame_is_refused() {
        let value = SecretValue::new(b"one".to_vec());
        let frame = write(&[Some(&value), Some(&value)]).unwrap();
        assert_eq!(read(&frame, 2).unwrap().len(), 2);
        assert!(read(&frame, 1).is_none());
        assert!(read(&frame, 3).is_none());
        assert!(read(&frame[..10], 2).is_none());
        assert!(read(&[], 0).is_none());
        let mut trailing = frame.to_vec();
        trailing.push(1);
        assert!(read(&trailing, 2).is_none());
        let mut other = frame.to_vec();
        other[0] = 1;
        assert!(read(&other, 2).is_none());
    }

    #[test]
    fn what_is_over_the_limit_is_refused_and_not_cut() {
        let value = SecretValue::new(vec![7; MAX_PLAINTEXT]);
        assert!(matches!(
            write(&[Some(&value)]),
            Err(SealError::TooLarge { .. })
        ));
        assert_eq!(format!("{value:?}"), "<redacted>");
    }

    proptest! {
        #[test]
        fn any_values_come_back(values in prop::collection::vec((0_u8..3, prop::collection::vec(any::<u8>(), 0..300)), 0..20)) {
            let values: Vec<Option<SecretValue>> = values
                .into_iter()
                .map(|(form, bytes)| match form {
                    ABSENT => None,
                    TEXT => Some(SecretValue::new(bytes)),
                    _ => Some(SecretValue::json(bytes)),
                })
                .collect();
            let frame = write(&values.iter().map(Option::as_ref).collect::<Vec<_>>()).unwrap();
            prop_assert_eq!(read(&frame, values.len()).unwrap(), values);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(frame in prop::collection::vec(any::<u8>(), 0..600), count in 0_usize..5) {
            let _ = read(&frame, count);
        }
    }
}
