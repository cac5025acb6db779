//! What tests offer and what they get for it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::Sensitive;
use api::settings::Credentials;
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use watcher::source::access::Access;
use watcher::source::error::FetchError;
use watcher::source::{Limits, Look, Looked, Remote, Revision, fetch};

pub(crate) async fn get(
    remote: &Remote,
    access: &Access,
    target: &str,
    folder: &Path,
) -> Result<Revision, FetchError> {
    let mut looked = look(remote, access, target, (folder, Look::Usual)).await?;
    looked.revisions.remove(target).unwrap()
}

pub(crate) async fn look(
    remote: &Remote,
    access: &Access,
    target: &str,
    how: (&Path, Look),
) -> Result<Looked, FetchError> {
    fetch(remote, access, &[Arc::from(target)], how, limits()).await
}

pub(crate) fn text(folder: &Path, revision: &Revision, path: &str) -> String {
    let repository = git2::Repository::open_bare(folder).unwrap();
    let tree = repository.find_tree(revision.tree).unwrap();
    let blob = tree.get_path(Path::new(path)).unwrap().id();
    let blob = repository.find_blob(blob).unwrap();
    String::from_utf8(blob.content().to_vec()).unwrap()
}

pub(crate) fn login() -> Access {
    Access {
        credentials: Credentials {
            username: Some(Sensitive::new("u")),
            password: Some(Sensitive::new("canary")),
            ..Credentials::default()
        },
        plain_http: true,
        ..Access::default()
    }
}

pub(crate) fn anybody() -> Access {
    Access {
        plain_http: true,
        ..Access::default()
    }
}

/// `u:canary`.
pub(crate) const BASIC: &str = "Basic dTpjYW5hcnk=";

pub(crate) fn chart(version: &str) -> Vec<u8> {
    archive(&[(
        "web/Chart.yaml",
        &format!("name: web\nversion: {version}\n"),
    )])
}

pub(crate) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn limits() -> Limits {
    Limits {
        deadline: Instant::now() + Duration::from_mins(1),
        bytes: 1 << 30,
    }
}
