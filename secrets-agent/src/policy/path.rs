//! A secret's path in the one form that is accepted: what is checked is then, byte for byte, what is read.
//!
//! Nothing is rewritten. A path that some server, proxy or library could read differently from how it is spelled is refused.

use std::fmt;

/// The longest path, in bytes.
const MAX_LENGTH: usize = 512;
/// Mounts that hold no secrets of applications; reading some of them would give away the agent's own token.
const RESERVED: [&str; 4] = ["auth", "cubbyhole", "identity", "sys"];

/// A path such as `kv/data/shop`: two or more segments of `A-Z a-z 0-9 - _ . ~ @ : + = ,`, none of dots alone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretPath(String);

/// Why a path is refused. Shown with the path escaped, so that it can't disturb a terminal or a log.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PathProblem {
    #[error("it is empty")]
    Empty,
    #[error("it is longer than {MAX_LENGTH} bytes")]
    TooLong,
    #[error(
        "{path} holds {symbol:?}: allowed are letters, digits and - _ . ~ @ : + = , between slashes"
    )]
    Symbol { path: String, symbol: char },
    #[error("{path} begins or ends with a slash, or has two in a row")]
    EmptySegment { path: String },
    #[error("{path} has a segment of dots alone")]
    Dots { path: String },
    #[error("{path} names no secret in a mount: expected <mount>/<path>")]
    NoMount { path: String },
    #[error("{path} is in a mount of Vault's own, which holds no secrets of applications")]
    Reserved { path: String },
}

impl SecretPath {
    pub fn parse(text: &str) -> Result<Self, PathProblem> {
        if text.is_empty() {
            return Err(PathProblem::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(PathProblem::TooLong);
        }
        let path = || format!("`{}`", text.escape_debug());
        if let Some(symbol) = text.chars().find(|symbol| !is_allowed(*symbol)) {
            return Err(PathProblem::Symbol {
                path: path(),
                symbol,
            });
        }
        for segment in text.split('/') {
            if segment.is_empty() {
                return Err(PathProblem::EmptySegment { path: path() });
            }
            if segment.bytes().all(|byte| byte == b'.') {
                return Err(PathProblem::Dots { path: path() });
            }
        }
        let Some((mount, _)) = text.split_once('/') else {
            return Err(PathProblem::NoMount { path: path() });
        };
        if RESERVED
            .iter()
            .any(|reserved| mount.eq_ignore_ascii_case(reserved))
        {
            return Err(PathProblem::Reserved { path: path() });
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Only what stands for itself in a URL's path: no `%`, no `;`, no `\`, nothing outside of ASCII.
fn is_allowed(symbol: char) -> bool {
    symbol.is_ascii_alphanumeric()
        || matches!(
            symbol,
            '/' | '-' | '_' | '.' | '~' | '@' | ':' | '+' | '=' | ','
        )
}
