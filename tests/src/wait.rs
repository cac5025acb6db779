//! Waiting on conditions, never on time: a condition is asked for again and again until it holds or the deadline is over,
//! and what it last said is in the error.

use std::future::Future;
use std::time::Duration;

use anyhow::anyhow;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// How long anything may take on a busy machine.
pub const DEADLINE: Duration = Duration::from_mins(1);
const BETWEEN: Duration = Duration::from_millis(50);

/// Asks `probe` until it answers `Ok`. An error says what is still missing.
pub async fn until<T, F, P>(what: &str, probe: P) -> anyhow::Result<T>
where
    P: FnMut() -> F,
    F: Future<Output = anyhow::Result<T>>,
{
    until_within(what, DEADLINE, probe).await
}

/// The same with a deadline of its own.
pub async fn until_within<T, F, P>(
    what: &str,
    deadline: Duration,
    mut probe: P,
) -> anyhow::Result<T>
where
    P: FnMut() -> F,
    F: Future<Output = anyhow::Result<T>>,
{
    let end = Instant::now() + deadline;
    let mut ticks = interval(BETWEEN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = anyhow!("it was never asked");
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        ticks.tick().await;
        match timeout(left, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => last = error,
            Err(_) => break,
        }
    }
    Err(last.context(format!(
        "after {} s, still not true: {what}",
        deadline.as_secs()
    )))
}

/// `Ok` if `holds`, else an error that shows `state`: for the end of a probe.
pub fn check(holds: bool, state: impl FnOnce() -> String) -> anyhow::Result<()> {
    if holds { Ok(()) } else { Err(anyhow!(state())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_condition_that_never_holds_says_what_it_last_saw() {
        let error = until("the door is open", || async {
            check(false, || "it is shut".to_owned())
        })
        .await
        .unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("the door is open"), "{text}");
        assert!(text.contains("it is shut"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_hangs_ends_with_the_deadline() {
        let outcome: anyhow::Result<()> =
            until("anything", std::future::pending::<anyhow::Result<()>>).await;
        assert!(outcome.is_err());
    }
}
