#![expect(
    clippy::cast_possible_truncation,
    reason = "a pack's numbers are taken apart byte by byte"
)]

use std::io::Write;

use bus::Digest;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::*;
use sha1::{Digest as _, Sha1};

use super::*;
use crate::tree::{Database, TreeError};

const BLOB: u8 = 3;
const OFFSET_DELTA: u8 = 6;
const ID_DELTA: u8 = 7;

const SMALL: PackLimits = PackLimits {
    objects: 100,
    object: 10_000,
    total: 20_000,
    chain: 3,
};

fn size(mut first: Vec<u8>, shift: u32, of: u64) -> Vec<u8> {
    let mut rest = if shift == 4 {
        first[0] |= (of & 0x0f) as u8;
        of >> 4
    } else {
        first.push((of & 0x7f) as u8);
        of >> 7
    };
    while rest > 0 {
        *first.last_mut().unwrap() |= 0x80;
        first.push((rest & 0x7f) as u8);
        rest >>= 7;
    }
    first
}

/// An object of a pack, with what its kind has before the content.
fn object(kind: u8, said: u64, reference: &[u8], content: &[u8]) -> Vec<u8> {
    let mut bytes = size(vec![kind << 4], 4, said);
    bytes.extend_from_slice(reference);
    let mut packed = ZlibEncoder::new(bytes, Compression::fast());
    packed.write_all(content).unwrap();
    packed.finish().unwrap()
}

fn blob(content: &[u8]) -> Vec<u8> {
    object(BLOB, content.len() as u64, &[], content)
}

fn delta(base: u64, result: u64, instructions: &[u8]) -> Vec<u8> {
    let mut bytes = size(size(Vec::new(), 0, base), 0, result);
    bytes.extend_from_slice(instructions);
    bytes
}

fn distance(mut back: usize) -> Vec<u8> {
    let mut bytes = vec![(back & 0x7f) as u8];
    back >>= 7;
    while back > 0 {
        back -= 1;
        bytes.insert(0, 0x80 | (back & 0x7f) as u8);
        back >>= 7;
    }
    bytes
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = Sha1::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

fn pack(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"PACK\0\0\0\x02".to_vec();
    bytes.extend_from_slice(&u32::try_from(objects.len()).unwrap().to_be_bytes());
    bytes.extend(objects.concat());
    sealed(bytes)
}

fn id(content: &[u8]) -> git2::Oid {
    git2::Oid::hash_object(git2::ObjectType::Blob, content).unwrap()
}

fn add(pack: &[u8]) -> Result<Database, TreeError> {
    let database = Database::create(&std::env::temp_dir()).unwrap();
    database.add(&Digest::of(pack), pack).map(|()| database)
}

/// A text, and one that is a delta of it, by offset and by id.
fn honest() -> (Vec<u8>, Vec<u8>) {
    let text = b"hello, hello, hello".repeat(20);
    // Everything but the first byte, copied.
    let copy = [0x91, 1, (text.len() - 1) as u8];
    let copy = [
        copy[0] | 0x20,
        copy[1],
        copy[2],
        ((text.len() - 1) >> 8) as u8,
    ];
    let by_offset = delta(text.len() as u64, text.len() as u64 - 1, &copy);
    let base = blob(&text);
    let one = object(
        OFFSET_DELTA,
        by_offset.len() as u64,
        &distance(base.len()),
        &by_offset,
    );
    let insert = [1, b'j', 0x80 | 0x10 | 0x01, 1, 10];
    let by_id = delta(text.len() as u64, 11, &insert);
    let two = object(ID_DELTA, by_id.len() as u64, id(&text).as_bytes(), &by_id);
    (text, pack(&[base, one, two]))
}

#[test]
fn an_honest_pack_is_indexed_with_its_deltas() {
    let (text, pack) = honest();
    assert_eq!(check(&pack, PackLimits::DEFAULT), Ok(()));
    let database = add(&pack).unwrap();
    assert_eq!(database.blob(id(&text)).unwrap(), text);
    assert_eq!(database.blob(id(&text[1..])).unwrap(), &text[1..]);
    let third = [b"j", &text[1..11]].concat();
    assert_eq!(database.blob(id(&third)).unwrap(), third);
}

#[test]
fn what_is_cut_off_or_added_is_seen() {
    let (_, pack) = honest();
    for end in 0..pack.len() {
        assert!(check(&pack[..end], PackLimits::DEFAULT).is_err(), "{end}");
    }
    let longer = [&pack[..], b"x"].concat();
    assert_eq!(
        check(&longer, PackLimits::DEFAULT),
        Err(PackError::Trailer(21))
    );
    assert!(matches!(
        add(&pack[..pack.len() - 1]),
        Err(TreeError::BadPack { .. })
    ));
}

#[test]
fn each_flipped_bit_is_an_error() {
    let (_, pack) = honest();
    for at in 0..pack.len() {
        for bit in 0..8 {
            let mut flipped = pack.clone();
            flipped[at] ^= 1 << bit;
            // Its checksum is libgit2's to see.
            if check(&flipped, PackLimits::DEFAULT).is_ok() && bit == 0 {
                assert!(add(&flipped).is_err(), "byte {at}");
            }
        }
    }
}

#[test]
fn sizes_that_lie_are_refused() {
    for said in [0, 4, 6, 1000, u64::MAX >> 8] {
        let error = check(&pack(&[object(BLOB, said, &[], b"hello")]), SMALL).unwrap_err();
        assert!(
            matches!(
                error,
                PackError::Lies { at: 12, .. } | PackError::TooLarge { at: 12, .. }
            ),
            "{said}: {error}"
        );
    }
    let more = [b"PACK\0\0\0\x02\0\0\0\x02".to_vec(), blob(b"a")].concat();
    assert!(check(&sealed(more), SMALL).is_err());
    let many = sealed(b"PACK\0\0\0\x02\xff\xff\xff\xff".to_vec());
    assert_eq!(
        check(&many, PackLimits::DEFAULT).unwrap_err().to_string(),
        "it says that it holds 4294967295 objects; the limit is 4000000"
    );
}

#[test]
fn what_inflates_is_refused_before_anything_is_made_of_it() {
    let zeros = vec![0; 9_000];
    let base = blob(&zeros);
    let one = |at: usize, result: u64| {
        let delta = delta(9_000, result, &[0x80 | 0x30, 0, 0x20].repeat(8));
        object(OFFSET_DELTA, delta.len() as u64, &distance(at), &delta)
    };
    assert_eq!(
        check(&pack(&[base.clone(), one(base.len(), 1 << 40)]), SMALL)
            .unwrap_err()
            .to_string(),
        format!(
            "the object at byte {} has 1099511627776 bytes; the limit of one object is 10000",
            12 + base.len()
        )
    );
    let two = one(base.len(), 9_000);
    let three = one(base.len() + two.len(), 9_000);
    assert_eq!(
        check(&pack(&[base.clone(), two, three]), SMALL),
        Err(PackError::TooMuch { limit: 20_000 })
    );
    assert!(matches!(
        check(&pack(&[blob(&vec![0; 20_000])]), SMALL),
        Err(PackError::TooLarge { size: 20_000, .. })
    ));
}

#[test]
fn deltas_in_circles_and_endless_chains_are_refused() {
    let text = b"hello";
    let base = blob(text);
    let same = delta(5, 5, &[0x90, 5]);
    let by_offset = |back| object(OFFSET_DELTA, same.len() as u64, &distance(back), &same);
    for back in [0, 1, 3, 1000, usize::MAX >> 8] {
        assert!(
            matches!(
                check(&pack(&[base.clone(), by_offset(back)]), SMALL),
                Err(PackError::Base { .. })
            ),
            "{back}"
        );
    }
    let step = by_offset(base.len());
    let mut chain = vec![base.clone(), step.clone()];
    for _ in 0..3 {
        chain.push(by_offset(step.len()));
    }
    assert!(matches!(
        check(&pack(&chain), SMALL),
        Err(PackError::Chain { limit: 3, .. })
    ));
    // Two that are deltas of each other by id, which no text can really be: libgit2 finds neither.
    let by_id = |of: &[u8]| object(ID_DELTA, same.len() as u64, id(of).as_bytes(), &same);
    let circle = pack(&[by_id(b"aaaaa"), by_id(b"bbbbb")]);
    assert_eq!(check(&circle, SMALL), Ok(()));
    assert!(matches!(add(&circle), Err(TreeError::Pack { .. })));
}

#[derive(Clone, Debug)]
enum Piece {
    Plain {
        kind: u8,
        length: usize,
        lie: i64,
    },
    ByOffset {
        back: usize,
        base: u64,
        result: u64,
        instructions: Vec<u8>,
    },
    ById {
        of: usize,
        base: u64,
        result: u64,
        instructions: Vec<u8>,
    },
    Raw(Vec<u8>),
}

fn piece() -> impl Strategy<Value = Piece> {
    let lie = prop_oneof![8 => Just(0_i64), 1 => -3..3_i64, 1 => any::<i64>()];
    let sizes = || prop_oneof![6 => 0..300_u64, 1 => any::<u64>()];
    let instructions = || proptest::collection::vec(any::<u8>(), 0..24);
    prop_oneof![
        4 => (0..8_u8, 0..300_usize, lie).prop_map(|(kind, length, lie)| Piece::Plain { kind, length, lie }),
        3 => (0..4_usize, sizes(), sizes(), instructions()).prop_map(|(back, base, result, instructions)| Piece::ByOffset { back, base, result, instructions }),
        3 => (0..4_usize, sizes(), sizes(), instructions()).prop_map(|(of, base, result, instructions)| Piece::ById { of, base, result, instructions }),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Piece::Raw),
    ]
}

fn assemble(pieces: &[Piece]) -> Vec<u8> {
    let mut objects: Vec<Vec<u8>> = Vec::new();
    for piece in pieces {
        objects.push(match piece {
            Piece::Plain { kind, length, lie } => {
                let said = (*length as u64).wrapping_add_signed(*lie);
                object(*kind, said, &[], &vec![b'x'; *length])
            }
            Piece::ByOffset {
                back,
                base,
                result,
                instructions,
            } => {
                let delta = delta(*base, *result, instructions);
                let back: usize = objects.iter().rev().take(*back).map(Vec::len).sum();
                object(OFFSET_DELTA, delta.len() as u64, &distance(back), &delta)
            }
            Piece::ById {
                of,
                base,
                result,
                instructions,
            } => {
                let delta = delta(*base, *result, instructions);
                let id = id(&vec![b'x'; *of * 100]);
                object(ID_DELTA, delta.len() as u64, id.as_bytes(), &delta)
            }
            Piece::Raw(bytes) => bytes.clone(),
        });
    }
    pack(&objects)
}

/// A pack of hostile pieces, some of its bytes changed afterwards, maybe cut off, mostly with a right checksum.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let cut = proptest::option::weighted(0.1, any::<prop::sample::Index>());
    (
        proptest::collection::vec(piece(), 0..8),
        changes,
        cut,
        prop::bool::weighted(0.9),
    )
        .prop_map(|(pieces, changes, cut, again)| {
            let mut bytes = assemble(&pieces);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            if again && bytes.len() >= 20 {
                bytes.truncate(bytes.len() - 20);
                bytes = sealed(bytes);
            }
            bytes
        })
}

/// Those that write files: some of what the others are asked for.
fn fewer() -> ProptestConfig {
    let mut config = ProptestConfig::default();
    config.cases = (config.cases / 8).max(1);
    config
}

proptest! {
    #[test]
    fn any_pack_is_passed_or_refused(bytes in hostile()) {
        let _ = check(&bytes, SMALL);
    }

    #[test]
    fn any_bytes_are_passed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = check(&[b"PACK\0\0\0\x02", &bytes[..]].concat(), SMALL);
        prop_assert!(check(&bytes, SMALL).is_err() || bytes.starts_with(b"PACK"));
    }
}

proptest! {
    #![proptest_config(fewer())]

    #[test]
    fn what_passes_is_indexed_or_refused_and_what_is_indexed_can_be_read(bytes in hostile()) {
        if let Ok(database) = add(&bytes) {
            for id in database.ids_for_tests() {
                let size = database.size(id).unwrap();
                prop_assert!(size as u64 <= PackLimits::DEFAULT.object);
                prop_assert_eq!(database.blob(id).unwrap().len(), size);
            }
        }
    }
}
