//! What commands print: tables for people, JSON or YAML for programs.
#![expect(clippy::print_stderr, reason = "printing is what this module is for")]

use std::fmt;
use std::io::{Write as _, stdout};

use bus::clock;
use bus::message::event::Event;
use bus::message::state::PinUntil;
use comfy_table::{ContentArrangement, Table, presets};
use monitor::view::{Summary, View};
use serde::Serialize;

use crate::state_file::StateFile;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    #[default]
    Table,
    Json,
    Yaml,
}

/// Prints a line. Where nobody reads any more (`towline get | head`), the command is done.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    if writeln!(stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// `value` in the format of programs; `people` prints it otherwise.
pub(crate) fn print<T: Serialize>(
    format: Format,
    value: &T,
    people: impl FnOnce(),
) -> anyhow::Result<()> {
    match format {
        Format::Table => people(),
        Format::Json => line(format_args!("{}", serde_json::to_string_pretty(value)?)),
        Format::Yaml => line(format_args!(
            "{}",
            serde_saphyr::to_string(value)?.trim_end()
        )),
    }
    Ok(())
}

/// A word to whoever waits, beside what the command prints.
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// Puts a word in the place of the last one; the cursor stays on the line.
pub(crate) fn same_line(text: &str) {
    eprint!("\r\x1b[K{text}");
}

/// A table without lines, as kubectl prints.
pub(crate) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head.iter().copied());
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for row in table.lines() {
        line(format_args!("{}", row.trim_end()));
    }
}

pub(crate) fn services(state: &StateFile) {
    table(
        &["SERVICE", "PID", "ADMIN"],
        state.services.iter().map(|service| {
            vec![
                service.name.clone(),
                service.pid.to_string(),
                service.admin.clone(),
            ]
        }),
    );
    line(format_args!(""));
    line(format_args!("page and API  {}", state.monitor));
    line(format_args!("webhook       {}", state.webhook));
    if let Some(kubeconfig) = &state.kubeconfig {
        line(format_args!("kubeconfig    {}", kubeconfig.display()));
    }
    line(format_args!("logs          {}", state.logs.display()));
}

pub(crate) fn summaries(list: &[Summary]) {
    table(
        &[
            "NAMESPACE",
            "NAME",
            "ENVIRONMENT",
            "SYNC",
            "HEALTH",
            "REVISION",
            "PHASE",
            "PINNED",
        ],
        list.iter().map(|app| {
            vec![
                app.app.namespace().to_owned(),
                app.app.name().to_owned(),
                app.environment.clone(),
                app.sync.as_str().to_owned(),
                app.health.status.as_str().to_owned(),
                app.revisions
                    .iter()
                    .map(|revision| short(revision))
                    .collect::<Vec<_>>()
                    .join(","),
                app.phase
                    .map_or_else(String::new, |phase| phase.as_str().to_owned()),
                app.pin
                    .as_ref()
                    .map_or_else(String::new, |pin| match pin.until {
                        PinUntil::Unpinned => format!("at {}", pin.release),
                        PinUntil::NewerRevision => format!("at {} until newer", pin.release),
                    }),
            ]
        }),
    );
}

pub(crate) fn view(view: &View) {
    let fact = |name: &str, value: &str| line(format_args!("{name:<14}{value}"));
    fact("Name", &view.app.to_string());
    fact("Project", &view.project);
    fact("Environment", &view.environment);
    fact("Sync", view.sync.as_str());
    fact(
        "Health",
        &join(view.health.status.as_str(), &view.health.message),
    );
    for source in &view.sources {
        let revision = source
            .revision
            .as_deref()
            .map_or_else(|| "?".to_owned(), short);
        fact(
            "Source",
            &format!(
                "{} {} {} ({revision})",
                source.repo_url,
                source.part,
                source.target()
            ),
        );
        if let Some(commit) = &source.commit {
            fact("Commit", &format!("{}: {}", commit.author, commit.subject));
        }
    }
    if let Some(pin) = &view.pin {
        fact(
            "Pinned",
            &format!(
                "at release {}{} by {}, {}",
                pin.release,
                pin.until.words(),
                pin.user,
                ago(pin.since)
            ),
        );
    }
    if let Some(operation) = &view.operation {
        let said = format!("{} {}", operation.phase.as_str(), operation.message);
        fact(
            "Release",
            &format!("{}: {}", operation.release, said.trim()),
        );
    }
    for condition in &view.conditions {
        fact(
            "Condition",
            &format!("{}: {}", condition.kind.as_str(), condition.message),
        );
    }
    line(format_args!(""));
    table(
        &[
            "WAVE",
            "KIND",
            "NAMESPACE",
            "NAME",
            "SYNC",
            "HEALTH",
            "MESSAGE",
        ],
        view.resources.iter().map(|resource| {
            vec![
                resource.wave.to_string(),
                resource.kind.clone(),
                resource.namespace.clone(),
                resource.name.clone(),
                resource.sync.map_or_else(
                    || {
                        if resource.hook {
                            "hook".into()
                        } else {
                            String::new()
                        }
                    },
                    |sync| sync.as_str().into(),
                ),
                resource
                    .health
                    .map_or_else(String::new, |health| health.as_str().to_owned()),
                one_line(&resource.message),
            ]
        }),
    );
}

pub(crate) fn history(view: &View) {
    table(
        &[
            "ID", "DEPLOYED", "REVISION", "HEALTHY", "CAUSE", "BY", "AUTHOR", "COMMIT",
        ],
        view.history.iter().rev().map(|entry| {
            vec![
                entry.release.to_string(),
                ago(entry.finished),
                entry
                    .revisions
                    .iter()
                    .map(|revision| short(revision))
                    .collect::<Vec<_>>()
                    .join(","),
                if entry.healthy { "yes" } else { "no" }.to_owned(),
                cause(&entry.cause),
                entry.cause.user().unwrap_or("-").to_owned(),
                entry
                    .commit()
                    .map_or_else(|| "-".to_owned(), |commit| one_line(&commit.author)),
                entry
                    .commit()
                    .map_or_else(|| "-".to_owned(), |commit| one_line(&commit.subject)),
            ]
        }),
    );
}

pub(crate) fn event(event: &Event) {
    let when = i64::try_from(event.time)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .unwrap_or_default();
    line(format_args!(
        "{when:.3}  {:<28}  {:<20}  {}",
        event.app.to_string(),
        event.kind.token(),
        one_line(&event.message)
    ));
}

/// The first eight digits of a commit; other revisions as they are.
pub(crate) fn short(revision: &str) -> String {
    let is_commit = revision.len() >= 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_commit {
        revision[..8].to_owned()
    } else {
        revision.to_owned()
    }
}

fn cause(cause: &bus::message::state::ReleaseCause) -> String {
    use bus::message::state::ReleaseCause as Cause;
    match cause {
        Cause::Automated => "automated".to_owned(),
        Cause::SelfHeal => "self-heal".to_owned(),
        Cause::Command { .. } => "sync".to_owned(),
        Cause::Rollback { .. } => "rollback".to_owned(),
        Cause::Unpin { .. } => "unpin".to_owned(),
        Cause::OnFailure { .. } => "rollback on failure".to_owned(),
        Cause::SecretRotated { paths } => format!("secret rotated: {}", paths.join(", ")),
    }
}

pub(crate) fn ago(ms: u64) -> String {
    let seconds = clock::now_ms().saturating_sub(ms) / 1000;
    match seconds {
        0..60 => format!("{seconds}s ago"),
        60..3_600 => format!("{}m ago", seconds / 60),
        3_600..86_400 => format!("{}h ago", seconds / 3_600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

fn join(status: &str, message: &str) -> String {
    if message.is_empty() {
        status.to_owned()
    } else {
        format!("{status}: {}", one_line(message))
    }
}

pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
