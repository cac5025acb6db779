//! The overview: a row per service, a column per environment; a plain list where that would be mostly empty.

use std::collections::{BTreeMap, BTreeSet};

use bus::message::state::HealthStatus;
use maud::{Markup, html};

use crate::page::badge::{Tone, ago, badge, health, health_tone, revision, sync};
use crate::page::filter::Filter;
use crate::view::{View, is_error};

/// More columns than this are no matrix that anyone reads.
const MAX_COLUMNS: usize = 40;

pub(crate) fn body(views: &[View], filter: &Filter, now_ms: u64) -> Markup {
    let shown: Vec<&View> = views.iter().filter(|view| filter.shows(view)).collect();
    html! {
        h1 class="unseen" { "Applications" }
        (counts(views, shown.len()))
        @if views.is_empty() {
            section class="notice" {
                h2 { "No applications yet" }
                p { "Apply an Argo CD " code { "Application" } " and it shows here." }
            }
        } @else if shown.is_empty() {
            section class="notice" { p { "No application matches. " a href="/" { "Show all" } } }
        } @else if is_dense(&shown) {
            (matrix(&shown))
        } @else {
            (list(&shown, now_ms))
        }
    }
}

/// Whether at least a third of the matrix would be filled.
fn is_dense(shown: &[&View]) -> bool {
    let rows: BTreeSet<&str> = shown.iter().map(|view| view.service.as_str()).collect();
    let columns: BTreeSet<&str> = shown.iter().map(|view| view.environment.as_str()).collect();
    columns.len() <= MAX_COLUMNS && shown.len() * 3 >= rows.len() * columns.len()
}

fn counts(views: &[View], shown: usize) -> Markup {
    let of = |status: HealthStatus| {
        views
            .iter()
            .filter(|view| view.health.status == status)
            .count()
    };
    let conditions = |view: &&View| {
        view.conditions
            .iter()
            .any(|condition| is_error(condition.kind))
    };
    let wrong = views.iter().filter(conditions).count();
    html! {
        p class="counts" data-cell="counts" {
            strong { (shown) }
            @if shown != views.len() { " of " (views.len()) }
            " applications"
            @for status in HealthStatus::ALL {
                @let count = of(status);
                @if count > 0 {
                    @let (tone, sign) = health_tone(status);
                    " "
                    a href=(format!("/?health={}", status.as_str())) {
                        (badge(tone, sign, &format!("{count} {}", status.as_str())))
                    }
                }
            }
            @if wrong > 0 { " " (badge(Tone::Bad, "!", &format!("{wrong} with errors"))) }
        }
    }
}

fn matrix(shown: &[&View]) -> Markup {
    let columns: BTreeSet<&str> = shown.iter().map(|view| view.environment.as_str()).collect();
    let mut rows: BTreeMap<&str, BTreeMap<&str, Vec<&View>>> = BTreeMap::new();
    for view in shown {
        rows.entry(&view.service)
            .or_default()
            .entry(&view.environment)
            .or_default()
            .push(view);
    }
    html! {
        div class="scroll" {
            table class="matrix" {
                thead { tr { th scope="col" { "Service" } @for column in &columns { th scope="col" { (column) } } } }
                tbody {
                    @for (service, cells) in &rows {
                        tr {
                            th scope="row" { (service) }
                            @for column in &columns {
                                @let cell = cells.get(column);
                                td data-label=(column) data-cell=(format!("{service}|{column}")) class=[cell.is_none().then_some("empty")] {
                                    @for view in cell.into_iter().flatten() { (instance(view)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn instance(view: &View) -> Markup {
    html! {
        a class="instance" href=(address(view)) title=(view.health.message) {
            span class="line" { (revisions(view)) (marks(view)) }
            span class="line" { (health(view.health.status)) (sync(view.sync)) }
        }
    }
}

fn list(shown: &[&View], now_ms: u64) -> Markup {
    html! {
        div class="scroll" {
            table class="list" {
                thead { tr {
                    @for head in ["Application", "Environment", "Revision", "Health", "Sync", "Released"] { th scope="col" { (head) } }
                } }
                tbody {
                    @for view in shown {
                        tr data-cell=(view.app) {
                            th scope="row" { a href=(address(view)) { (view.app.name()) } }
                            td data-label="Environment" { (view.environment) }
                            td data-label="Revision" { span class="line" { (revisions(view)) (marks(view)) } }
                            td data-label="Health" { (health(view.health.status)) }
                            td data-label="Sync" { (sync(view.sync)) }
                            td data-label="Released" {
                                @if let Some(last) = view.history.last() { (ago(last.finished, now_ms)) } @else { "–" }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn address(view: &View) -> String {
    format!("/applications/{}", view.app)
}

fn revisions(view: &View) -> Markup {
    html! {
        @if view.revisions.is_empty() { span class="dim" { "no revision" } }
        @for one in &view.revisions { (revision(one)) }
    }
}

/// What one should know before trusting the cell.
fn marks(view: &View) -> Markup {
    html! {
        @if let Some(pin) = &view.pin { (badge(Tone::Quiet, "⊙", &format!("pinned to {}{}", pin.release, pin.until.words()))) }
        @if view.deleting { (badge(Tone::Busy, "✂", "deleting")) }
        @if view.observe { (badge(Tone::Quiet, "◌", "observed")) }
        @if let Some(condition) = view.conditions.iter().find(|condition| is_error(condition.kind)) {
            (badge(Tone::Bad, "!", condition.kind.as_str()))
        }
    }
}
