//! Compares what applications read with new trees, away from the tasks that must not block.

use std::collections::BTreeMap;
use std::sync::Arc;

use bus::Generation;
use git2::Oid;

use super::store::{Store, StoreError};
use crate::affected::{self, Verdict};
use crate::decide::Decision;
use crate::index::Candidate;
use crate::tree::Tree;

#[derive(Debug, thiserror::Error)]
pub(super) enum CompareError {
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) affected: Vec<Candidate>,
    /// With the generation that was proven.
    pub(super) unchanged: Vec<(Candidate, Generation)>,
}

pub(super) async fn judge(
    store: Arc<Store>,
    candidates: Vec<Candidate>,
) -> Result<Judged, CompareError> {
    let judged = store
        .blocking(move |repository| {
            let mut judged = Judged::default();
            let mut trees: BTreeMap<Oid, Tree<'_>> = BTreeMap::new();
            for candidate in candidates {
                let Decision::Compare { generation, from } = candidate.decision else {
                    judged.affected.push(candidate);
                    continue;
                };
                let revision = &candidate.revision;
                let tree = trees
                    .entry(revision.tree)
                    .or_insert_with(|| Tree::new(repository, revision.tree));
                let record = candidate.record.as_ref();
                let Some(commit) = revision.commit() else {
                    judged.affected.push(candidate);
                    continue;
                };
                match affected::judge(generation, from, record, commit, tree) {
                    Verdict::Affected => judged.affected.push(candidate),
                    Verdict::Unchanged => judged.unchanged.push((candidate, generation)),
                }
            }
            judged
        })
        .await?;
    Ok(judged)
}
