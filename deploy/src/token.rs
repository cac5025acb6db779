//! Secrets that the stack makes up for its own components.

use rand::RngExt;

/// 32 random bytes, in hexadecimal digits.
pub(crate) fn random() -> String {
    hex::encode(rand::rng().random::<[u8; 32]>())
}
