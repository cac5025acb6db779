//! What people see of a build: a spinner with the elapsed time on a terminal,
//! plain lines anywhere else. Always on stderr, which no program parses.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

pub(super) struct Progress {
    what: String,
    started: Instant,
    spinner: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn start(what: &str, takes: &str) -> Self {
        let text = format!("building {what} (once per machine, {takes}) …");
        let spinner = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let spinner = ProgressBar::new_spinner().with_style(style);
            spinner.set_message(text.clone());
            spinner.enable_steady_tick(Duration::from_millis(120));
            spinner
        });
        if spinner.is_none() {
            line(&text);
        }
        Self {
            what: what.to_owned(),
            started: Instant::now(),
            spinner,
        }
    }

    pub(super) fn done(self) {
        let text = format!("built {} in {}", self.what, human(self.started.elapsed()));
        self.end(&text);
    }

    /// The error says what went wrong; this only says that the wait is over.
    pub(super) fn failed(self) {
        let text = format!(
            "building {} failed after {}",
            self.what,
            human(self.started.elapsed())
        );
        self.end(&text);
    }

    fn end(self, text: &str) {
        if let Some(spinner) = self.spinner {
            spinner.finish_and_clear();
        }
        line(text);
    }
}

/// A plain line. That it can't be written is nothing a build should fail for.
pub(super) fn line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn human(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_minutes_and_seconds() {
        assert_eq!(human(Duration::from_secs(7)), "7s");
        assert_eq!(human(Duration::from_secs(192)), "3m12s");
        assert_eq!(human(Duration::from_mins(1)), "1m00s");
    }
}
