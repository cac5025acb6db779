//! Whether what a render read is all still the same, so that its result is too.

use bus::Digest;
use bus::message::render::{PseudoInput, Render, RenderOutcome};

use crate::job::Job;
use crate::tree::TreeError;

/// The digest of the manifests that an earlier render made, if rendering the job now would make the same.
pub(crate) fn proven(
    record: &Render,
    job: &Job,
    parameters: &Digest,
) -> Result<Option<Digest>, TreeError> {
    let RenderOutcome::Rendered { digest, .. } = &record.outcome else {
        return Ok(None);
    };
    // A record without inputs was never written by a render.
    if record.parameters != *parameters || record.inputs.is_empty() {
        return Ok(None);
    }
    for value in &record.values {
        let same = match value {
            // Which commit it was isn't recorded: only that it counts.
            PseudoInput::Revision { .. } => false,
            PseudoInput::Capabilities(used) => job
                .capabilities
                .as_ref()
                .is_some_and(|now| now.digest() == *used),
            PseudoInput::Setting { name, value } => job.rendering.digest(*name) == *value,
        };
        if !same {
            return Ok(None);
        }
    }
    for input in &record.inputs {
        let source = usize::try_from(input.source)
            .ok()
            .and_then(|index| job.sources.get(index));
        match source {
            Some(source) if source.tree.still(input)? => {}
            _ => return Ok(None),
        }
    }
    Ok(Some(digest.clone()))
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
}
