//! gzip, with a bound on what comes out.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// The largest content that is unpacked, in bytes.
const MAX: u64 = 64 * 1024 * 1024;

pub(super) fn pack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

pub(super) fn unpack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let read = GzDecoder::new(bytes).take(MAX + 1).read_to_end(&mut out)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > MAX {
        return Err(std::io::Error::other("more than is ever packed"));
    }
    Ok(out)
}
