//! Secret values of many shapes, and the search for any piece of one in any encoding.
//!
//! A piece is twelve bytes of a value (the whole of a shorter one). Every place of every text is looked at: its next eight bytes are
//! looked up first, so that megabytes take a moment also in a debug build.

use std::fmt::Write as _;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use rand::RngExt as _;
use rand::seq::IndexedRandom as _;

/// Bytes of a value that must not be found together.
const PIECE: usize = 12;
/// What twelve bytes are in base64 wherever they begin: that many digits depend on nothing else.
const PIECE_IN_BASE64: usize = 15;
/// Bytes that are looked up first; no piece is shorter in any encoding.
const BEGINNING: usize = 8;
/// Bits of the first look: many more than beginnings, so that it is seldom wrong.
const BITS: u32 = 26;

/// How a value looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Short,
    Word,
    Lines,
    LikeBase64,
    Unicode,
    Json,
    Signs,
    /// 64 KiB.
    Large,
}

const SMALL: [Shape; 7] = [
    Shape::Short,
    Shape::Word,
    Shape::Lines,
    Shape::LikeBase64,
    Shape::Unicode,
    Shape::Json,
    Shape::Signs,
];

/// `count` values: every fiftieth is large, the others have all other shapes by turns.
pub(crate) fn values(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| match number % 50 {
            49 => value(Shape::Large),
            _ => value(SMALL[number % SMALL.len()]),
        })
        .collect()
}

pub(crate) fn value(shape: Shape) -> String {
    match shape {
        Shape::Short => word(10),
        Shape::Word => word(32),
        Shape::Lines => (0..4).map(|_| word(24) + "\n").collect(),
        Shape::LikeBase64 => BASE64_STANDARD.encode(word(40)),
        Shape::Unicode => (0..24)
            .filter_map(|_| {
                let from = *[0x430, 0x4e00, 0x1f400].choose(&mut rand::rng())?;
                char::from_u32(from + rand::random_range(0..30))
            })
            .collect(),
        Shape::Json => format!("{{\"{}\": [\"{}\"]}}", word(20), word(20)),
        Shape::Signs => (0..4).map(|_| word(9) + "&\"\\ /<?").collect(),
        Shape::Large => word(64 * 1024),
    }
}

fn word(length: usize) -> String {
    rand::rng()
        .sample_iter(rand::distr::Alphanumeric)
        .take(length)
        .map(char::from)
        .collect()
}

/// Knows every piece of every value in every encoding.
pub(crate) struct Search {
    /// Values in one encoding each, one behind the other.
    text: Vec<u8>,
    /// Where pieces begin and how long they are, sorted by their beginnings.
    pieces: Vec<Piece>,
    seen: Vec<u64>,
}

#[derive(Clone, Copy)]
struct Piece {
    beginning: u64,
    start: u32,
    length: u32,
}

impl Search {
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a String>) -> Self {
        let mut search = Self {
            text: Vec::new(),
            pieces: Vec::new(),
            seen: vec![0; 1 << (BITS - 6)],
        };
        for value in values {
            search.learn(value);
        }
        search.pieces.sort_unstable_by_key(|piece| piece.beginning);
        search
    }

    fn learn(&mut self, value: &str) {
        self.characters(value, |character| character.to_string());
        for encode in [in_url, in_json] {
            if value.chars().any(|one| encode(one) != one.to_string()) {
                self.characters(value, encode);
            }
        }
        for digit in ["0123456789abcdef", "0123456789ABCDEF"] {
            let digits: Vec<char> = digit.chars().collect();
            let hex: String = value
                .bytes()
                .flat_map(|byte| [byte >> 4, byte & 15])
                .map(|nibble| digits[usize::from(nibble)])
                .collect();
            self.windows(hex.as_bytes(), (2 * PIECE).min(hex.len()), 2);
        }
        for alignment in 0..3 {
            let shifted = [&b"xx"[..alignment], value.as_bytes()].concat();
            // Of the first and the last digits some bits are others'.
            let first = (8 * alignment).div_ceil(6);
            let last = 8 * shifted.len() / 6;
            let encoded = BASE64_STANDARD.encode(&shifted).into_bytes();
            let own = &encoded[first..last];
            self.windows(own, PIECE_IN_BASE64.min(own.len()), 1);
            if own.iter().any(|digit| b"+/".contains(digit)) {
                let encoded = BASE64_URL_SAFE_NO_PAD.encode(&shifted).into_bytes();
                let own = &encoded[first..last];
                self.windows(own, PIECE_IN_BASE64.min(own.len()), 1);
            }
        }
    }

    /// Pieces of a value that is encoded character by character.
    fn characters(&mut self, value: &str, encode: impl Fn(char) -> String) {
        let base = self.text.len();
        // Where each character begins, in the value and in the text.
        let mut begins = Vec::new();
        for (at, character) in value.char_indices() {
            begins.push((at, self.text.len() - base));
            self.text.extend(encode(character).into_bytes());
        }
        begins.push((value.len(), self.text.len() - base));
        let mut end = 0;
        for (number, (at, start)) in begins.iter().enumerate() {
            while end + 1 < begins.len() && begins[end].0 < at + PIECE {
                end += 1;
            }
            let (until, stop) = begins[end];
            if until < at + PIECE && number > 0 {
                break;
            }
            self.piece(base + start, stop - start);
        }
    }

    fn windows(&mut self, text: &[u8], length: usize, step: usize) {
        let base = self.text.len();
        self.text.extend(text);
        for start in (0..=text.len() - length).step_by(step) {
            self.piece(base + start, length);
        }
    }

    fn piece(&mut self, start: usize, length: usize) {
        assert!(length >= BEGINNING, "a piece of {length} bytes");
        let beginning = beginning(&self.text[start..]);
        let (word, bit) = place(beginning);
        self.seen[word] |= bit;
        self.pieces.push(Piece {
            beginning,
            start: u32::try_from(start).unwrap_or(u32::MAX),
            length: u32::try_from(length).unwrap_or(u32::MAX),
        });
    }

    /// The first place at which a piece of a value stands.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at + BEGINNING <= bytes.len() {
            let beginning = beginning(&bytes[at..]);
            let (word, bit) = place(beginning);
            if self.seen[word] & bit != 0 && self.stands(beginning, &bytes[at..]) {
                return Some(at);
            }
            at += 1;
        }
        None
    }

    fn stands(&self, beginning: u64, bytes: &[u8]) -> bool {
        let from = self
            .pieces
            .partition_point(|piece| piece.beginning < beginning);
        self.pieces[from..]
            .iter()
            .take_while(|piece| piece.beginning == beginning)
            .any(|piece| {
                let start = piece.start as usize;
                bytes.starts_with(&self.text[start..start + piece.length as usize])
            })
    }
}

fn beginning(bytes: &[u8]) -> u64 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The word and the bit of a beginning.
fn place(beginning: u64) -> (usize, u64) {
    let mixed = beginning.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS);
    (
        usize::try_from(mixed >> 6).unwrap_or_default(),
        1 << (mixed & 63),
    )
}

fn in_url(character: char) -> String {
    let mut out = String::new();
    for byte in character.to_string().bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // To a text nothing fails.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// As ASCII only, as some write it; what is left as it is, is found as it is.
fn in_json(character: char) -> String {
    if character.is_ascii() {
        let quoted = serde_json::Value::from(character.to_string()).to_string();
        return quoted[1..quoted.len() - 1].to_owned();
    }
    let mut out = String::new();
    for unit in character.encode_utf16(&mut [0; 2]) {
        let _ = write!(out, "\\u{unit:04x}");
    }
    out
}

#[test]
fn a_piece_of_any_value_is_found_in_any_encoding_and_nothing_else_is() {
    let all = [&SMALL[..], &[Shape::Large]].concat();
    let values: Vec<String> = all.iter().map(|shape| value(*shape)).collect();
    let search = Search::new(&values);
    for (value, shape) in values.iter().zip(&all) {
        let mut end = value.len().min(PIECE);
        while !value.is_char_boundary(end) {
            end += 1;
        }
        let pieces = [
            &value[..end],
            &value[value.floor_char_boundary(value.len() - end)..],
        ];
        for piece in pieces {
            let coded = |encode: fn(char) -> String| piece.chars().map(encode).collect::<String>();
            for form in [
                piece.to_owned(),
                coded(in_url),
                coded(in_json),
                hex::encode(piece),
                hex::encode_upper(piece),
            ] {
                let text = format!("before {form} behind");
                assert_eq!(search.find(text.as_bytes()), Some(7), "{shape:?}: {text}");
            }
            for before in ["", "u", "u:"] {
                for encoded in [
                    BASE64_STANDARD.encode(format!("{before}{piece}@host")),
                    BASE64_URL_SAFE_NO_PAD.encode(format!("{before}{piece}@host")),
                ] {
                    assert!(search.find(encoded.as_bytes()).is_some(), "{shape:?}");
                }
            }
        }
        if value.len() > PIECE {
            let less = value.floor_char_boundary(PIECE - 1);
            assert_eq!(search.find(&value.as_bytes()[..less]), None, "{shape:?}");
        }
    }
    let other = self::values(50).concat();
    assert_eq!(search.find(other.as_bytes()), None);
    assert_eq!(search.find(hex::encode(other).as_bytes()), None);
}
