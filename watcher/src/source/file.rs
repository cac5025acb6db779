//! One file by HTTP, as a tree with one entry.

use std::io::Read as _;
use std::path::Path;

use bus::message::need::Need;
use git2::{FileMode, Oid};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use url::Url;

use super::access::Access;
use super::error::FetchError;
use super::kept::Kept;
use super::location::Location;
use super::web::{self, Downloaded, Web};
use super::{Limits, Revision, git};

/// Largest file, in bytes: a value file, or one of Kustomize's resources.
const MAX_FILE: usize = 16 << 20;

/// The file as it is now; what the host can tell to be the same isn't sent again.
pub(super) async fn fetch(
    location: &Location,
    access: &Access,
    limits: Limits,
    kept: &Kept,
) -> Result<(Revision, Option<String>), FetchError> {
    let web = Web::new(access, location.shown())?;
    let url = Url::parse(location.url()).map_err(|error| web.broken(&error.to_string()))?;
    let login = web.login(access, &url).await?;
    let had = kept.trusted("");
    let known = had.as_ref().and_then(|had| kept.proof(&had.id));
    let headers = known.map_or_else(HeaderMap::new, web::unless);
    let answer = web.get(&url, &headers, login.as_ref()).await?;
    if let (StatusCode::NOT_MODIFIED, Some(had)) = (answer.status(), had) {
        let proof = kept.proof(&had.id).map(str::to_owned);
        return Ok((had, proof));
    }
    if answer.status() != StatusCode::OK {
        return Err(web.refusal(answer.status(), login.is_some(), "such file"));
    }
    let validator = web::validator(answer.headers());
    let Downloaded {
        mut file, sha256, ..
    } = web
        .download(answer, MAX_FILE.min(limits.bytes), kept.folder())
        .await?;
    let (folder, shown) = (kept.folder().to_owned(), web.shown());
    let written = tokio::task::spawn_blocking(move || {
        let mut content = Vec::new();
        file.read_to_end(&mut content)
            .map_err(|error| FetchError::Disk {
                url: shown,
                reason: error.kind().to_string(),
            })?;
        single(&folder, &content)
    });
    let tree = written.await.map_err(|_| web.lost())??;
    let revision = Revision {
        id: format!("sha256:{sha256}").into(),
        tree,
        about: None,
    };
    Ok((revision, validator))
}

fn single(folder: &Path, content: &[u8]) -> Result<Oid, FetchError> {
    let repository = git::open(folder)?;
    let write = || {
        let blob = repository.blob(content)?;
        let mut builder = repository.treebuilder(None)?;
        builder.insert(Need::FILE, blob, FileMode::Blob.into())?;
        builder.write()
    };
    write().map_err(|source| FetchError::Local {
        path: folder.display().to_string(),
        source: std::sync::Arc::new(source),
    })
}
