use std::collections::HashMap;

use bus::message::condition::{Condition, ConditionType};
use bus::message::render::Input;
use bus::{AppId, ClusterId, Digest};

use super::*;
use crate::tree::Unreadable;

struct Files(HashMap<&'static str, Oid>);

impl Lookup for Files {
    fn object(&mut self, path: &str) -> Result<Option<Oid>, Unreadable> {
        if path == "broken" {
            return Err(Unreadable);
        }
        Ok(self.0.get(path).copied())
    }
}

fn oid(digit: char) -> Oid {
    Oid::from_str(&digit.to_string().repeat(40)).unwrap()
}

fn files(list: &[(&'static str, char)]) -> Files {
    Files(
        list.iter()
            .map(|(path, digit)| (*path, oid(*digit)))
            .collect(),
    )
}

fn at(digits: &str) -> Vec<Place> {
    let place = |digit: char| Place {
        id: digit.to_string().into(),
        tree: oid(digit),
    };
    digits.chars().map(place).collect()
}

fn render(inputs: &[(u32, &str, Option<char>)]) -> Render {
    Render {
        app: AppId::new("argocd", "web").unwrap(),
        cluster: ClusterId::in_cluster(),
        generation: Generation(7),
        parameters: Digest::of(b""),
        inputs: inputs
            .iter()
            .map(|(source, path, digit)| Input {
                source: *source,
                path: (*path).to_owned(),
                object: digit.map(|digit| digit.to_string().repeat(40)),
            })
            .collect(),
        values: Vec::new(),
        needs: Vec::new(),
        past: Vec::new(),
        outcome: RenderOutcome::Rendered {
            digest: Digest::of(b""),
            count: 1,
            size: 1,
            source_types: Vec::new(),
            conditions: Vec::new(),
        },
    }
}

/// Judges an application whose sources were at `before` and are at `now`, with the new trees of those that changed.
fn verdict(render: &Render, before: &str, now: &str, trees: &mut [Files]) -> Verdict {
    let record = Record::from(render);
    let (before, now) = (at(before), at(now));
    let Some((inputs, suspects)) = suspects(Generation(7), &before, Some(&record), &now) else {
        return Verdict::Affected;
    };
    let affected = suspects
        .into_iter()
        .any(|source| judge(inputs, source, &mut trees[source]) == Verdict::Affected);
    if affected {
        Verdict::Affected
    } else {
        Verdict::Unchanged
    }
}

fn one(render: &Render, tree: Files) -> Verdict {
    verdict(render, "1", "2", &mut [tree])
}

#[test]
fn a_commit_elsewhere_changes_nothing() {
    let render = render(&[(0, "web/a.yaml", Some('a')), (0, "web/b.yaml", None)]);
    let tree = files(&[("web/a.yaml", 'a'), ("other/c.yaml", 'c')]);
    assert_eq!(one(&render, tree), Verdict::Unchanged);
}

#[test]
fn a_changed_file_affects() {
    let render = render(&[(0, "web/a.yaml", Some('a'))]);
    assert_eq!(
        one(&render, files(&[("web/a.yaml", 'b')])),
        Verdict::Affected
    );
}

#[test]
fn a_file_that_appears_or_goes_affects() {
    let absent = render(&[(0, "web/values.yaml", None)]);
    assert_eq!(
        one(&absent, files(&[("web/values.yaml", 'b')])),
        Verdict::Affected
    );
    let present = render(&[(0, "web/values.yaml", Some('b'))]);
    assert_eq!(one(&present, files(&[])), Verdict::Affected);
}

#[test]
fn a_file_of_another_source_is_not_this_ones() {
    let render = render(&[(0, "a", Some('a')), (1, "a", Some('b'))]);
    let trees = || [files(&[("a", 'a')]), files(&[("a", 'b')])];
    assert_eq!(
        verdict(&render, "12", "34", &mut trees()),
        Verdict::Unchanged
    );
    let swapped = &mut [files(&[("a", 'b')]), files(&[("a", 'a')])];
    assert_eq!(verdict(&render, "12", "34", swapped), Verdict::Affected);
}

#[test]
fn a_source_that_stayed_is_not_looked_at() {
    let render = render(&[(0, "a", Some('a')), (1, "b", Some('b'))]);
    let unknown = &mut [files(&[]), files(&[("b", 'b')])];
    assert_eq!(verdict(&render, "12", "13", unknown), Verdict::Unchanged);
}

#[test]
fn a_render_that_used_the_commit_is_affected_by_each_of_that_source() {
    let mut render = render(&[]);
    render.values.push(PseudoInput::Revision { source: 1 });
    let trees = || [files(&[]), files(&[])];
    assert_eq!(
        verdict(&render, "12", "13", &mut trees()),
        Verdict::Affected
    );
    assert_eq!(
        verdict(&render, "12", "32", &mut trees()),
        Verdict::Unchanged
    );
}

#[test]
fn only_the_newest_generations_success_proves_anything() {
    let ok = render(&[]);
    let (before, now) = (at("1"), at("2"));
    let record = Record::from(&ok);
    assert!(suspects(Generation(8), &before, Some(&record), &now).is_none());
    assert!(suspects(Generation(7), &before, None, &now).is_none());
    for outcome in [
        RenderOutcome::Failed(Condition::new(ConditionType::ComparisonError, "x", 0)),
        RenderOutcome::Incomplete,
    ] {
        let other = Render {
            outcome,
            ..ok.clone()
        };
        assert_eq!(one(&other, files(&[])), Verdict::Affected);
    }
}

#[test]
fn a_record_that_cannot_be_read_proves_nothing() {
    let mut odd = render(&[(0, "a", Some('a'))]);
    odd.inputs[0].object = Some("main".to_owned());
    assert_eq!(one(&odd, files(&[("a", 'a')])), Verdict::Affected);
    let second = render(&[(1, "a", Some('a'))]);
    assert_eq!(one(&second, files(&[("a", 'a')])), Verdict::Affected);
}

#[test]
fn a_tree_that_cannot_be_read_proves_nothing() {
    let render = render(&[(0, "broken", None)]);
    assert_eq!(one(&render, files(&[])), Verdict::Affected);
}
