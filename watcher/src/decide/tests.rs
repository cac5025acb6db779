use std::sync::Arc;

use bus::message::desired::Setting;

use super::*;
use crate::affected::Inputs;

fn places(digits: &str) -> Vec<Place> {
    let place = |digit: char| Place {
        id: digit.to_string().into(),
        tree: Oid::from_str(&digit.to_string().repeat(40)).unwrap(),
    };
    digits.chars().map(place).collect()
}

fn file(name: char) -> Need {
    Need::File {
        url: format!("https://h/{name}"),
    }
}

/// Pairs of a need and the place it is at; `-` for none.
fn given(pairs: &[&str]) -> Vec<Given> {
    let one = |pair: &&str| Given {
        need: file(pair.chars().next().unwrap()),
        place: places(&pair[1..].replace('-', "")).pop(),
    };
    pairs.iter().map(one).collect()
}

fn published(digits: &str, dependencies: &[&str]) -> Published {
    let source = |place| PublishedSource {
        repo_url: "https://h/a".into(),
        chart: None,
        target: "main".into(),
        place: Some(place),
        about: None,
    };
    Published {
        generation: Generation(7),
        uid: "u".into(),
        at: 1_000,
        state: State::Present {
            content: Digest::of(b"same"),
            rendering: Box::default(),
            sources: places(digits).into_iter().map(source).collect(),
            dependencies: given(dependencies).into(),
            begun: Begun::default(),
        },
    }
}

fn rendered(generation: u64) -> Record {
    let outcome = Outcome::Rendered(Some(Arc::new(Inputs::default())));
    Record::of(Generation(generation), outcome)
}

fn asking(outcome: Outcome, needs: &[char]) -> Record {
    Record {
        needs: needs.iter().copied().map(file).collect(),
        ..Record::of(Generation(7), outcome)
    }
}

struct Case {
    published: Option<Published>,
    render: Option<Record>,
    offered: Option<Digest>,
    rendering: Rendering,
    sources: &'static str,
    dependencies: &'static [&'static str],
    verified: Option<&'static str>,
    forced: Option<Cause>,
    content: Digest,
    rounds: usize,
    overdue_before: u64,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            published: Some(published("1", &[])),
            render: Some(rendered(7)),
            offered: None,
            rendering: Rendering::default(),
            sources: "1",
            dependencies: &[],
            verified: None,
            forced: None,
            content: Digest::of(b"same"),
            rounds: 0,
            overdue_before: 0,
        }
    }
}

impl Case {
    fn decide(&self) -> Decision {
        let verified = self.verified.map(places);
        let facts = Facts {
            content: &self.content,
            rendering: &self.rendering,
            sources: &places(self.sources),
            dependencies: &given(self.dependencies),
            published: self.published.as_ref(),
            render: self.render.as_ref(),
            capabilities: self.offered.as_ref(),
            verified: verified.as_deref(),
            forced: self.forced,
            rounds: self.rounds,
            overdue_before: self.overdue_before,
        };
        decide(facts, Cause::Poll)
    }
}

#[test]
fn what_used_the_clusters_capabilities_follows_them() {
    let used = |generation, capabilities, outcome| Case {
        render: Some(Record {
            capabilities,
            outcome,
            ..rendered(generation)
        }),
        offered: Some(Digest::of(b"now")),
        ..Case::default()
    };
    let good = || Outcome::Rendered(None);
    let (then, now) = (Some(Digest::of(b"then")), Some(Digest::of(b"now")));
    let again = Decision::Publish(Cause::Application);
    assert_eq!(used(7, then.clone(), good()).decide(), again);
    assert_eq!(used(7, now.clone(), good()).decide(), Decision::Current);
    assert_eq!(used(7, None, good()).decide(), Decision::Current);
    // It may have failed for want of them.
    assert_eq!(used(7, None, Outcome::Failed).decide(), again);
    assert_eq!(used(7, now, Outcome::Failed).decide(), Decision::Current);
    // A newer one is on its way to be rendered.
    assert_eq!(used(6, then, good()).decide(), Decision::Current);
}

#[test]
fn a_changed_setting_concerns_renders_that_used_it_and_those_that_did_not_succeed() {
    let now = || Rendering {
        kustomize_build_options: "--enable-helm".to_owned(),
        ..Rendering::default()
    };
    let case = |settings: &[Setting], outcome| Case {
        render: Some(Record {
            settings: settings
                .iter()
                .map(|setting| (*setting, Rendering::default().digest(*setting)))
                .collect(),
            outcome,
            ..rendered(7)
        }),
        rendering: now(),
        ..Case::default()
    };
    let again = Decision::Publish(Cause::Application);
    let good = || Outcome::Rendered(None);
    assert_eq!(
        case(&[Setting::KustomizeBuildOptions], good()).decide(),
        again
    );
    assert_eq!(
        case(&[Setting::ValuesFileSchemes], good()).decide(),
        Decision::Current
    );
    assert_eq!(case(&[], Outcome::Failed).decide(), again);
    let in_flight = Case {
        render: None,
        rendering: now(),
        ..Case::default()
    };
    assert_eq!(in_flight.decide(), again);
}

#[test]
fn what_was_never_published_is() {
    let case = Case {
        published: None,
        ..Case::default()
    };
    assert_eq!(case.decide(), Decision::Publish(Cause::Application));
}

#[test]
fn the_same_revisions_and_content_need_nothing() {
    assert_eq!(Case::default().decide(), Decision::Current);
}

#[test]
fn a_changed_specification_is_published_whatever_the_files() {
    let case = Case {
        content: Digest::of(b"other"),
        ..Case::default()
    };
    assert_eq!(case.decide(), Decision::Publish(Cause::Application));
}

#[test]
fn a_new_revision_of_any_source_is_compared_with_what_the_newest_render_read() {
    let moved = |verified| Case {
        published: Some(published("12", &[])),
        sources: "13",
        verified,
        ..Case::default()
    };
    assert_eq!(moved(None).decide(), Decision::Compare(Generation(7)));
    assert_eq!(moved(Some("13")).decide(), Decision::Current);
    assert_eq!(moved(Some("14")).decide(), Decision::Compare(Generation(7)));
}

#[test]
fn a_new_commit_over_a_render_in_flight_or_failed_is_published() {
    for render in [rendered(6), asking(Outcome::Failed, &[])] {
        let case = Case {
            sources: "2",
            render: Some(render),
            ..Case::default()
        };
        assert_eq!(case.decide(), Decision::Publish(Cause::Poll));
    }
}

#[test]
fn a_generation_without_outcome_is_published_again_when_it_is_overdue() {
    let case = |render, overdue_before| Case {
        render,
        overdue_before,
        ..Case::default()
    };
    assert_eq!(case(None, 500).decide(), Decision::Current);
    assert_eq!(case(None, 2_000).decide(), Decision::Publish(Cause::Again));
    assert_eq!(case(Some(rendered(7)), 2_000).decide(), Decision::Current);
    let waits = asking(Outcome::Incomplete, &['a']);
    assert_eq!(case(Some(waits), 2_000).decide(), Decision::Current);
}

#[test]
fn a_hard_refresh_is_published_though_nothing_changed() {
    let case = Case {
        forced: Some(Cause::Refresh),
        ..Case::default()
    };
    assert_eq!(case.decide(), Decision::Publish(Cause::Refresh));
}

#[test]
fn a_render_that_waits_is_published_when_all_it_asked_for_is_there() {
    let case = |dependencies| Case {
        published: Some(published("1", &["a1"])),
        render: Some(asking(Outcome::Incomplete, &['a', 'b', 'c'])),
        dependencies,
        ..Case::default()
    };
    let more = Decision::Publish(Cause::Dependency);
    assert_eq!(case(&["a1"]).decide(), Decision::Current);
    assert_eq!(case(&["a1", "b2", "c-"]).decide(), Decision::Current);
    assert_eq!(case(&["a1", "b2", "c3"]).decide(), more);
}

#[test]
fn a_render_that_got_all_and_still_waits_is_not_published_for_ever() {
    let case = |rounds, dependencies: &[&str]| Case {
        published: Some(published("1", dependencies)),
        render: Some(asking(Outcome::Incomplete, &['a'])),
        dependencies: &["a1"],
        rounds,
        ..Case::default()
    };
    let given = case(0, &["a1"]);
    assert_eq!(given.decide(), Decision::Current);
    let said = waits_in_vain(given.published.as_ref(), given.render.as_ref(), 0);
    assert!(said.unwrap().contains("still waits"));
    let turning = case(Need::MAX_ROUNDS, &[]);
    assert_eq!(turning.decide(), Decision::Current);
    let said = waits_in_vain(
        turning.published.as_ref(),
        turning.render.as_ref(),
        turning.rounds,
    );
    assert!(said.unwrap().contains("refers to itself"));
    let fresh = case(0, &[]);
    assert_eq!(fresh.decide(), Decision::Publish(Cause::Dependency));
    assert_eq!(
        waits_in_vain(fresh.published.as_ref(), fresh.render.as_ref(), 0),
        None
    );
}

#[test]
fn another_dependency_is_published_and_one_that_is_gone_is_not() {
    let case = |dependencies, outcome| Case {
        published: Some(published("1", &["a1"])),
        render: Some(asking(outcome, &['a'])),
        dependencies,
        ..Case::default()
    };
    let good = || Outcome::Rendered(None);
    let news = Decision::Publish(Cause::Dependency);
    assert_eq!(case(&["a1"], good()).decide(), Decision::Current);
    assert_eq!(case(&["a-"], good()).decide(), Decision::Current);
    assert_eq!(case(&["a2"], good()).decide(), news);
    assert_eq!(case(&["a2"], Outcome::Failed).decide(), news);
    // What it no longer asks for doesn't count.
    assert_eq!(case(&["a1", "b2"], good()).decide(), Decision::Current);
}

#[test]
fn with_a_new_commit_a_new_dependency_is_published_without_comparing() {
    let case = Case {
        published: Some(published("1", &["a1"])),
        render: Some(Record {
            needs: [file('a')].into(),
            ..rendered(7)
        }),
        sources: "2",
        dependencies: &["a2"],
        ..Case::default()
    };
    assert_eq!(case.decide(), Decision::Publish(Cause::Dependency));
}
