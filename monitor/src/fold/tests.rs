use bus::Generation;
use bus::message::state::{HealthStatus, SyncStatus};

use super::*;
use crate::sample;

fn watcher(parts: &mut Parts) -> &mut WatcherState {
    &mut parts.watcher.values_mut().next().unwrap().state
}

fn here(parts: &mut Parts) -> &mut InCluster {
    parts.clusters.values_mut().next().unwrap()
}

fn live(parts: &mut Parts) -> &mut ApplierState {
    &mut here(parts).applier.as_mut().unwrap().state
}

fn view(parts: &Parts) -> View {
    fold(&sample::app("dome"), parts)
}

fn verified(revision: &str) -> Verified {
    Verified {
        repo_url: sample::REPOSITORY.to_owned(),
        target_revision: "main".to_owned(),
        revision: revision.to_owned(),
        time: sample::NOW,
    }
}

fn shown(parts: &Parts, verified: &Verified) -> Vec<String> {
    let key = subject::branch(sample::REPOSITORY, "main");
    view(parts).joined_revisions(|branch| (branch == key).then_some(verified))
}

#[test]
fn what_the_applier_says_is_live_is_shown() {
    let view = view(&sample::parts("dome"));
    assert_eq!(
        (view.sync, view.health.status),
        (SyncStatus::Synced, HealthStatus::Healthy)
    );
    assert_eq!(view.revisions, [sample::revision(3)]);
    assert_eq!(view.resources.len(), 3);
    assert!(view.automated && view.is_current() && !view.deleting);
}

#[test]
fn without_an_applier_nothing_is_known_to_be_live() {
    let mut parts = sample::parts("dome");
    here(&mut parts).applier = None;
    let view = view(&parts);
    assert_eq!(
        (view.sync, view.health.status),
        (SyncStatus::Unknown, HealthStatus::Missing)
    );
    assert_eq!(view.revisions, [sample::revision(3)]);
    assert_eq!(view.live_generation, None);
}

#[test]
fn without_a_desired_state_even_that_is_unknown() {
    let view = view(&Parts {
        declared: sample::parts("dome").declared,
        ..Parts::default()
    });
    assert_eq!(
        (view.sync, view.health.status),
        (SyncStatus::Unknown, HealthStatus::Unknown)
    );
    assert_eq!(view.sources[0].target_revision, "main");
}

#[test]
fn a_failed_render_is_said_while_the_last_good_state_stays() {
    let mut parts = sample::parts("dome");
    watcher(&mut parts).generation = Some(Generation(4));
    let mut failed = sample::renderer("dome", 4);
    failed.conditions = vec![sample::render_error()];
    here(&mut parts).renderer = Some(failed);
    let view = view(&parts);
    assert_eq!(view.sync, SyncStatus::Unknown);
    assert_eq!(view.health.status, HealthStatus::Healthy);
    assert_eq!(view.revisions, [sample::revision(3)]);
    assert_eq!(view.conditions, [sample::render_error()]);
    assert_eq!(view.resources.len(), 3);
}

#[test]
fn what_was_said_of_an_older_generation_is_over() {
    let mut parts = sample::parts("dome");
    let mut failed = sample::renderer("dome", 2);
    failed.conditions = vec![sample::render_error()];
    here(&mut parts).renderer = Some(failed);
    assert_eq!(view(&parts).conditions, []);
}

#[test]
fn a_condition_that_several_say_is_shown_once_since_it_was_first_said() {
    let mut parts = sample::parts("dome");
    let earlier = Condition {
        since: 5,
        ..sample::render_error()
    };
    watcher(&mut parts).conditions = vec![sample::render_error()];
    live(&mut parts).conditions = vec![earlier.clone()];
    assert_eq!(view(&parts).conditions, [earlier]);
}

#[test]
fn errors_come_first_and_there_is_an_end_of_them() {
    let mut parts = sample::parts("dome");
    live(&mut parts).pin = Some(sample::pin(2));
    live(&mut parts).conditions = (0..200)
        .map(|number| Condition::new(ConditionType::SyncError, &number.to_string(), 1))
        .chain([Condition::new(
            ConditionType::UnknownFieldWarning,
            "spec.x",
            1,
        )])
        .collect();
    let view = view(&parts);
    assert_eq!(view.conditions.len(), MAX_CONDITIONS);
    assert_eq!(view.conditions[0].kind, ConditionType::SyncError);
}

#[test]
fn a_pin_is_a_condition_that_names_who_holds_it() {
    let mut parts = sample::parts("dome");
    live(&mut parts).pin = Some(sample::pin(2));
    let conditions = view(&parts).conditions;
    assert_eq!(conditions[0].kind, ConditionType::Pinned);
    assert_eq!(conditions[0].message, "held at release 2 by vera");
}

#[test]
fn an_unaffected_application_shows_the_newest_checked_commit() {
    let parts = sample::parts("dome");
    assert_eq!(shown(&parts, &verified("newest")), ["newest"]);
}

#[test]
fn of_several_sources_only_the_checked_one_moves_on_and_none_while_one_is_broken() {
    let mut parts = sample::parts("dome");
    let mut chart = watcher(&mut parts).sources[0].clone();
    chart.repo_url = "https://charts.example.org".to_owned();
    chart.target_revision = "1.x".to_owned();
    chart.revision = Some("1.2.0".to_owned());
    watcher(&mut parts).sources.insert(0, chart);
    live(&mut parts).revisions.insert(0, "1.2.0".to_owned());
    assert_eq!(shown(&parts, &verified("newest")), ["1.2.0", "newest"]);
    let broken = Condition::new(ConditionType::ComparisonError, "spec.sources[0]: down", 0);
    watcher(&mut parts).conditions.push(broken);
    let before = ["1.2.0".to_owned(), sample::revision(3)];
    assert_eq!(shown(&parts, &verified("newest")), before);
}

#[test]
fn a_commit_that_was_checked_before_the_newest_generation_is_not_shown_in_its_place() {
    let mut parts = sample::parts("dome");
    let generation = Generation(sample::NOW + 1);
    watcher(&mut parts).generation = Some(generation);
    live(&mut parts).generation = generation;
    assert_eq!(shown(&parts, &verified("older")), [sample::revision(3)]);
}

#[test]
fn an_application_that_lags_shows_what_it_was_compared_with() {
    let mut parts = sample::parts("dome");
    watcher(&mut parts).generation = Some(Generation(4));
    assert_eq!(shown(&parts, &verified("newest")), [sample::revision(3)]);
}

#[test]
fn an_application_held_at_an_older_release_shows_that_one() {
    let mut parts = sample::parts("dome");
    live(&mut parts).revisions = vec![sample::revision(1)];
    assert_eq!(shown(&parts, &verified("newest")), [sample::revision(1)]);
}

#[test]
fn the_state_of_an_object_that_was_deleted_and_made_anew_does_not_count() {
    let mut parts = sample::parts("dome");
    live(&mut parts).uid = "an-older-uid".to_owned();
    let view = view(&parts);
    assert_eq!(view.sync, SyncStatus::Unknown);
    assert!(view.resources.is_empty());
    assert_eq!(view.deleted, None);
}

#[test]
fn a_moved_application_is_shown_where_it_goes_now() {
    let mut parts = sample::parts("dome");
    let edge = ClusterId::new("edge").unwrap();
    let mut moved = sample::watcher("dome", 4);
    moved.cluster = Some(edge.clone());
    parts.watcher.insert(
        Some(edge.clone()),
        Box::new(Heard {
            order: 2,
            state: moved,
        }),
    );
    live(&mut parts).deleted = Some("uid-dome".to_owned());
    let view = view(&parts);
    assert_eq!(view.cluster, Some(edge));
    assert_eq!(view.sync, SyncStatus::Unknown);
}

#[test]
fn a_deletion_is_done_when_every_cluster_says_so() {
    let mut parts = sample::parts("dome");
    live(&mut parts).deleted = Some("uid-dome".to_owned());
    assert_eq!(view(&parts).deleted.as_deref(), Some("uid-dome"));
    let elsewhere = InCluster {
        applier: Some(Live::from(sample::applier("dome", 2))),
        ..InCluster::default()
    };
    parts
        .clusters
        .insert(ClusterId::new("edge").unwrap(), Box::new(elsewhere));
    assert_eq!(view(&parts).deleted, None);
}

#[test]
fn an_object_whose_destination_never_matched_can_go() {
    let mut parts = sample::parts("dome");
    parts.clusters.clear();
    watcher(&mut parts).deleting = true;
    assert_eq!(view(&parts).deleted, None);
    watcher(&mut parts).cluster = None;
    watcher(&mut parts).generation = None;
    assert_eq!(view(&parts).deleted.as_deref(), Some("uid-dome"));
}

#[test]
fn rows_and_columns_come_from_labels_or_names() {
    assert_eq!(without_environment("shop-prod", "prod"), "shop");
    assert_eq!(without_environment("prod-shop", "in-cluster/prod"), "shop");
    assert_eq!(without_environment("prod", "prod"), "prod");
    assert_eq!(without_environment("shop", "in-cluster/"), "shop");
    let view = view(&sample::parts("dome-summit"));
    assert_eq!(view.environment, "in-cluster/summit");
    assert_eq!(
        fold(&sample::app("dome-summit"), &sample::parts("dome-summit")).service,
        "dome"
    );
}

#[test]
fn a_view_survives_the_api() {
    let view = view(&sample::parts("dome"));
    let json = serde_json::to_value(&view).unwrap();
    let back: View = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(back).unwrap(), json);
}
