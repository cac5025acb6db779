//! Free ports on 127.0.0.1.
//!
//! Ports come from below the range that the kernel hands out to outgoing
//! connections. A server that is killed and started again on its port would
//! otherwise race against every client in between: one of them can be given that
//! very port, or connect to itself on it.

use std::{future::Future, io, net::TcpListener};

use rand::RngExt;

use crate::process::ProcessError;

const LOWEST: u16 = 16_000;
const HIGHEST: u16 = 32_000;
const TRIES: usize = 200;
const STARTS: usize = 5;

#[derive(Debug, thiserror::Error)]
#[error("no free port between {LOWEST} and {HIGHEST} on 127.0.0.1")]
pub struct NoPort {
    source: io::Error,
}

/// A port that was free a moment ago.
pub(crate) fn free() -> Result<u16, NoPort> {
    let mut random = rand::rng();
    let mut tries = 1;
    loop {
        let port = random.random_range(LOWEST..HIGHEST);
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return Ok(port),
            Err(source) if tries == TRIES => return Err(NoPort { source }),
            Err(_) => tries += 1,
        }
    }
}

/// Starts a server with `start`, once more with other ports whenever somebody
/// else took one between the look and the server's bind.
pub(crate) async fn start_on_free<T, E, F>(mut start: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
    E: std::error::Error + 'static,
{
    let mut starts = 1;
    loop {
        match start().await {
            Err(error) if starts < STARTS && is_address_in_use(&error) => starts += 1,
            result => return result,
        }
    }
}

fn is_address_in_use(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(process) = error.downcast_ref::<ProcessError>() {
            return process.is_address_in_use();
        }
        next = error.source();
    }
    false
}
