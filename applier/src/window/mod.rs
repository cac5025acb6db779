//! Sync windows: whether a project lets an application be released now, and when that may be otherwise. Pure.
//!
//! As in Argo CD: an active window that denies wins over all; else one active window that allows is enough; else, where windows
//! that allow exist, their being closed denies. `manualSync` lets people through, `syncOverrun` a release that had begun when it
//! was allowed.

mod applies;
mod schedule;

use api::ApplicationSpec;
use api::project::SyncWindow;

use self::schedule::{Schedule, ScheduleError};

/// How many openings and closings are looked at to find the next time that lets the application through.
const LOOK_AHEAD: usize = 64;

/// Who wants something to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Automation,
    Person,
}

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) name: &'a str,
    pub(crate) spec: &'a ApplicationSpec,
    pub(crate) who: Who,
    /// When the release at hand began, Unix milliseconds.
    pub(crate) begun: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Open,
    Closed {
        /// Which window, and when it lets the application through.
        why: String,
        /// When to look again, Unix milliseconds; none when time alone changes nothing.
        again: Option<u64>,
    },
}

pub(crate) fn verdict(windows: &[SyncWindow], asked: Asked<'_>, now_ms: u64) -> Verdict {
    let mine: Vec<&SyncWindow> = windows
        .iter()
        .filter(|window| applies::applies(window, asked.name, asked.spec))
        .collect();
    if mine.is_empty() {
        return Verdict::Open;
    }
    let timed = match timed(&mine) {
        Ok(timed) => timed,
        Err(error) => {
            return Verdict::Closed {
                why: format!("the project has an invalid sync window: {error}"),
                again: None,
            };
        }
    };
    let Some(blocking) = blocking(&timed, asked.who, asked.begun, now_ms) else {
        return Verdict::Open;
    };
    let mut at = now_ms;
    let mut opens = false;
    for _ in 0..LOOK_AHEAD {
        let Some(next) = timed.iter().filter_map(|one| one.times.change(at)).min() else {
            break;
        };
        at = next;
        if self::blocking(&timed, asked.who, asked.begun, at).is_none() {
            opens = true;
            break;
        }
    }
    let when = if opens {
        format!(", until {}", schedule::words(at))
    } else {
        String::new()
    };
    Verdict::Closed {
        why: format!("{}{when}", blocking.words()),
        again: (at > now_ms).then_some(at),
    }
}

struct Timed<'a> {
    window: &'a SyncWindow,
    times: Schedule,
}

fn timed<'a>(windows: &[&'a SyncWindow]) -> Result<Vec<Timed<'a>>, ScheduleError> {
    windows
        .iter()
        .map(|window| {
            Ok(Timed {
                window,
                times: Schedule::of(window)?,
            })
        })
        .collect()
}

impl Timed<'_> {
    fn denies(&self) -> bool {
        self.window.kind.as_deref() == Some("deny")
    }

    fn allows(&self) -> bool {
        self.window.kind.as_deref() == Some("allow")
    }

    fn words(&self) -> String {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let window = self.window;
        let zone = match window.time_zone.as_deref() {
            None | Some("") => "UTC",
            Some(zone) => zone,
        };
        let about = match window.description.as_deref() {
            None | Some("") => String::new(),
            Some(about) => format!(" ({about})"),
        };
        format!(
            "{:?} for {} in {zone}{about}",
            text(&window.schedule),
            text(&window.duration)
        )
    }
}

/// What is in the way.
enum Blocking<'a> {
    Denied(&'a Timed<'a>),
    /// None of the windows that allow is open; the first of them.
    NotAllowed(&'a Timed<'a>),
}

impl Blocking<'_> {
    fn words(&self) -> String {
        match self {
            Self::Denied(window) => {
                format!("sync window {} denies it", window.words())
            }
            Self::NotAllowed(window) => format!(
                "no sync window that allows it is open, such as {}",
                window.words()
            ),
        }
    }
}

fn blocking<'a>(
    windows: &'a [Timed<'a>],
    who: Who,
    begun: Option<u64>,
    at: u64,
) -> Option<Blocking<'a>> {
    let denying: Vec<&Timed<'_>> = windows
        .iter()
        .filter(|one| one.denies() && one.times.is_active(at))
        .collect();
    let (in_the_way, blocking) = if let Some(first) = denying.first() {
        (denying.clone(), Blocking::Denied(first))
    } else {
        let allowing: Vec<&Timed<'_>> = windows.iter().filter(|one| one.allows()).collect();
        let first = allowing.first()?;
        if allowing.iter().any(|one| one.times.is_active(at)) {
            return None;
        }
        (allowing.clone(), Blocking::NotAllowed(first))
    };
    let all = |is: fn(&SyncWindow) -> Option<bool>| {
        in_the_way
            .iter()
            .all(|one| is(one.window).unwrap_or_default())
    };
    if who == Who::Person && all(|window| window.manual_sync) {
        return None;
    }
    if let Some(begun) = begun
        && all(|window| window.sync_overrun)
        && self::blocking(windows, who, None, begun).is_none()
    {
        return None;
    }
    Some(blocking)
}

#[cfg(test)]
mod tests;
