//! One application in full: what is wrong first, then what is live, how it came to be, and what happened.

use std::sync::Arc;

use bus::message::state::{Operation, ReleaseCause, ResultStatus, Timeline};
use maud::{Markup, html};

use crate::events::Recorded;
use crate::page::badge::{Tone, ago, badge, health, phase, revision, sync, took};
use crate::view::{Stage, StageName, View, is_error, stages};

pub(crate) fn body(view: &View, events: &[Arc<Recorded>], now_ms: u64) -> Markup {
    html! {
        nav { a href="/" { "All applications" } " / " (view.app.namespace()) }
        div class="title" {
            h1 { (view.app.name()) }
            (health(view.health.status))
            (sync(view.sync))
            @if let Some(pin) = &view.pin { (badge(Tone::Quiet, "⊙", &format!("pinned to release {}{}", pin.release, pin.until.words()))) }
            @if view.deleting { (badge(Tone::Busy, "✂", "deleting")) }
            @if view.observe { (badge(Tone::Quiet, "◌", "observed: nothing is applied")) }
        }
        (conditions(view, now_ms))
        @if !view.health.message.is_empty() {
            p class="message" { strong { (view.health.status.as_str()) ": " } (view.health.message) " " span class="dim" { "since " (ago(view.health.since, now_ms)) } }
        }
        (facts(view, now_ms))
        @if let Some(operation) = &view.operation { (release(operation, now_ms)) }
        (resources(view))
        (history(view, now_ms))
        (happened(events, now_ms))
    }
}

fn conditions(view: &View, now_ms: u64) -> Markup {
    html! {
        @if !view.conditions.is_empty() {
            ul class="conditions" {
                @for condition in &view.conditions {
                    li class=(if is_error(condition.kind) { "error" } else { "warning" }) {
                        strong { (condition.kind.as_str()) } " "
                        span class="dim" { (ago(condition.since, now_ms)) }
                        p { (condition.message) }
                    }
                }
            }
        }
    }
}

fn facts(view: &View, now_ms: u64) -> Markup {
    let to = view
        .destination
        .server()
        .or(view.destination.name())
        .unwrap_or("–");
    html! {
        dl class="facts" {
            div { dt { "Project" } dd { (view.project) } }
            div { dt { "Environment" } dd { (view.environment) } }
            div { dt { "Destination" } dd { (to) " / " (view.destination.namespace()) } }
            div { dt { "Releases" } dd { @if view.automated { "automatically" } @else { "on command" } } }
            @for source in &view.sources {
                div class="wide" { dt { "Source" } dd {
                    (source.repo_url) " " code { (source.part) } " at " code { (source.target()) }
                    @if let Some(newest) = &source.revision {
                        ": " (revision(newest))
                        @if let Some(commit) = &source.commit {
                            " " q { (commit.subject) } " by " (commit.author) ", " (ago(commit.time, now_ms))
                        }
                    }
                } }
            }
            @if !view.revisions.is_empty() {
                div { dt { "Compared with" } dd { @for one in &view.revisions { (revision(one)) " " } } }
            }
            @if !view.images.is_empty() {
                div class="wide" { dt { "Images" } dd { @for image in view.images.iter() { code { (image) } " " } } }
            }
        }
    }
}

fn release(operation: &Operation, now_ms: u64) -> Markup {
    let wrong = operation
        .results
        .iter()
        .filter(|result| match result.status {
            ResultStatus::SyncFailed | ResultStatus::PruneSkipped => true,
            ResultStatus::Synced | ResultStatus::Pruned => false,
        });
    html! {
        section {
            h2 { "Release " (operation.release) " " (phase(operation.phase)) }
            p {
                (cause(&operation.cause)) ", began " (ago(operation.started, now_ms))
                @if let Some(finished) = operation.finished { ", took " (took(finished.saturating_sub(operation.started))) }
                @if operation.retries > 0 { ", " (operation.retries) " retries" }
                @if !operation.message.is_empty() { ": " (operation.message) }
            }
            @for result in wrong {
                p class="message" { strong { (result.kind) " " (result.name) ": " } (result.message) }
            }
            (timeline(&operation.timeline))
        }
    }
}

/// The stages in proportion, and in numbers.
fn timeline(timeline: &Timeline) -> Markup {
    let stages = stages(timeline);
    let took_in_all = |stages: &[Stage]| {
        stages
            .iter()
            .fold(0_u64, |sum, stage| sum.saturating_add(stage.took))
    };
    let total = took_in_all(&stages);
    let scale = |ms: u64| u128::from(ms) * 1_000 / u128::from(total.max(1));
    html! {
        @if !stages.is_empty() {
            svg class="stages" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" {
                @for (number, stage) in stages.iter().enumerate() {
                    @let from = took_in_all(&stages[..number]);
                    rect class=(colour(stage.name)) x=(scale(from)) y="0" width=(scale(stage.took).max(2)) height="10" {}
                }
            }
            ol class="stages" {
                @for stage in &stages {
                    li { span class={ "swatch " (colour(stage.name)) } aria-hidden="true" {} (stage.name.as_str()) " " strong { (took(stage.took)) } }
                }
                li { "in all " strong { (took(total)) } }
            }
        }
    }
}

const fn colour(stage: StageName) -> &'static str {
    match stage {
        StageName::Fetch => "s1",
        StageName::Desired => "s2",
        StageName::Render => "s3",
        StageName::Plan => "s4",
        StageName::Apply => "s5",
        StageName::Healthy => "s6",
    }
}

fn resources(view: &View) -> Markup {
    html! {
        section {
            h2 { "Objects " span class="dim" { (view.resources.len()) } }
            @if view.resources.is_empty() {
                p class="dim" { "None is known yet." }
            } @else {
                div class="scroll" { table class="list" {
                    thead { tr { @for head in ["Kind", "Name", "Namespace", "Wave", "Sync", "Health", "Message"] { th scope="col" { (head) } } } }
                    tbody {
                        @for resource in view.resources.iter() {
                            tr {
                                td data-label="Kind" title=(format!("{}/{}", resource.group, resource.version)) { (resource.kind) }
                                th scope="row" { (resource.name) @if resource.hook { " " (badge(Tone::Quiet, "⚓", "hook")) } @if resource.prune { " " (badge(Tone::Busy, "−", "to prune")) } }
                                td data-label="Namespace" { (resource.namespace) }
                                td data-label="Wave" { (resource.wave) }
                                td data-label="Sync" { @if let Some(status) = resource.sync { (sync(status)) } }
                                td data-label="Health" { @if let Some(status) = resource.health { (health(status)) } }
                                td data-label="Message" class="text" { (resource.message) }
                            }
                        }
                    }
                } }
            }
        }
    }
}

fn history(view: &View, now_ms: u64) -> Markup {
    html! {
        section {
            h2 { "History" }
            @if view.history.is_empty() {
                p class="dim" { "No release yet." }
            } @else {
                div class="scroll" { table class="list" {
                    thead { tr { @for head in ["Release", "Revision", "Commit", "Cause", "Live", "Seen healthy"] { th scope="col" { (head) } } } }
                    tbody {
                        @for entry in view.history.iter().rev() {
                            tr {
                                th scope="row" { (entry.release) @if view.pin.as_ref().is_some_and(|pin| pin.release == entry.release) { " " (badge(Tone::Quiet, "⊙", "pinned")) } }
                                td data-label="Revision" { span { @for one in &entry.revisions { (revision(one)) " " } } }
                                td data-label="Commit" class="text" { @if let Some(commit) = entry.commit() { span { (commit.subject) span class="dim" { " by " (commit.author) } } } }
                                td data-label="Cause" { (cause(&entry.cause)) }
                                td data-label="Live" { (ago(entry.finished, now_ms)) }
                                td data-label="Seen healthy" { @if entry.healthy { "yes" } @else { "no" } }
                            }
                        }
                    }
                } }
                p class="dim" { "A rollback brings a release's manifests back; secrets in them have the values of now, unless a placeholder names its " code { "#version" } "." }
            }
        }
    }
}

fn cause(cause: &ReleaseCause) -> String {
    match cause {
        ReleaseCause::Automated => "a new desired state".to_owned(),
        ReleaseCause::SelfHeal => "drift, healed".to_owned(),
        ReleaseCause::Command { user, .. } => format!("sync by {user}"),
        ReleaseCause::Rollback { user, to } => format!("roll back to {to} by {user}"),
        ReleaseCause::Unpin { user } => format!("unpin by {user}"),
        ReleaseCause::OnFailure { to } => format!("roll back to {to} on failure"),
        ReleaseCause::SecretRotated { paths } => format!("secret rotated: {}", paths.join(", ")),
    }
}

fn happened(events: &[Arc<Recorded>], now_ms: u64) -> Markup {
    html! {
        section {
            h2 { "Events" }
            @if events.is_empty() {
                p class="dim" { "None of late." }
            } @else {
                div class="scroll" { table class="list" {
                    thead { tr { @for head in ["When", "What", "Message", "By"] { th scope="col" { (head) } } } }
                    tbody {
                        @for recorded in events.iter().rev() {
                            @let event = &recorded.event;
                            tr {
                                td data-label="When" class="short" { (ago(event.time, now_ms)) }
                                td data-label="What" class="short" { code { (event.kind.token()) } }
                                td data-label="Message" class="text" { (event.message) }
                                td data-label="By" class="short" { (event.user.as_deref().unwrap_or_default()) }
                            }
                        }
                    }
                } }
            }
        }
    }
}
