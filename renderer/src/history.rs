//! Earlier renders of an application, in the record of its last one, so that a way back (a commit reverted, a failure
//! repaired) costs no render. Pure.
//!
//! Each is kept as what it read otherwise than the next newer one: that is little, since most commits change few files.

use std::collections::BTreeMap;

use bus::message::render::{Input, Otherwise, Past, Render, RenderOutcome};

/// Bytes that an entry takes beside its paths and object ids, about.
const ENTRY: usize = 512;
/// Bytes that a difference takes beside its path, about.
const DIFFERENCE: usize = 80;

/// Inputs by source and path.
pub(crate) type Inputs<'a> = BTreeMap<(u32, &'a str), &'a Input>;

pub(crate) fn by_place(inputs: &[Input]) -> Inputs<'_> {
    inputs
        .iter()
        .map(|input| ((input.source, input.path.as_str()), input))
        .collect()
}

/// From one render's inputs to those of the one before it.
pub(crate) fn step_back<'a>(inputs: &mut Inputs<'a>, past: &'a Past) {
    for difference in &past.otherwise {
        match difference {
            Otherwise::Read(input) => inputs.insert(difference.place(), input),
            Otherwise::NotRead { .. } => inputs.remove(&difference.place()),
        };
    }
}

/// What a record keeps of the renders before it, given the last one.
pub(crate) fn before(now: &Render, last: Render) -> Vec<Past> {
    let step = differences(&now.inputs, &last.inputs);
    let is_other =
        !step.is_empty() || last.parameters != now.parameters || last.values != now.values;
    let mut past = Vec::with_capacity(last.past.len() + 1);
    let mut rest = last.past.into_iter();
    match last.outcome {
        RenderOutcome::Rendered {
            digest,
            count,
            size,
            source_types,
            conditions,
        } if is_other => past.push(Past {
            parameters: last.parameters,
            otherwise: step,
            values: last.values,
            needs: last.needs,
            digest,
            count,
            size,
            source_types,
            conditions,
        }),
        // It isn't kept itself: the one before it is told by its difference from now.
        _ => past.extend(rest.next().map(|first| Past {
            otherwise: joined(step, first.otherwise),
            ..first
        })),
    }
    past.extend(rest);
    if let Some(same) = position_of(now, &past) {
        leave_out(&mut past, same);
    }
    bound(&mut past);
    past
}

/// Where among the earlier ones a render is that read the same.
fn position_of(now: &Render, past: &[Past]) -> Option<usize> {
    let current = by_place(&now.inputs);
    let mut inputs = current.clone();
    past.iter().position(|past| {
        step_back(&mut inputs, past);
        past.parameters == now.parameters && past.values == now.values && inputs == current
    })
}

fn leave_out(past: &mut Vec<Past>, index: usize) {
    let removed = past.remove(index);
    if let Some(older) = past.get_mut(index) {
        let step = std::mem::take(&mut older.otherwise);
        older.otherwise = joined(removed.otherwise, step);
    }
}

fn bound(past: &mut Vec<Past>) {
    let mut bytes = 0;
    let fitting = past.iter().take(Past::MAX).take_while(|past| {
        let differences = past.otherwise.iter();
        bytes += ENTRY
            + differences
                .map(|it| it.place().1.len() + DIFFERENCE)
                .sum::<usize>();
        bytes <= Past::MAX_BYTES
    });
    let kept = fitting.count();
    past.truncate(kept);
}

/// What `there` has otherwise than `here`.
fn differences(here: &[Input], there: &[Input]) -> Vec<Otherwise> {
    let (here, there) = (by_place(here), by_place(there));
    let read = there
        .iter()
        .filter(|(place, input)| here.get(place) != Some(input))
        .map(|(_, input)| Otherwise::Read((*input).clone()));
    let not_read = here
        .keys()
        .filter(|place| !there.contains_key(place))
        .map(|(source, path)| Otherwise::NotRead {
            source: *source,
            path: (*path).to_owned(),
        });
    read.chain(not_read).collect()
}

/// Two steps back as one.
fn joined(first: Vec<Otherwise>, second: Vec<Otherwise>) -> Vec<Otherwise> {
    let mut joined = BTreeMap::new();
    for difference in first.into_iter().chain(second) {
        let (source, path) = difference.place();
        joined.insert((source, path.to_owned()), difference);
    }
    joined.into_values().collect()
}

#[cfg(test)]
mod tests {
    use bus::message::condition::{Condition, ConditionType};
    use bus::{AppId, ClusterId, Digest, Generation};

    use super::*;

    fn mk_inputs(files: &[(&str, &str)]) -> Vec<Input> {
        let files = files.iter().map(|(path, object)| Input {
            source: 0,
            path: (*path).to_owned(),
            object: Some((*object).to_owned()),
        });
        files.collect()
    }

    /// A render that came to its inputs.
    fn mk_render(files: &[(&str, &str)], past: Vec<Past>) -> Render {
        Render {
            app: AppId::new("argocd", "dome").unwrap(),
            cluster: ClusterId::in_cluster(),
            generation: Generation(1),
            parameters: Digest::of(b"parameters"),
            inputs: mk_inputs(files),
            values: Vec::new(),
            needs: Vec::new(),
            outcome: RenderOutcome::Rendered {
                digest: Digest::of(format!("{files:?}").as_bytes()),
                count: 1,
                size: 1,
                source_types: Vec::new(),
                conditions: Vec::new(),
            },
            past,
        }
    }

    fn failed(mut render: Render) -> Render {
        let condition = Condition::new(ConditionType::ComparisonError, "boom", 1);
        render.outcome = RenderOutcome::Failed(condition);
        render
    }

    /// One render after another, each knowing those before it.
    fn mk_history(renders: impl IntoIterator<Item = Render>) -> Render {
        let mut renders = renders.into_iter();
        let first = renders.next().unwrap();
        renders.fold(first, |last, mut now| {
            now.past = before(&now, last);
            now
        })
    }

    /// The inputs of each render that is kept, newest first.
    fn kept(record: &Render) -> Vec<Vec<Input>> {
        let mut inputs = by_place(&record.inputs);
        let each = record.past.iter().map(|past| {
            step_back(&mut inputs, past);
            inputs.values().map(|input| (*input).clone()).collect()
        });
        each.collect()
    }

    #[test]
    fn earlier_renders_are_known_by_all_that_they_read() {
        let one: &[_] = &[("a", "1"), ("b", "1")];
        let two: &[_] = &[("a", "2"), ("b", "1"), ("c", "1")];
        let three: &[_] = &[("a", "2"), ("b", "1")];
        let record = mk_history([one, two, three].map(|files| mk_render(files, Vec::new())));
        assert_eq!(kept(&record), [mk_inputs(two), mk_inputs(one)]);
        assert_eq!(record.past[0].otherwise.len(), 1);
    }

    #[test]
    fn failures_are_not_kept_and_lose_nothing() {
        let render = |files: &[_]| mk_render(files, Vec::new());
        let record = mk_history([
            render(&[("a", "1"), ("b", "1")]),
            render(&[("a", "2"), ("b", "1")]),
            failed(render(&[("a", "3")])),
            failed(render(&[("x", "3")])),
            render(&[("a", "4"), ("b", "1")]),
        ]);
        let expected: [&[_]; 2] = [&[("a", "2"), ("b", "1")], &[("a", "1"), ("b", "1")]];
        assert_eq!(kept(&record), expected.map(mk_inputs));
    }

    #[test]
    fn going_back_and_forth_fills_no_history() {
        let files: [&[_]; 3] = [&[("a", "0")], &[("a", "1")], &[("a", "1"), ("b", "1")]];
        let there_and_back = [0, 1, 2, 1, 2, 1, 2, 2, 1];
        let record = mk_history(there_and_back.map(|it| mk_render(files[it], Vec::new())));
        assert_eq!(kept(&record), [mk_inputs(files[2]), mk_inputs(files[0])]);
    }

    #[test]
    fn other_parameters_are_another_render_of_the_same_files() {
        let mut other = mk_render(&[("a", "1")], Vec::new());
        other.parameters = Digest::of(b"others");
        let record = mk_history([mk_render(&[("a", "1")], Vec::new()), other]);
        assert_eq!(record.past.len(), 1);
    }

    #[test]
    fn the_history_is_bounded_in_number_and_size() {
        let numbers = 0..Past::MAX * 2;
        let record = mk_history(numbers.map(|it| mk_render(&[("a", &it.to_string())], Vec::new())));
        assert_eq!(record.past.len(), Past::MAX);
        let many = |object: &str| {
            let paths: Vec<String> = (0..1_000).map(|it| format!("files/{it}")).collect();
            let files: Vec<_> = paths.iter().map(|path| (path.as_str(), object)).collect();
            mk_render(&files, Vec::new())
        };
        let record = mk_history(["1", "2", "3", "4"].map(many));
        assert_eq!(record.past.len(), 1);
    }
}
