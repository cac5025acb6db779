//! W3C trace context: one trace follows a commit through all services.

use std::fmt;
use std::future::Future;
use std::str::FromStr;

tokio::task_local! {
    static CURRENT: Trace;
}

/// A `traceparent`: trace id and the id of the span that published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    trace: u128,
    span: u64,
}

impl Trace {
    /// A trace that nothing led to.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "a new trace is random: not a default value"
    )]
    pub fn new() -> Self {
        Self {
            trace: uuid::Uuid::new_v4().as_u128(),
            span: random_span(),
        }
    }

    /// The trace of the task that asks, as set by [`within`]; a new one outside.
    #[must_use]
    pub fn current() -> Self {
        CURRENT
            .try_with(|trace| *trace)
            .unwrap_or_else(|_| Self::new())
    }

    /// A further span of the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self {
            span: random_span(),
            ..self
        }
    }
}

/// Runs `future` so that what it publishes belongs to `trace`.
pub async fn within<F: Future>(trace: Trace, future: F) -> F::Output {
    CURRENT.scope(trace, future).await
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-01", self.trace, self.span)
    }
}

/// The text is not a version-00 `traceparent`.
#[derive(Debug, thiserror::Error)]
#[error("not a W3C traceparent")]
pub struct NotATrace;

impl FromStr for Trace {
    type Err = NotATrace;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('-');
        let (Some("00"), Some(trace), Some(span), Some(_flags), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err(NotATrace);
        };
        if trace.len() != 32 || span.len() != 16 {
            return Err(NotATrace);
        }
        let trace = u128::from_str_radix(trace, 16).map_err(|_| NotATrace)?;
        let span = u64::from_str_radix(span, 16).map_err(|_| NotATrace)?;
        if trace == 0 || span == 0 {
            return Err(NotATrace);
        }
        Ok(Self { trace, span })
    }
}

fn random_span() -> u64 {
    rand::random::<u64>().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_comes_back_and_nonsense_does_not() {
        let trace = Trace::new();
        assert_eq!(trace.to_string().parse::<Trace>().unwrap(), trace);
        for bad in ["", "00-0-0-01", "01-a-b-c", "00-zz-zz-01", &"0".repeat(600)] {
            assert!(bad.parse::<Trace>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn what_runs_within_a_trace_sees_it() {
        let trace = Trace::new();
        assert_eq!(within(trace, async { Trace::current() }).await, trace);
        assert_ne!(Trace::current(), trace);
    }
}
