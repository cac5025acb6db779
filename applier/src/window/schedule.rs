//! When a window is open.

use api::project::SyncWindow;
use cronexpr::{Crontab, MakeTimestamp};
use jiff::tz::TimeZone;

/// A schedule's longest text.
const MAX_SCHEDULE: usize = 256;

#[derive(Debug, thiserror::Error)]
pub(super) enum ScheduleError {
    #[error("{0:?} is no schedule of five fields such as \"0 22 * * *\"")]
    Schedule(String),
    #[error("{0:?} is no duration such as 1h30m")]
    Duration(String),
    #[error("{0:?} is neither allow nor deny")]
    Kind(String),
}

/// Half-open spans of one length, each from a time of the schedule.
pub(super) struct Schedule {
    starts: Crontab,
    length_ms: u64,
}

impl Schedule {
    pub(super) fn of(window: &SyncWindow) -> Result<Self, ScheduleError> {
        let kind = window.kind.as_deref().unwrap_or_default();
        if !matches!(kind, "allow" | "deny") {
            return Err(ScheduleError::Kind(cut(kind)));
        }
        let schedule = window.schedule.as_deref().unwrap_or_default();
        let duration = window.duration.as_deref().unwrap_or_default();
        let length_ms = api::settings::parse_duration(duration)
            .and_then(|time| u64::try_from(time.as_millis()).ok())
            .ok_or_else(|| ScheduleError::Duration(cut(duration)))?;
        let fields = schedule.split_whitespace().count();
        if fields != 5 || schedule.len() > MAX_SCHEDULE {
            return Err(ScheduleError::Schedule(cut(schedule)));
        }
        // As in Argo CD, a zone that isn't known is UTC.
        let zone = window
            .time_zone
            .as_deref()
            .filter(|zone| TimeZone::get(zone).is_ok())
            .unwrap_or("UTC");
        let starts = cronexpr::parse_crontab(&format!("{schedule} {zone}"))
            .map_err(|_| ScheduleError::Schedule(cut(schedule)))?;
        Ok(Self { starts, length_ms })
    }

    pub(super) fn is_active(&self, at: u64) -> bool {
        self.next(at.saturating_sub(self.length_ms))
            .is_some_and(|start| start <= at)
    }

    /// The next time after `at` when it may open or close.
    pub(super) fn change(&self, at: u64) -> Option<u64> {
        let begun = self
            .next(at.saturating_sub(self.length_ms))
            .filter(|start| *start <= at)
            .map(|start| start + self.length_ms);
        begun.into_iter().chain(self.next(at)).min()
    }

    /// The first start after `at`; none within four years.
    fn next(&self, at: u64) -> Option<u64> {
        let at = MakeTimestamp::from_millisecond(i64::try_from(at).ok()?).ok()?;
        let next = self.starts.find_next(at).ok()?;
        u64::try_from(next.timestamp().as_millisecond()).ok()
    }
}

/// For people, to the minute.
pub(super) fn words(at: u64) -> String {
    i64::try_from(at)
        .ok()
        .and_then(|at| jiff::Timestamp::from_millisecond(at).ok())
        .map(|at| at.strftime("%Y-%m-%d %H:%M UTC").to_string())
        .unwrap_or_default()
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_SCHEDULE).collect()
}
