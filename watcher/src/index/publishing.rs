//! Which applications need a new desired state, and that state with a generation of its own.

use std::sync::Arc;

use bus::message::desired::{
    Cause, Desired, DesiredState, Present, Rendering, ResolvedSource, Snapshot, Trigger,
};
use bus::{AppId, ClusterId, Generation, clock};
use git2::Oid;

use super::{Index, Inner, Repo, RepoKey};
use crate::affected::Record;
use crate::decide::{Decision, Facts, Published, decide};
use crate::intent::{Intent, Wanted};
use crate::packs::Packs;
use crate::source::Revision;

/// An application that may need a new desired state.
#[derive(Debug)]
pub struct Candidate {
    pub id: AppId,
    pub target: Arc<str>,
    pub decision: Decision,
    /// For [`Decision::Compare`].
    pub record: Option<Record>,
    pub revision: Revision,
}

impl Index {
    /// The repository's applications that may need a new desired state.
    pub fn candidates(&self, key: &RepoKey, overdue_before: u64) -> Vec<Candidate> {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let Some(repo) = inner.repos.get(key) else {
            return Vec::new();
        };
        let (mut found, mut settled) = (Vec::new(), Vec::new());
        for id in &repo.apps {
            match inner.candidate(repo, id, overdue_before) {
                Some(candidate) => found.push(candidate),
                None => settled.push(id.clone()),
            }
        }
        // What couldn't be published is no longer what should be.
        for id in settled {
            if inner
                .apps
                .get_mut(&id)
                .is_some_and(|app| app.problem.take().is_some())
            {
                self.states.push(&id);
            }
        }
        found
    }

    /// The newest generation was proven to need nothing new for this commit.
    pub fn verified(&self, id: &AppId, generation: Generation, commit: Oid) {
        if let Some(app) = self.lock().apps.get_mut(id) {
            app.verified = Some((generation, commit));
        }
    }

    /// The desired state to publish, with a generation of its own: decided and numbered in one moment, so that what was decided
    /// later is always newer. None when it is no longer wanted.
    pub fn prepare(
        &self,
        key: &RepoKey,
        candidate: &Candidate,
        cause: Cause,
        packs: &Packs,
    ) -> Option<Desired> {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let app = inner.apps.get_mut(&candidate.id)?;
        let (Some(Intent::Wanted(wanted)), Some(repo)) =
            (&app.intent, app.repo.as_ref().filter(|repo| *repo == key))
        else {
            return None;
        };
        let at = (candidate.id.clone(), wanted.cluster.clone());
        if inner.purging.contains(&at) {
            return None;
        }
        let target = inner.repos.get(repo)?.targets.get(&candidate.target)?;
        let now = clock::now_ms();
        let hard = app.forced.take() == Some(Cause::Refresh);
        let noticed = match cause {
            Cause::Application => app.noticed,
            Cause::Again => now,
            Cause::Refresh if hard => app.refreshing.unwrap_or(now),
            Cause::Webhook | Cause::Poll | Cause::Refresh | Cause::Dependency => target.noticed,
        };
        let trigger = Trigger {
            cause,
            hard,
            noticed,
            fetched: target.fetched.max(noticed),
            published: now,
        };
        let state = present(&app.seen, wanted, candidate, packs, trigger);
        let cluster = wanted.cluster.clone();
        let generation = inner.reserve(&candidate.id, &cluster, now);
        Some(Desired {
            app: candidate.id.clone(),
            cluster,
            generation,
            state: DesiredState::Present(Box::new(state)),
        })
    }
}

fn present(
    seen: &crate::seen::Seen,
    wanted: &Wanted,
    candidate: &Candidate,
    packs: &Packs,
    trigger: Trigger,
) -> Present {
    Present {
        uid: seen.uid.to_string(),
        spec: (*seen.spec).clone(),
        annotations: seen.annotations.clone(),
        server: wanted.server.clone(),
        sources: vec![ResolvedSource {
            repo_url: wanted.repo_url.to_string(),
            target_revision: candidate.target.to_string(),
            revision: candidate.revision.id.to_string(),
            tree: candidate.revision.tree.to_string(),
            snapshot: Snapshot {
                packs: packs.to_vec(),
            },
            commit: candidate.revision.about.clone(),
        }],
        dependencies: Vec::new(),
        rendering: Rendering::default(),
        tracking: wanted.tracking.clone(),
        assess_applications: wanted.assess_applications,
        trigger,
    }
}

impl Inner {
    fn candidate(&self, repo: &Repo, id: &AppId, overdue_before: u64) -> Option<Candidate> {
        let app = self.apps.get(id)?;
        let Some(Intent::Wanted(wanted)) = &app.intent else {
            return None;
        };
        let target = repo.targets.get(&wanted.target_revision)?;
        let revision = target.revision.as_ref()?;
        let cluster = &wanted.cluster;
        let published: Option<&Published> = self.published.get(id).and_then(|it| it.get(cluster));
        let record = self.renders.get(id).and_then(|it| it.get(cluster));
        let verified = app
            .verified
            .filter(|(generation, _)| published.map(|it| it.generation) == Some(*generation));
        let facts = Facts {
            content: &wanted.content,
            commit: revision.commit()?,
            published,
            render: record,
            capabilities: self.clusters.get(cluster),
            verified: verified.map(|(_, commit)| commit),
            forced: app.forced,
            overdue_before,
        };
        let decision = decide(facts, target.cause);
        (decision != Decision::Current).then(|| Candidate {
            id: id.clone(),
            target: Arc::clone(&wanted.target_revision),
            decision,
            record: record.cloned(),
            revision: revision.clone(),
        })
    }

    /// A generation above all that was ever given out, published or held.
    pub(super) fn reserve(&mut self, id: &AppId, cluster: &ClusterId, now: u64) -> Generation {
        let last = self
            .published
            .get(id)
            .and_then(|it| it.get(cluster))
            .map(|it| it.generation)
            .max(self.reserved.get(id).copied());
        let head = self.heads.get(id).and_then(|it| it.get(cluster)).copied();
        let generation = Generation::next(last, head, now);
        self.reserved.insert(id.clone(), generation);
        generation
    }
}
