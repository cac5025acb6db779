//! The events of late, in memory, bounded per application and in all; the bus keeps them for longer.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bus::AppId;
use bus::message::event::Event;

/// Of one application.
pub const MAX_PER_APPLICATION: usize = 500;
/// Of all applications together.
const MAX_IN_ALL: usize = 20_000;
/// Longest text of an event that is kept, in bytes.
const MAX_TEXT: usize = 2_048;
/// Details of an event that are kept.
const MAX_DETAILS: usize = 32;

/// An event with its sequence in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub sequence: u64,
    pub event: Event,
}

#[derive(Debug, Default)]
pub struct Events {
    of: HashMap<AppId, VecDeque<Arc<Recorded>>>,
    /// In the order in which they were heard, to know which to forget first.
    all: VecDeque<Arc<Recorded>>,
}

impl Events {
    /// Keeps an event, unless it is known: after a reconnect the last ones come again.
    pub fn record(&mut self, sequence: u64, event: Event) -> Option<Arc<Recorded>> {
        let event = bounded(event);
        let own = self.of.entry(event.app.clone()).or_default();
        let known = own.iter().rev().any(|known| {
            known.sequence == sequence
                && known.event.time == event.time
                && known.event.kind == event.kind
        });
        if known {
            return None;
        }
        let recorded = Arc::new(Recorded { sequence, event });
        let at = own.partition_point(|known| known.event.time <= recorded.event.time);
        own.insert(at, Arc::clone(&recorded));
        if own.len() > MAX_PER_APPLICATION {
            own.pop_front();
        }
        self.all.push_back(Arc::clone(&recorded));
        if self.all.len() > MAX_IN_ALL {
            self.forget_oldest();
        }
        Some(recorded)
    }

    /// The events of one application, newest last.
    pub fn of(&self, app: &AppId) -> impl DoubleEndedIterator<Item = &Arc<Recorded>> {
        self.of.get(app).into_iter().flatten()
    }

    /// All events, in the order in which they were heard.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &Arc<Recorded>> {
        self.all.iter()
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.all.pop_front() else {
            return;
        };
        if let Some(own) = self.of.get_mut(&oldest.event.app) {
            own.retain(|kept| !Arc::ptr_eq(kept, &oldest));
            if own.is_empty() {
                self.of.remove(&oldest.event.app);
            }
        }
    }
}

fn bounded(mut event: Event) -> Event {
    cut(&mut event.message);
    for text in [&mut event.revision, &mut event.user].into_iter().flatten() {
        cut(text);
    }
    while event.detail.len() > MAX_DETAILS {
        event.detail.pop_last();
    }
    event.detail.values_mut().for_each(cut);
    event
}

fn cut(text: &mut String) {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bus::ClusterId;
    use bus::message::event::EventKind;

    fn event(app: &str, time: u64) -> Event {
        let app = AppId::new("argocd", app).unwrap();
        let mut event = Event::new(
            &app,
            &ClusterId::in_cluster(),
            EventKind::HealthChanged,
            "é".repeat(2_000),
        );
        event.time = time;
        event
    }

    #[test]
    fn what_comes_again_is_kept_once() {
        let mut events = Events::default();
        assert!(events.record(1, event("a", 10)).is_some());
        assert!(events.record(1, event("a", 10)).is_none());
        assert_eq!(events.all().count(), 1);
    }

    #[test]
    fn an_application_keeps_its_newest_events() {
        let mut events = Events::default();
        for time in 0..600 {
            events.record(time, event("a", time));
        }
        let app = AppId::new("argocd", "a").unwrap();
        assert_eq!(events.of(&app).count(), MAX_PER_APPLICATION);
        assert_eq!(events.of(&app).next_back().unwrap().event.time, 599);
        assert_eq!(events.of(&app).next().unwrap().event.time, 100);
    }

    #[test]
    fn many_applications_share_one_bound() {
        let mut events = Events::default();
        for number in 0..(MAX_IN_ALL as u64 + 10) {
            events.record(number, event(&format!("a{}", number % 100), number));
        }
        assert_eq!(events.all().count(), MAX_IN_ALL);
        let kept: usize = events.of.values().map(VecDeque::len).sum();
        assert_eq!(kept, MAX_IN_ALL);
    }

    #[test]
    fn a_text_without_end_is_cut_at_a_character() {
        let mut events = Events::default();
        let kept = events.record(1, event("a", 1)).unwrap();
        assert_eq!(kept.event.message.len(), MAX_TEXT);
    }
}
