//! Whether what a render read is all still the same, so that its result is too: the last render of an application, or one of
//! those before it.

use bus::Digest;
use bus::message::condition::Condition;
use bus::message::manifests::SourceType;
use bus::message::need::Need;
use bus::message::render::{Input, Otherwise, PseudoInput, Render, RenderOutcome};

use crate::history;
use crate::job::Job;
use crate::tree::TreeError;

/// What an earlier render read and made.
#[derive(Clone, Debug)]
pub(crate) struct Proven {
    pub(crate) digest: Digest,
    pub(crate) count: usize,
    pub(crate) size: usize,
    pub(crate) inputs: Vec<Input>,
    pub(crate) values: Vec<PseudoInput>,
    pub(crate) needs: Vec<Need>,
    pub(crate) source_types: Vec<SourceType>,
    pub(crate) conditions: Vec<Condition>,
}

/// The newest earlier render of which it is proven that rendering the job now would make the same.
pub(crate) fn proven(
    record: &Render,
    job: &Job,
    parameters: &Digest,
) -> Result<Option<Proven>, TreeError> {
    if let RenderOutcome::Rendered {
        digest,
        count,
        size,
        source_types,
        conditions,
    } = &record.outcome
        && record.parameters == *parameters
        && values_hold(&record.values, job)
        // A record without inputs was never written by a render.
        && !record.inputs.is_empty()
        && inputs_hold(&record.inputs, job)?
    {
        return Ok(Some(Proven {
            digest: digest.clone(),
            count: *count,
            size: *size,
            inputs: record.inputs.clone(),
            values: record.values.clone(),
            needs: record.needs.clone(),
            source_types: source_types.clone(),
            conditions: conditions.clone(),
        }));
    }
    let mut inputs = history::by_place(&record.inputs);
    for past in &record.past {
        history::step_back(&mut inputs, past);
        if past.parameters != *parameters || !values_hold(&past.values, job) || inputs.is_empty() {
            continue;
        }
        // What it read otherwise than its neighbour is what most likely differs: it is looked at first.
        let otherwise = past
            .otherwise
            .iter()
            .filter_map(|difference| match difference {
                Otherwise::Read(input) => Some(input),
                Otherwise::NotRead { .. } => None,
            });
        if inputs_hold(otherwise, job)? && inputs_hold(inputs.values().copied(), job)? {
            return Ok(Some(Proven {
                digest: past.digest.clone(),
                count: past.count,
                size: past.size,
                inputs: inputs.values().map(|input| (*input).clone()).collect(),
                values: past.values.clone(),
                needs: past.needs.clone(),
                source_types: past.source_types.clone(),
                conditions: past.conditions.clone(),
            }));
        }
    }
    Ok(None)
}

fn values_hold(values: &[PseudoInput], job: &Job) -> bool {
    values.iter().all(|value| match value {
        // Which commit it was isn't recorded: only that it counts.
        PseudoInput::Revision { .. } => false,
        PseudoInput::Capabilities(used) => job
            .capabilities
            .as_ref()
            .is_some_and(|now| now.digest() == *used),
        PseudoInput::Setting { name, value } => job.rendering.digest(*name) == *value,
    })
}

fn inputs_hold<'a>(
    inputs: impl IntoIterator<Item = &'a Input>,
    job: &Job,
) -> Result<bool, TreeError> {
    for input in inputs {
        let source = usize::try_from(input.source)
            .ok()
            .and_then(|index| job.sources.get(index));
        match source {
            Some(source) if source.tree.still(input)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use bus::message::manifests::SourceType;
    use bus::{AppId, ClusterId, Generation};
    use serde_json::json;

    use super::*;
    use crate::job::tests::mk_job;
    use bus::message::cluster::Capabilities;

    fn mk_capabilities(version: &str) -> Capabilities {
        Capabilities {
            kube_version: version.to_owned(),
            api_versions: Vec::new(),
        }
    }

    fn mk_record(values: Vec<PseudoInput>) -> Render {
        let job = mk_job(json!([{"repoURL": "r"}]), &[("a", "1"), ("b", "1")]);
        job.sources[0].tree.file("a").unwrap();
        job.sources[0].tree.file("absent").unwrap();
        Render {
            app: AppId::new("argocd", "dome").unwrap(),
            cluster: ClusterId::in_cluster(),
            generation: Generation(1),
            parameters: Digest::of(b"parameters"),
            inputs: job.inputs(),
            values,
            needs: Vec::new(),
            past: Vec::new(),
            outcome: RenderOutcome::Rendered {
                digest: Digest::of(b"manifests"),
                count: 1,
                size: 1,
                source_types: vec![SourceType::Directory],
                conditions: Vec::new(),
            },
        }
    }

    fn reused(record: &Render, files: &[(&str, &str)]) -> bool {
        let mut job = mk_job(json!([{"repoURL": "r"}]), files);
        job.capabilities = Some(mk_capabilities("v1.37.2"));
        proven(record, &job, &Digest::of(b"parameters"))
            .unwrap()
            .is_some()
    }

    #[test]
    fn only_what_was_read_counts() {
        let record = mk_record(Vec::new());
        assert!(reused(&record, &[("a", "1"), ("b", "2"), ("new", "x")]));
        assert!(!reused(&record, &[("a", "2"), ("b", "1")]));
        assert!(!reused(&record, &[("b", "1")]));
        assert!(!reused(&record, &[("a", "1"), ("absent", "no more")]));
    }

    #[test]
    fn other_parameters_revisions_clusters_and_failures_prove_nothing() {
        let same = [("a", "1")];
        let mut record = mk_record(Vec::new());
        record.parameters = Digest::of(b"others");
        assert!(!reused(&record, &same));
        assert!(!reused(
            &mk_record(vec![PseudoInput::Revision { source: 0 }]),
            &same
        ));
        let cluster = |version| {
            mk_record(vec![PseudoInput::Capabilities(
                mk_capabilities(version).digest(),
            )])
        };
        assert!(reused(&cluster("v1.37.2"), &same));
        assert!(!reused(&cluster("v1.38.0"), &same));
        let mut failed = mk_record(Vec::new());
        failed.outcome = RenderOutcome::Failed(bus::message::condition::Condition::new(
            bus::message::condition::ConditionType::ComparisonError,
            "boom",
            1,
        ));
        assert!(!reused(&failed, &same));
    }

    #[test]
    fn a_way_back_is_proven_by_what_the_render_before_the_last_read() {
        let parameters = Digest::of(b"parameters");
        let render = |files: &[(&str, &str)], digest: &[u8]| {
            let job = mk_job(json!([{"repoURL": "r"}]), files);
            job.sources[0].tree.file("a").unwrap();
            job.sources[0].tree.file("b").unwrap();
            let mut record = mk_record(Vec::new());
            record.inputs = job.inputs();
            if let RenderOutcome::Rendered { digest: of, .. } = &mut record.outcome {
                *of = Digest::of(digest);
            }
            record
        };
        let first = render(&[("a", "1")], b"first");
        let mut last = render(&[("a", "2"), ("b", "1")], b"last");
        last.past = history::before(&last, first);
        let found = |files: &[(&str, &str)]| {
            let job = mk_job(json!([{"repoURL": "r"}]), files);
            proven(&last, &job, &parameters)
                .unwrap()
                .map(|proven| proven.digest)
        };
        let elsewhere = ("c", "x");
        assert_eq!(found(&[("a", "1"), elsewhere]), Some(Digest::of(b"first")));
        assert_eq!(found(&[("a", "2"), ("b", "1")]), Some(Digest::of(b"last")));
        assert_eq!(found(&[("a", "1"), ("b", "1")]), None);
        assert_eq!(found(&[("a", "3")]), None);
    }
}
