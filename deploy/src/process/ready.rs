//! Waiting until a process is ready: a condition asked for again and again, with
//! the process watched and an end in sight.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, MissedTickBehavior};

use super::{Process, ProcessError};

const BETWEEN_PROBES: Duration = Duration::from_millis(25);

pub(super) async fn ready<P, F>(
    process: &Process,
    within: Duration,
    mut probe: P,
) -> Result<(), ProcessError>
where
    P: FnMut() -> F,
    F: Future<Output = Result<(), String>>,
{
    let deadline = Instant::now() + within;
    let mut problem = "it was not asked yet".to_owned();
    let mut ticks = tokio::time::interval(BETWEEN_PROBES);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let attempt = async {
            ticks.tick().await;
            probe().await
        };
        tokio::select! {
            biased;
            status = process.wait() => {
                return Err(ProcessError::Ended {
                    name: process.name.clone(),
                    status,
                    log: process.log.clone(),
                    tail: process.log_tail(),
                });
            }
            () = tokio::time::sleep_until(deadline) => {
                return Err(ProcessError::NotReady {
                    name: process.name.clone(),
                    within,
                    problem,
                    log: process.log.clone(),
                    tail: process.log_tail(),
                });
            }
            answer = attempt => match answer {
                Ok(()) => return Ok(()),
                Err(why) => problem = why,
            },
        }
    }
}
