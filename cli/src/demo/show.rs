//! What the demo prints: calm lines, with colour on a terminal only.
#![expect(clippy::print_stdout, reason = "showing is what the demo is for")]

use std::io::IsTerminal as _;
use std::sync::LazyLock;

use bus::message::state::Timeline;
use monitor::view::{View, stages};

static COLOUR: LazyLock<bool> =
    LazyLock::new(|| std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none());

fn paint(code: &str, text: &str) -> String {
    if *COLOUR {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// The title of a step.
pub(super) fn step(letter: char, title: &str) {
    println!("\n{}", paint("1", &format!("({letter}) {title}")));
}

/// One fact.
pub(super) fn fact(text: &str) {
    println!("    {text}");
}

/// A fact that was checked and holds.
pub(super) fn held(text: &str) {
    println!("  {} {text}", paint("32", "✓"));
}

/// A step that did not hold.
pub(super) fn failed(text: &str) {
    println!("  {} {text}", paint("31", "✗"));
}

/// A commit's way by stage: how long each took, and since the push.
pub(super) fn timeline(view: &View, pushed: u64) {
    let Some(operation) = &view.operation else {
        return;
    };
    fact(&format!(
        "{}  {}",
        view.app.name(),
        line(&operation.timeline, pushed)
    ));
}

fn line(timeline: &Timeline, pushed: u64) -> String {
    let noticed = timeline.trigger.as_ref().map(|trigger| trigger.noticed);
    let mut parts = Vec::new();
    if let Some(noticed) = noticed {
        parts.push(format!(
            "push +{} ms noticed",
            noticed.saturating_sub(pushed)
        ));
    }
    let mut end = noticed.unwrap_or(pushed);
    for stage in stages(timeline) {
        parts.push(format!("{} {} ms", stage.name.as_str(), stage.took));
        end = stage.ended;
    }
    format!(
        "{}  =  {} ms since the push",
        parts.join(" · "),
        end.saturating_sub(pushed)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use bus::message::desired::{Cause, Trigger};

    #[test]
    fn a_line_names_each_stage_and_the_whole() {
        let timeline = Timeline {
            trigger: Some(Trigger {
                cause: Cause::Webhook,
                hard: false,
                noticed: 1_010,
                fetched: 1_030,
                published: 1_032,
            }),
            rendered: Some(1_040),
            planned: Some(1_041),
            applied: Some(1_060),
            ..Timeline::default()
        };
        assert_eq!(
            line(&timeline, 1_000),
            "push +10 ms noticed · fetch 20 ms · desired 2 ms · render 8 ms · plan 1 ms · apply 19 ms  =  60 ms since the push"
        );
    }
}
