//! What the bus says meanwhile: every desired state, and which of them were rendered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context;
use bus::message::desired::{Desired, DesiredState, Trigger};
use bus::message::render::{Render, RenderOutcome};
use bus::subject::{self, Bucket, Stream};
use bus::{AppId, Bus, ClusterId, Generation, Update, Watch, clock};

const DEADLINE: Duration = Duration::from_mins(5);

/// A desired state.
#[derive(Clone, Debug)]
pub(crate) struct News {
    pub(crate) app: AppId,
    generation: Generation,
    revision: String,
    pub(crate) trigger: Trigger,
    /// When it came from the bus, Unix milliseconds.
    pub(crate) seen: u64,
}

#[derive(Default)]
pub(crate) struct All {
    published: Vec<News>,
    /// By revision, to find those of one fast.
    by_revision: BTreeMap<String, Vec<usize>>,
    rendered: BTreeSet<(AppId, Generation)>,
}

pub(crate) struct Follower {
    desired: Watch<Desired>,
    renders: Watch<Render>,
    all: All,
}

impl All {
    /// Those whose first source is at a commit.
    pub(crate) fn published_at(&self, commit: &str) -> impl Iterator<Item = &News> {
        let numbers = self.by_revision.get(commit).into_iter().flatten();
        numbers.filter_map(|&number| self.published.get(number))
    }

    /// Those of them that were rendered.
    pub(crate) fn rendered_at(&self, commit: &str) -> impl Iterator<Item = &News> {
        self.published_at(commit)
            .filter(|news| self.rendered.contains(&(news.app.clone(), news.generation)))
    }

    fn add(&mut self, desired: Desired) {
        let seen = clock::now_ms();
        let DesiredState::Present(present) = desired.state else {
            return;
        };
        let revision = present.sources.first().map(|it| it.revision.clone());
        let news = News {
            app: desired.app,
            generation: desired.generation,
            revision: revision.unwrap_or_default(),
            trigger: present.trigger.clone(),
            seen,
        };
        let known = self.by_revision.entry(news.revision.clone()).or_default();
        known.push(self.published.len());
        self.published.push(news);
    }
}

impl Follower {
    pub(crate) fn new(bus: &Bus) -> Self {
        let filter = subject::desired_of(&ClusterId::in_cluster());
        Self {
            desired: bus.watch_stream(Stream::Desired, &filter),
            renders: bus.watch_bucket(Bucket::Renders, ">"),
            all: All::default(),
        }
    }

    /// Follows until something holds.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        holds: impl Fn(&All) -> bool,
    ) -> anyhow::Result<&All> {
        let Self {
            desired,
            renders,
            all,
        } = self;
        let waiting = async {
            while !holds(all) {
                tokio::select! {
                    update = desired.next() => if let Update::Put(stored) = update {
                        all.add(stored.value);
                    },
                    update = renders.next() => if let Update::Put(stored) = update
                        && matches!(stored.value.outcome, RenderOutcome::Rendered { .. })
                    {
                        all.rendered.insert((stored.value.app, stored.value.generation));
                    },
                }
            }
        };
        tokio::time::timeout(DEADLINE, waiting)
            .await
            .with_context(|| format!("after {} s, still not: {what}", DEADLINE.as_secs()))?;
        Ok(&self.all)
    }
}
