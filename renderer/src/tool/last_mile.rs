//! The last mile: a Kustomize overlay that takes a chart's output as its first resource.

use std::sync::Arc;

use api::application::source::Kustomize;

use super::{ToolError, kustomize, overlay_in};
use crate::engine::wire;
use crate::job::Job;
use crate::tree::{Tree, TreeError, clean, join};

/// The overlay that the annotation names: `$ref/…` in another source, else from the root of the chart's repository, or,
/// if no overlay is there, from the chart's folder.
pub(crate) fn overlay(
    job: &Job,
    index: usize,
    folder: &str,
    named: &str,
) -> Result<(Arc<Tree>, wire::Kustomize), ToolError> {
    let tree = &job.sources[index].tree;
    let candidates = match named
        .strip_prefix('$')
        .and_then(|rest| rest.split_once('/'))
    {
        Some((reference, path)) => {
            let other = job
                .referenced(reference)
                .ok_or_else(|| ToolError::UnknownReference {
                    field: format!("the annotation {}", api::annotations::LAST_MILE),
                    reference: reference.to_owned(),
                })?;
            vec![(&other.tree, path.to_owned())]
        }
        None => vec![(tree, named.to_owned()), (tree, join(folder, named))],
    };
    for (tree, path) in candidates {
        let root = clean(&path).ok_or(TreeError::Leaves { path })?;
        if overlay_in(tree, &root)? {
            return Ok((
                Arc::clone(tree),
                kustomize::plain(job, root, &Kustomize::default()),
            ));
        }
    }
    Err(ToolError::NoOverlay {
        folder: named.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::job::tests::mk_job;

    fn found(named: &str) -> Result<String, String> {
        let sources =
            json!([{"repoURL": "r", "path": "apps/dome"}, {"repoURL": "r", "ref": "env"}]);
        let files = [
            ("miles/north/kustomization.yaml", ""),
            ("apps/dome/mile/Kustomization", ""),
        ];
        let job = mk_job(sources, &files);
        overlay(&job, 0, "apps/dome", named)
            .map(|(_, overlay)| overlay.root)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_folder_is_found_from_the_root_the_chart_or_another_source() {
        assert_eq!(found("miles/north").unwrap(), "miles/north");
        assert_eq!(found("mile").unwrap(), "apps/dome/mile");
        assert_eq!(found("$env/miles/north").unwrap(), "miles/north");
    }

    #[test]
    fn a_folder_without_overlay_is_named() {
        assert!(
            found("miles/south")
                .unwrap_err()
                .contains("no kustomization in miles/south")
        );
        assert!(found("$nobody/miles").unwrap_err().contains("$nobody"));
        assert!(
            found("../outside")
                .unwrap_err()
                .contains("leaves the repository")
        );
    }
}
