//! Where requests wait until they may be in flight.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::window::{Answer, Window};

/// In turn, as many at once as the window says.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Shared>);

struct Shared {
    turns: Arc<Semaphore>,
    state: Mutex<State>,
}

struct State {
    window: Window,
    /// Turns that wait to be taken, and those that are taken.
    given: usize,
}

/// One request in flight.
pub(crate) struct Turn {
    gate: Gate,
    permit: Option<OwnedSemaphorePermit>,
    began: Instant,
}

impl Gate {
    pub(crate) fn new(most: u16) -> Self {
        Self(Arc::new(Shared {
            turns: Arc::new(Semaphore::new(usize::from(most))),
            state: Mutex::new(State {
                window: Window::new(most),
                given: usize::from(most),
            }),
        }))
    }

    pub(crate) async fn turn(&self) -> Turn {
        // Nobody closes it.
        let permit = self.0.turns.clone().acquire_owned().await.ok();
        Turn {
            gate: self.clone(),
            permit,
            began: Instant::now(),
        }
    }

    /// How many requests may be in flight now.
    pub(crate) fn size(&self) -> usize {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.window.size()
    }
}

impl Turn {
    /// The request is sent only now: it had to wait for something else.
    pub(crate) fn begins(&mut self) {
        self.began = Instant::now();
    }

    pub(crate) fn answered(self, answer: Answer) {
        let mut state = self
            .gate
            .0
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state.window.answered(answer, self.began, Instant::now());
        let size = state.window.size();
        if let Some(more) = size.checked_sub(state.given) {
            self.gate.0.turns.add_permits(more);
            state.given = size;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self
            .gate
            .0
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // A turn too many isn't given to the next one.
        if state.given > state.window.size()
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
            state.given -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn fewer_requests_are_in_flight_after_the_server_had_too_many() {
        let gate = Gate::new(4);
        let turns = futures::future::join_all((0..4).map(|_| gate.turn())).await;
        for turn in turns {
            turn.answered(Answer::Overloaded);
        }
        assert_eq!(gate.size(), 2);
        let (first, _second) = (gate.turn().await, gate.turn().await);
        let third = gate.turn();
        tokio::pin!(third);
        assert!(futures::poll!(&mut third).is_pending());
        drop(first);
        third.await.answered(Answer::Given);
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_frees_its_turn() {
        let gate = Gate::new(1);
        drop(gate.turn().await);
        gate.turn().await.answered(Answer::Given);
        assert_eq!(gate.size(), 1);
    }
}
