//! Sorted fields in few bytes: each path as what it adds to the one before, then its mark. A cluster's worth of references stays
//! in memory, and paths of one object mostly begin alike.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::owned::{Field, Mark};

/// Per field: length shared with the path before, length of the rest, the rest, the mark: 0 to 2, or 3 and eight bytes
/// of digest.
/// Lengths are LEB128.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Packed(Box<[u8]>);

impl Packed {
    pub(super) fn of(fields: &[Field]) -> Self {
        let mut bytes = Vec::new();
        let mut before = "";
        for field in fields {
            let shared = shared(before, &field.path);
            let rest = &field.path[shared..];
            put_length(&mut bytes, shared);
            put_length(&mut bytes, rest.len());
            bytes.extend_from_slice(rest.as_bytes());
            match field.mark {
                Mark::Present => bytes.push(0),
                Mark::Empty => bytes.push(1),
                Mark::Shared => bytes.push(2),
                Mark::Value(digest) => {
                    bytes.push(3);
                    bytes.extend_from_slice(&digest);
                }
            }
            before = &field.path;
        }
        Self(bytes.into())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> Fields<'_> {
        Fields {
            rest: &self.0,
            path: String::new(),
        }
    }
}

pub(super) struct Fields<'a> {
    rest: &'a [u8],
    path: String,
}

impl Iterator for Fields<'_> {
    type Item = Field;

    /// Ends early at what is damaged, which [`Packed`]'s reader refuses.
    fn next(&mut self) -> Option<Field> {
        let shared = self.length()?;
        let length = self.length()?;
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        if !self.path.is_char_boundary(shared) {
            return None;
        }
        self.path.truncate(shared);
        self.path.push_str(text);
        let mark = match self.take(1)? {
            [0] => Mark::Present,
            [1] => Mark::Empty,
            [2] => Mark::Shared,
            [3] => Mark::Value(self.take(8)?.try_into().ok()?),
            _ => return None,
        };
        Some(Field {
            path: self.path.clone(),
            mark,
        })
    }
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn length(&mut self) -> Option<usize> {
        let mut length = 0_usize;
        for shift in [0, 7, 14, 21] {
            let [byte] = self.take(1)? else { return None };
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(length);
            }
        }
        None
    }
}

fn put_length(bytes: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        bytes.push(0x80 | (length & 0x7f).to_le_bytes()[0]);
        length >>= 7;
    }
    bytes.push(length.to_le_bytes()[0]);
}

/// How many bytes two paths begin alike with, up to a character's border.
fn shared(one: &str, two: &str) -> usize {
    let mut count = one
        .bytes()
        .zip(two.bytes())
        .take_while(|(one, two)| one == two)
        .count();
    while !two.is_char_boundary(count) {
        count -= 1;
    }
    count
}

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD_NO_PAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let packed = Self(
            STANDARD_NO_PAD
                .decode(text)
                .map_err(D::Error::custom)?
                .into(),
        );
        let fields: Vec<Field> = packed.iter().collect();
        if Self::of(&fields) == packed {
            Ok(packed)
        } else {
            Err(D::Error::custom("a drift reference is damaged"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Vec<Field> {
        let long = format!("spec.{}", "x".repeat(300));
        [
            ("metadata.labels[\"ü\"]", true),
            ("metadata.labels[\"ý\"]", true),
            ("spec", false),
            (long.as_str(), true),
        ]
        .into_iter()
        .map(|(path, valued)| Field {
            path: path.to_owned(),
            mark: if valued {
                Mark::Value(*b"01234567")
            } else {
                Mark::Present
            },
        })
        .collect()
    }

    #[test]
    fn what_is_packed_comes_back_also_through_json() {
        let packed = Packed::of(&fields());
        assert_eq!(packed.iter().collect::<Vec<_>>(), fields());
        let text = serde_json::to_string(&packed).unwrap();
        assert_eq!(serde_json::from_str::<Packed>(&text).unwrap(), packed);
    }

    #[test]
    fn damage_is_refused() {
        for text in ["\"!\"", "\"AAE\"", "\"AQ\"", "\"/////w\"", "7"] {
            assert!(serde_json::from_str::<Packed>(text).is_err(), "{text}");
        }
    }
}
