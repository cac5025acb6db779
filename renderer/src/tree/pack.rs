//! A pack, looked through before libgit2 indexes it. libgit2 believes sizes when it makes room for what a delta comes to, and
//! knows no bound: here each object is unpacked once, into nothing, and what it says of itself is compared and bounded.

use std::collections::HashMap;

use flate2::{Decompress, FlushDecompress, Status};

/// How much a pack may unpack to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackLimits {
    pub(crate) objects: u32,
    /// Bytes of one object: the size from which Git and libgit2 make no deltas. It bounds what indexing one takes.
    pub(crate) object: u64,
    /// Bytes of all objects, of deltas what they come to.
    pub(crate) total: u64,
    /// Deltas of deltas; Git itself stops at this.
    pub(crate) chain: u32,
}

impl PackLimits {
    pub(crate) const DEFAULT: Self = Self {
        objects: 4_000_000,
        object: 512 << 20,
        total: 16 << 30,
        chain: 4095,
    };
}

/// Why a pack isn't indexed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    #[error("it does not begin as a pack of version 2")]
    NotAPack,
    #[error("it says that it holds {count} objects; the limit is {limit}")]
    TooMany { count: u32, limit: u32 },
    #[error("it ends in the middle of the object at byte {at}")]
    Truncated { at: usize },
    #[error("the object at byte {at} is of no kind that Git knows")]
    Kind { at: usize },
    #[error("the object at byte {at} cannot be unpacked")]
    Garbled { at: usize },
    #[error("the object at byte {at} has another size than the {said} bytes that it says")]
    Lies { at: usize, said: u64 },
    #[error("the object at byte {at} has {size} bytes; the limit of one object is {limit}")]
    TooLarge { at: usize, size: u64, limit: u64 },
    #[error("its objects unpack to more than {limit} bytes, the limit of one pack")]
    TooMuch { limit: u64 },
    #[error("the delta at byte {at} is against no object before it")]
    Base { at: usize },
    #[error("the object at byte {at} is a delta of more than {limit} deltas")]
    Chain { at: usize, limit: u32 },
    #[error("after its objects are {0} bytes instead of a checksum's 20")]
    Trailer(usize),
}

const HEADER: usize = 12;
const CHECKSUM: usize = 20;
/// More than the two sizes at a delta's start can have.
const DELTA_HEAD: usize = 20;

/// Checks all that can be known of a pack without what it is against. Takes time in proportion to what it unpacks to, which
/// is bounded, and no memory but a number for each object.
pub(crate) fn check(pack: &[u8], limits: PackLimits) -> Result<(), PackError> {
    let header = pack.get(..HEADER).ok_or(PackError::NotAPack)?;
    let number = |at: usize| {
        header[at..at + 4]
            .iter()
            .fold(0, |n, b| n << 8 | u32::from(*b))
    };
    if &header[..4] != b"PACK" || number(4) != 2 {
        return Err(PackError::NotAPack);
    }
    let count = number(8);
    if count > limits.objects {
        return Err(PackError::TooMany {
            count,
            limit: limits.objects,
        });
    }
    let mut objects = Objects {
        rest: Cursor {
            data: pack,
            at: HEADER,
        },
        limits,
        total: 0,
        chains: HashMap::new(),
        inflate: Decompress::new(true),
        sink: vec![0; 64 << 10],
    };
    for _ in 0..count {
        objects.next()?;
    }
    match pack.len().saturating_sub(objects.rest.at) {
        CHECKSUM => Ok(()),
        other => Err(PackError::Trailer(other)),
    }
}

struct Objects<'a> {
    rest: Cursor<'a>,
    limits: PackLimits,
    total: u64,
    /// How many deltas an object stands on, by where it begins.
    chains: HashMap<usize, u32>,
    inflate: Decompress,
    sink: Vec<u8>,
}

impl Objects<'_> {
    fn next(&mut self) -> Result<(), PackError> {
        let at = self.rest.at;
        let truncated = || PackError::Truncated { at };
        let first = self.rest.byte().ok_or_else(truncated)?;
        let mut said = u64::from(first & 0x0f);
        if first & 0x80 != 0 {
            said |= self.rest.size(4).ok_or_else(truncated)?;
        }
        self.bound(at, said)?;
        let chain = match first >> 4 & 7 {
            1..=4 => 0,
            6 => {
                let distance = self.rest.distance().ok_or_else(truncated)?;
                // Where an object before this one begins: no delta stands on itself, over however many others.
                let base = at.checked_sub(distance);
                let base = base.and_then(|base| self.chains.get(&base));
                base.ok_or(PackError::Base { at })? + 1
            }
            7 => {
                // Which object has this id, if any, only libgit2 will know; a cycle of them it can't resolve.
                self.rest.at += CHECKSUM;
                1
            }
            _ => return Err(PackError::Kind { at }),
        };
        if chain > self.limits.chain {
            let limit = self.limits.chain;
            return Err(PackError::Chain { at, limit });
        }
        let head = self.unpack(at, said)?;
        let mut size = said;
        if chain > 0 {
            let mut head = Cursor { data: &head, at: 0 };
            let garbled = || PackError::Garbled { at };
            let base = head.size(0).ok_or_else(garbled)?;
            self.bound(at, base)?;
            size = head.size(0).ok_or_else(garbled)?;
            self.bound(at, size)?;
        }
        self.total = self.total.saturating_add(size.max(said));
        if self.total > self.limits.total {
            let limit = self.limits.total;
            return Err(PackError::TooMuch { limit });
        }
        self.chains.insert(at, chain);
        Ok(())
    }

    fn bound(&self, at: usize, size: u64) -> Result<(), PackError> {
        let limit = self.limits.object;
        if size > limit {
            return Err(PackError::TooLarge { at, size, limit });
        }
        Ok(())
    }

    /// Unpacks what comes next, which must be so many bytes, and gives the first of them.
    fn unpack(&mut self, at: usize, said: u64) -> Result<Vec<u8>, PackError> {
        let lies = PackError::Lies { at, said };
        self.inflate.reset(true);
        let mut head = Vec::with_capacity(DELTA_HEAD);
        loop {
            let input = self.rest.data.get(self.rest.at..).unwrap_or_default();
            let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(input, &mut self.sink, FlushDecompress::None)
                .map_err(|_| PackError::Garbled { at })?;
            // Both are below the length of a slice.
            let read = usize::try_from(self.inflate.total_in() - read).unwrap_or(usize::MAX);
            let written = usize::try_from(self.inflate.total_out() - written).unwrap_or(0);
            self.rest.at = self.rest.at.saturating_add(read);
            let missing = DELTA_HEAD.saturating_sub(head.len());
            head.extend(self.sink.iter().take(written.min(missing)));
            if self.inflate.total_out() > said {
                return Err(lies);
            }
            match status {
                Status::StreamEnd if self.inflate.total_out() == said => return Ok(head),
                Status::StreamEnd => return Err(lies),
                _ if read == 0 && written == 0 => return Err(PackError::Truncated { at }),
                _ => {}
            }
        }
    }
}

struct Cursor<'a> {
    data: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.data.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// Seven bits a byte, the least first, from this bit on. None if it ends before, or has more than 64 bits.
    fn size(&mut self, mut shift: u32) -> Option<u64> {
        let mut size = 0_u64;
        loop {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits.checked_shl(shift)?;
            if shifted >> shift != bits {
                return None;
            }
            size |= shifted;
            if byte & 0x80 == 0 {
                return Some(size);
            }
            shift += 7;
        }
    }

    /// How far back a delta's base begins: seven bits a byte, the most first, one added between them.
    fn distance(&mut self) -> Option<usize> {
        let mut byte = self.byte()?;
        let mut distance = usize::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = self.byte()?;
            distance = distance.checked_add(1)?.checked_mul(128)? | usize::from(byte & 0x7f);
        }
        Some(distance)
    }
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
