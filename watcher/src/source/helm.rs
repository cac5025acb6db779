//! A chart of a Helm repository: `index.yaml` → version → archive → tree. The index is asked for once for all charts of a repository that
//! are looked at together, and comes again only when it changed.

use std::sync::Arc;
use std::time::Instant;

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Response, StatusCode};
use url::Url;

use super::access::Access;
use super::archive::{self, Bounds, Packing, Root};
use super::error::FetchError;
use super::helm_index::{self, Index, Listed};
use super::indexes::{self, Held};
use super::kept::{Kept, Look};
use super::location::Location;
use super::smart::same_host;
use super::web::{self, Downloaded, Web};
use super::{Content, Limits, Remote, Revision, oci};

/// Largest index, in bytes: ten times what Argo CD takes by default is the largest that is known.
const MAX_INDEX: usize = 512 << 20;
/// Largest archive of a chart, in bytes.
const MAX_ARCHIVE: usize = 100 << 20;
/// A chart repository.
pub(super) struct Repository<'a> {
    pub(super) location: &'a Location,
    pub(super) name: &'a str,
    pub(super) access: &'a Access,
    pub(super) limits: Limits,
    pub(super) web: Web,
    pub(super) url: Url,
    pub(super) login: Option<HeaderValue>,
}

impl<'a> Repository<'a> {
    pub(super) async fn new(
        location: &'a Location,
        name: &'a str,
        access: &'a Access,
        limits: Limits,
        shown: String,
    ) -> Result<Self, FetchError> {
        let web = Web::new(access, shown)?;
        let url = Url::parse(location.url()).map_err(|error| web.broken(&error.to_string()))?;
        let login = web.login(access, &url).await?;
        Ok(Self {
            location,
            name,
            access,
            limits,
            web,
            url,
            login,
        })
    }

    /// The index, no older than this call.
    pub(super) async fn index(&self, kept: &Kept) -> Result<Arc<Index>, FetchError> {
        let wanted = Instant::now();
        let key = (self.location.identity(), self.access.fingerprint());
        let repository = indexes::Repository::of(key);
        // Before the wait for who asks: it reads this chart's versions, too.
        repository.want(self.name, wanted);
        let mut held = repository.held().await;
        // Whoever waited for another's question has its answer, if that is about the same chart.
        let fresh = held.asked.is_some_and(|asked| asked >= wanted);
        if !fresh || held.failed.is_none() && held.index(self.name).is_none() {
            let asked = Instant::now();
            held.failed = self.ask(&repository, &mut held, kept).await.err();
            held.asked = Some(asked);
        }
        match (&held.failed, held.index(self.name)) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(index)) => Ok(Arc::clone(index)),
            (None, None) => Err(self.web.broken("its index was not asked for")),
        }
    }

    async fn ask(
        &self,
        repository: &indexes::Repository,
        held: &mut Held,
        kept: &Kept,
    ) -> Result<(), FetchError> {
        let headers = match kept.look() {
            Look::Usual => held.unless(self.name),
            Look::Hard => HeaderMap::new(),
        };
        let url = helm_index::address(&self.url);
        let answer = self.web.get(&url, &headers, self.login.as_ref()).await?;
        match answer.status() {
            StatusCode::NOT_MODIFIED if held.index(self.name).is_some() => return Ok(()),
            StatusCode::OK => {}
            status => return Err(self.web.refusal(status, self.login.is_some(), "index.yaml")),
        }
        let validator = web::validator(answer.headers());
        let most = MAX_INDEX.min(self.limits.bytes);
        let Downloaded { file, .. } = self.web.download(answer, most, kept.folder()).await?;
        let charts = repository.charts(Instant::now());
        let read = tokio::task::spawn_blocking(move || {
            let index = Index::read(file, |chart| charts.contains(chart));
            index.map(|index| (index, charts))
        });
        let index = read.await.map_err(|_| self.web.lost())?;
        let (index, charts) = index.map_err(|error| self.web.content(error.to_string()))?;
        repository.keep(held, index, charts, validator);
        Ok(())
    }

    /// A target's version, unpacked.
    pub(super) async fn version(
        &self,
        index: &Index,
        target: &str,
        kept: &Kept,
    ) -> Result<(Revision, Option<String>), FetchError> {
        let listed = index
            .pick(self.name, target)
            .map_err(|error| FetchError::Revision {
                url: self.web.shown(),
                reason: error.to_string(),
            })?;
        let expected = listed
            .digest
            .as_deref()
            .map(|digest| digest.trim_start_matches("sha256:").to_lowercase());
        let had = kept.version(&listed.version, expected.as_deref());
        let proof = kept.proof(&listed.version).map(str::to_owned);
        if let (Some(had), Some(_)) = (&had, &expected) {
            return Ok((had.clone(), proof));
        }
        let url = listed
            .url
            .as_deref()
            .and_then(|url| helm_index::resolve(&self.url, url))
            .ok_or_else(|| {
                let version = &listed.version;
                self.web
                    .content(format!("its index gives no URL for version {version}"))
            })?;
        if url.scheme() == "oci" {
            return self.elsewhere(&url, listed, kept).await;
        }
        if !matches!(url.scheme(), "https" | "http") {
            let scheme = url.scheme().to_owned();
            return Err(self.web.content(format!(
                "its index names an archive by {scheme}://, which isn't fetched"
            )));
        }
        // Without a digest in the index, only the archive's own host can say that it is still the same.
        let known = had.as_ref().and(proof.as_deref());
        let answer = self.archive(&url, known).await?;
        let validator = web::validator(answer.headers());
        if let Some(had) = had {
            let same = validator.is_none() || validator.as_deref() == known;
            if answer.status() != StatusCode::OK || same {
                return Ok((had, proof));
            }
        }
        if answer.status() != StatusCode::OK {
            return Err(self.web.refusal(
                answer.status(),
                self.passed(&url).is_some(),
                "archive of the chart",
            ));
        }
        let most = MAX_ARCHIVE.min(self.limits.bytes);
        let downloaded = self.web.download(answer, most, kept.folder()).await?;
        if expected
            .as_ref()
            .is_some_and(|expected| *expected != downloaded.sha256)
        {
            let (version, came) = (&listed.version, &downloaded.sha256);
            return Err(self.web.content(format!(
                "the archive of version {version} has digest {came}, and its index says another"
            )));
        }
        let proof = match (expected, validator) {
            (None, Some(validator)) => validator,
            _ => downloaded.sha256.clone(),
        };
        let (folder, name) = (kept.folder().to_owned(), self.name.to_owned());
        let unpacked = tokio::task::spawn_blocking(move || {
            let repository = super::git::open(&folder)?;
            let root = Root::Chart(&name);
            let tree = archive::unpack(
                &repository,
                downloaded.file,
                Packing::Gzip,
                root,
                Bounds::CHART,
            );
            Ok::<_, FetchError>(tree)
        });
        let tree = unpacked.await.map_err(|_| self.web.lost())??;
        let tree = tree.map_err(|error| {
            self.web.content(format!(
                "the archive of version {}: {error}",
                listed.version
            ))
        })?;
        let revision = Revision {
            id: listed.version.as_str().into(),
            tree,
            about: None,
        };
        Ok((revision, Some(proof)))
    }

    async fn archive(&self, url: &Url, known: Option<&str>) -> Result<Response, FetchError> {
        let mut headers = known.map_or_else(HeaderMap::new, web::unless);
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/gzip,application/octet-stream"),
        );
        self.web.get(url, &headers, self.passed(url)).await
    }

    /// As Helm: the login is for the repository's own host, unless the source passes it on.
    fn passed(&self, url: &Url) -> Option<&HeaderValue> {
        let own = self.access.pass_credentials || same_host(&self.url, url);
        self.login.as_ref().filter(|_| own)
    }

    /// An archive that is in a registry: another host, which this repository's login is none of.
    async fn elsewhere(
        &self,
        url: &Url,
        listed: &Listed,
        kept: &Kept,
    ) -> Result<(Revision, Option<String>), FetchError> {
        let unusable = |reason: String| self.web.content(format!("its index names {reason}"));
        let text = url.as_str();
        let (name, tag) = text
            .rsplit_once(':')
            .filter(|(_, tag)| !tag.contains('/'))
            .ok_or_else(|| unusable("an archive in a registry without its version".to_owned()))?;
        let Remote::Oci { location, .. } =
            Remote::artifact(name).map_err(|error| unusable(error.to_string()))?
        else {
            return Err(unusable("no registry".to_owned()));
        };
        let access = self.access.to_others();
        let registry = oci::Registry::new(
            &location,
            Content::Chart,
            &access,
            self.limits,
            self.web.shown(),
        )?;
        let (revision, proof) = Box::pin(registry.tag(tag, kept)).await?;
        let id = listed.version.as_str().into();
        Ok((Revision { id, ..revision }, proof))
    }
}
