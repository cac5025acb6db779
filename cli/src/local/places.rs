//! Sources and needs → files: of a repository on this machine where a map names it, else fetched.

use std::sync::Arc;

use anyhow::Context as _;
use api::application::ApplicationSpec;
use api::{AppProject, git_url};
use bus::message::need::Need;
use futures::future::{join_all, try_join_all};
use watcher::links::LinkPolicy;
use watcher::needs::needed;
use watcher::settings::Environment;
use watcher::slot::Slot;
use watcher::sources::sources;

use super::Complaint;
use super::fetched::Fetched;
use super::repositories::{Located, Repositories};

/// Where files are had from.
pub(super) struct Places<'a> {
    pub(super) repositories: Repositories<'a>,
    pub(super) fetched: Fetched,
    pub(super) environment: Arc<Environment>,
    pub(super) links: LinkPolicy,
}

impl Places<'_> {
    /// Where the files of each source are.
    pub(super) async fn sources(&self, spec: &ApplicationSpec) -> Result<Vec<Located>, Complaint> {
        let slots = sources(spec, &self.environment, self.fetched.files())
            .map_err(|(kind, message)| Complaint { kind, message })?;
        let located = spec
            .sources()
            .iter()
            .zip(slots)
            .map(async |(source, found)| {
                let is_git = source.chart().is_none() && !source.is_oci();
                let mapped = is_git.then(|| self.repositories.source(source));
                if let Some(located) = mapped.transpose()?.flatten() {
                    return Ok(located);
                }
                let url = is_git.then_some(source.repo_url.as_str());
                let fetched = self.fetch(&found.slot, url).await;
                let fetched = fetched.with_context(|| found.slot.remote.shown())?;
                if self.links == LinkPolicy::Inside {
                    self.fetched.inside(&found, &fetched).await?;
                }
                Ok(fetched)
            });
        let all = try_join_all(located).await;
        all.map_err(|error: anyhow::Error| Complaint::comparison(&error))
    }

    /// The files of all needs; or all of those that can't be had, in words.
    pub(super) async fn needs(
        &self,
        needs: &[Need],
        project: &str,
    ) -> Result<Vec<(Need, Located)>, Complaint> {
        let located = join_all(needs.iter().map(|need| self.need(need, project))).await;
        let mut found = Vec::with_capacity(needs.len());
        let mut lacking = Vec::new();
        for (need, located) in needs.iter().zip(located) {
            match located {
                Ok(located) => found.push((need.clone(), located)),
                Err(error) => lacking.push(format!("\n  {}: {error:#}", renderer::describe(need))),
            }
        }
        if lacking.is_empty() {
            return Ok(found);
        }
        let message = format!(
            "what is needed beside the sources can't be had:{}",
            lacking.concat()
        );
        Err(Complaint::comparison(&anyhow::Error::msg(message)))
    }

    async fn need(&self, need: &Need, project: &str) -> anyhow::Result<Located> {
        let mut url = None;
        if let Need::Git { url: of, reference } = need {
            if let Some(located) = self.repositories.at(of, reference)? {
                return Ok(located);
            }
            url = Some(of.as_str());
        }
        // What the project allows isn't known here.
        let everything = serde_json::json!({"sourceRepos": ["*"]});
        let everything = serde_json::from_value(everything).context("making a project")?;
        let all = AppProject::new(project, everything);
        let (environment, files) = (&self.environment, self.fetched.files());
        let slot = needed(need.clone(), (project, &all), environment, files).slot;
        self.fetch(&slot.map_err(anyhow::Error::msg)?, url).await
    }

    /// `url` is that of a Git repository, which could be here as well.
    async fn fetch(&self, slot: &Slot, url: Option<&str>) -> anyhow::Result<Located> {
        let fetched = self.fetched.slot(slot).await;
        fetched.map_err(|error| match url.map(git_url::without_credentials) {
            Some(url) => {
                anyhow::anyhow!("{error:#}. Or say where a checkout is, with --map '{url}=DIR'")
            }
            None => error,
        })
    }
}
