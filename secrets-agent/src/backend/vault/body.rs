//! An answer's bytes, bounded, in memory that is cleared.

use reqwest::Response;
use zeroize::Zeroizing;

/// The largest answer that is read: Vault's own limit of a stored entry is half of it.
const MAX: usize = 2 * 1024 * 1024;
const FIRST: usize = 16 * 1024;

pub(super) enum ReadError {
    TooLarge,
    Broken(reqwest::Error),
}

pub(super) async fn read(mut response: Response) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    let announced = response
        .content_length()
        .and_then(|length| usize::try_from(length).ok())
        .unwrap_or(FIRST);
    if announced > MAX {
        return Err(ReadError::TooLarge);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(announced));
    while let Some(chunk) = response.chunk().await.map_err(ReadError::Broken)? {
        let length = bytes.len() + chunk.len();
        if length > MAX {
            return Err(ReadError::TooLarge);
        }
        if length > bytes.capacity() {
            // A vector that grows by itself leaves what it held in freed memory.
            let mut larger = Zeroizing::new(Vec::with_capacity(length.next_power_of_two()));
            larger.extend_from_slice(&bytes);
            bytes = larger;
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
