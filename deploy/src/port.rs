//! Free ports on 127.0.0.1.
//!
//! Ports come from below the range that the kernel hands out to outgoing
//! connections. A server that is killed and started again on its port would
//! otherwise race against every client in between: one of them can be given that
//! very port, or connect to itself on it.

use std::{future::Future, io, net::TcpListener};

use rand::RngExt;

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
pub fn free() -> Result<u16, NoPort> {
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

/// An error of starting a server that can say whether another port would help.
pub(crate) trait PortTaken {
    fn is_port_taken(&self) -> bool;
}

/// Starts a server with `start`, once more with other ports whenever somebody
/// else took one between the look and the server's bind.
pub(crate) async fn start_on_free<T, E, F>(mut start: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
    E: PortTaken,
{
    let mut starts = 1;
    loop {
        match start().await {
            Err(error) if starts < STARTS && error.is_port_taken() => starts += 1,
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Failure {
        Taken,
        Other,
    }

    impl PortTaken for Failure {
        fn is_port_taken(&self) -> bool {
            *self == Self::Taken
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_tried_again_but_not_for_ever() {
        let mut starts = 0;
        let result: Result<(), _> = start_on_free(|| {
            starts += 1;
            async { Err(Failure::Taken) }
        })
        .await;
        assert_eq!(result, Err(Failure::Taken));
        assert_eq!(starts, STARTS);
    }

    #[tokio::test]
    async fn another_failure_is_final() {
        let mut starts = 0;
        let result: Result<(), _> = start_on_free(|| {
            starts += 1;
            async { Err(Failure::Other) }
        })
        .await;
        assert_eq!(result, Err(Failure::Other));
        assert_eq!(starts, 1);
    }

    #[test]
    fn a_free_port_is_below_those_of_outgoing_connections() {
        assert!((LOWEST..HIGHEST).contains(&free().unwrap()));
    }
}
