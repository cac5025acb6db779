//! Files that Git LFS keeps: their pointers become what they point to, by the batch API. Blocking.

use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;

use git2::{ObjectType, Oid, Repository, Tree};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, redirect};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use url::Url;

use super::Limits;
use super::access::Access;
use super::error::FetchError;
use super::git_config;
use super::graft::{Graft, graft};
use super::http::{self, Failure};
use super::location::{Location, Transport};
use super::smart::same_host;
use super::whole::Memo;

const VERSION: &str = "version https://git-lfs.github.com/spec/v1";
const JSON: &str = "application/vnd.git-lfs+json";
/// Longest pointer, by its specification.
const MAX_POINTER: usize = 1024;
/// Objects asked for at once.
const BATCH: usize = 100;
const MAX_FILES: usize = 100_000;
const MAX_DEPTH: usize = 512;
/// Bytes of an answer of the batch API.
const MAX_ANSWER: usize = 16 << 20;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pointer {
    digest: String,
    size: u64,
}

/// The tree with the content of its large files.
pub(super) fn fill(
    repository: &Repository,
    location: &Location,
    access: &Access,
    tree: Oid,
    limits: Limits,
) -> Result<Oid, FetchError> {
    let memo = Memo::of(repository, &["lfs", &tree.to_string()]);
    if let Some(filled) = memo.tree(repository) {
        return Ok(filled);
    }
    let local = |error| FetchError::local(repository, error);
    let root = repository.find_tree(tree).map_err(local)?;
    let mut files = Vec::new();
    scan(repository, &root, &mut files).map_err(local)?;
    if files.len() > MAX_FILES {
        let reason = format!("more than {MAX_FILES} files are kept by Git LFS");
        return Err(FetchError::file(location, ".gitattributes", reason));
    }
    let total = files
        .iter()
        .fold(0_u64, |total, file| total.saturating_add(file.pointer.size));
    if total > limits.bytes as u64 {
        return Err(FetchError::TooLarge {
            url: location.shown(),
            limit: limits.bytes,
        });
    }
    let mut blobs = BTreeMap::new();
    let mut missing = BTreeMap::new();
    for file in &files {
        let memo = Memo::of(repository, &["lfs object", &file.pointer.digest]);
        match memo.tree(repository) {
            Some(blob) => drop(blobs.insert(file.pointer.clone(), blob)),
            None => drop(missing.insert(file.pointer.clone(), memo)),
        }
    }
    if !missing.is_empty() {
        let server = Server::new(repository, location, access, &root, limits)?;
        let wanted: Vec<_> = missing.keys().cloned().collect();
        for batch in wanted.chunks(BATCH) {
            for (pointer, blob) in server.bring(repository, batch)? {
                if let Some(memo) = missing.get(&pointer) {
                    memo.keep(blob);
                }
                blobs.insert(pointer, blob);
            }
        }
    }
    let grafts = files
        .into_iter()
        .filter_map(|file| {
            let id = *blobs.get(&file.pointer)?;
            let mode = file.mode;
            Some((file.path, Graft { id, mode }))
        })
        .collect();
    let filled = graft(repository, tree, &grafts).map_err(local)?;
    memo.keep(filled);
    Ok(filled)
}

struct File {
    path: String,
    mode: git2::FileMode,
    pointer: Pointer,
}

/// Finds the pointers, whatever `.gitattributes` says, as `git lfs ls-files` does.
fn scan(
    repository: &Repository,
    root: &Tree<'_>,
    files: &mut Vec<File>,
) -> Result<(), git2::Error> {
    let database = repository.odb()?;
    let mut open = vec![(String::new(), root.clone(), 0)];
    let mut seen = HashSet::new();
    while let Some((folder, tree, depth)) = open.pop() {
        for entry in &tree {
            let Ok(name) = std::str::from_utf8(entry.name_bytes()) else {
                continue;
            };
            let path = || {
                if folder.is_empty() {
                    name.to_owned()
                } else {
                    format!("{folder}/{name}")
                }
            };
            match entry.kind() {
                // A folder that is at many paths (in a hostile repository at exponentially many) is looked at where it is first.
                Some(ObjectType::Tree) if depth < MAX_DEPTH && seen.insert(entry.id()) => {
                    open.push((path(), repository.find_tree(entry.id())?, depth + 1));
                }
                Some(ObjectType::Blob) if files.len() <= MAX_FILES => {
                    if matches!(database.read_header(entry.id())?, (1..=MAX_POINTER, _))
                        && let Some(pointer) = pointer(database.read(entry.id())?.data())
                    {
                        files.push(File {
                            path: path(),
                            mode: match entry.filemode() {
                                0o100_755 => git2::FileMode::BlobExecutable,
                                _ => git2::FileMode::Blob,
                            },
                            pointer,
                        });
                    }
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn pointer(bytes: &[u8]) -> Option<Pointer> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.lines();
    if lines.next()? != VERSION {
        return None;
    }
    let (mut digest, mut size) = (None, None);
    for line in lines {
        match line.split_once(' ')? {
            ("oid", value) => digest = value.strip_prefix("sha256:"),
            ("size", value) => size = value.parse().ok(),
            _ => {}
        }
    }
    let digest = digest.filter(|digest| {
        digest.len() == 64
            && digest
                .bytes()
                .all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
    })?;
    Some(Pointer {
        digest: digest.to_owned(),
        size: size?,
    })
}

#[derive(Deserialize)]
struct Answer {
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    oid: String,
    #[serde(default)]
    actions: Option<Actions>,
    #[serde(default)]
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: u16,
}

#[derive(Deserialize)]
struct Actions {
    download: Option<Download>,
}

#[derive(Deserialize)]
struct Download {
    href: String,
    #[serde(default)]
    header: BTreeMap<String, String>,
}

/// Where a repository's large files are.
struct Server<'a> {
    location: &'a Location,
    base: Url,
    client: Client,
    /// For `base`'s host only.
    login: Option<HeaderValue>,
    limits: Limits,
    runtime: Handle,
}

impl<'a> Server<'a> {
    fn new(
        repository: &Repository,
        location: &'a Location,
        access: &Access,
        root: &Tree<'_>,
        limits: Limits,
    ) -> Result<Self, FetchError> {
        let unusable = |reason: String| FetchError::Settings {
            url: location.shown(),
            reason,
        };
        let own = Url::parse(location.url())
            .ok()
            .filter(|_| location.transport == Transport::Http);
        let base = match (configured(repository, root), &own) {
            (Some(configured), _) => configured,
            (None, Some(own)) => {
                let own = own.as_str().trim_end_matches('/');
                let own = own.strip_suffix(".git").unwrap_or(own);
                format!("{own}.git/info/lfs")
            }
            (None, None) => {
                return Err(unusable(
                    "enableLfs works over https only: use the repository's https URL, or name the server as lfs.url in .lfsconfig"
                        .to_owned(),
                ));
            }
        };
        let base = Url::parse(base.trim_end_matches('/'))
            .ok()
            .filter(|base| matches!(base.scheme(), "http" | "https"))
            .ok_or_else(|| {
                unusable("lfs.url in .lfsconfig is no http:// or https:// URL".to_owned())
            })?;
        let client = access
            .client()
            .map_err(|error| unusable(error.to_string()))?
            .redirect(redirect::Policy::limited(5))
            .build()
            .map_err(|error| unusable(error.without_url().to_string()))?;
        let runtime = Handle::try_current().map_err(|error| unusable(error.to_string()))?;
        let mut server = Self {
            location,
            base,
            client,
            login: None,
            limits,
            runtime,
        };
        if let Some(own) = own.filter(|own| same_host(own, &server.base)) {
            let login = server.wait(async {
                let login = access.authorization(&server.client, &own).await;
                login.map_err(|reason| FetchError::App {
                    url: location.shown(),
                    reason,
                })
            })?;
            server.login = login;
        }
        Ok(server)
    }

    fn bring(
        &self,
        repository: &Repository,
        batch: &[Pointer],
    ) -> Result<Vec<(Pointer, Oid)>, FetchError> {
        let objects = self.wait(self.ask(batch))?;
        let mut found = Vec::new();
        for pointer in batch {
            let object = objects.iter().find(|object| object.oid == pointer.digest);
            let refused = |reason: String| {
                FetchError::file(
                    self.location,
                    &format!("large file {}", pointer.digest),
                    reason,
                )
            };
            if let Some(refusal) = object.and_then(|object| object.error.as_ref()) {
                return Err(refused(format!("its server answers {}", refusal.code)));
            }
            let download = object
                .and_then(|object| object.actions.as_ref()?.download.as_ref())
                .ok_or_else(|| refused("its server doesn't have it".to_owned()))?;
            let blob = self.download(repository, pointer, download)?;
            found.push((pointer.clone(), blob));
        }
        Ok(found)
    }

    async fn ask(&self, batch: &[Pointer]) -> Result<Vec<Object>, FetchError> {
        let objects: Vec<_> = batch
            .iter()
            .map(|pointer| json!({"oid": pointer.digest, "size": pointer.size}))
            .collect();
        let body = json!({
            "operation": "download", "transfers": ["basic"], "hash_algo": "sha256", "objects": objects,
        });
        let mut request = self
            .client
            .post(format!("{}/objects/batch", self.base))
            .header(ACCEPT, JSON)
            .header(CONTENT_TYPE, JSON)
            .body(body.to_string());
        if let Some(login) = &self.login {
            request = request.header(AUTHORIZATION, login);
        }
        let mut answer = self.send(request).await?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.broken(error))? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Err(self.odd("answers with too much"));
            }
        }
        // What serde would say may quote a login.
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|_| self.odd("doesn't answer as the batch API is specified"))?;
        Ok(answer.objects)
    }

    fn download(
        &self,
        repository: &Repository,
        pointer: &Pointer,
        from: &Download,
    ) -> Result<Oid, FetchError> {
        let wrong = |reason: &str| {
            FetchError::file(
                self.location,
                &format!("large file {}", pointer.digest),
                reason.to_owned(),
            )
        };
        let href = self
            .base
            .join(&from.href)
            .ok()
            .filter(|href| matches!(href.scheme(), "http" | "https"))
            .ok_or_else(|| wrong("its server names no URL for it"))?;
        let own = same_host(&self.base, &href);
        let mut request = self.client.get(href);
        let mut named = false;
        for (name, value) in &from.header {
            let (Ok(name), Ok(mut value)) = (
                HeaderName::try_from(name.as_str()),
                HeaderValue::try_from(value.as_str()),
            ) else {
                return Err(wrong("its server names headers that can't be sent"));
            };
            value.set_sensitive(true);
            named |= name == AUTHORIZATION;
            request = request.header(name, value);
        }
        if let Some(login) = self.login.as_ref().filter(|_| own && !named) {
            request = request.header(AUTHORIZATION, login);
        }
        let local = |error| FetchError::local(repository, error);
        let size = usize::try_from(pointer.size).map_err(|_| wrong("it is too large"))?;
        let database = repository.odb().map_err(local)?;
        let mut writer = database.writer(size, ObjectType::Blob).map_err(local)?;
        let (mut digest, mut read) = (Sha256::new(), 0_usize);
        let mut answer = self.wait(self.send(request))?;
        while let Some(chunk) =
            self.wait(async { answer.chunk().await.map_err(|error| self.broken(error)) })?
        {
            read = read.saturating_add(chunk.len());
            if read > size {
                return Err(wrong("its server sends more than the pointer says"));
            }
            digest.update(&chunk);
            writer
                .write_all(&chunk)
                .map_err(|error| local(git2::Error::from_str(&error.to_string())))?;
        }
        if read != size || hex::encode(digest.finalize()) != pointer.digest {
            return Err(wrong(
                "its server sends something else than the pointer says",
            ));
        }
        writer.finalize().map_err(local)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, FetchError> {
        let answer = request.send().await.map_err(|error| self.broken(error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let reason = format!("its server of large files answers {}", status.as_u16());
        let url = self.location.shown();
        Err(match status.as_u16() {
            401 | 403 => FetchError::Denied { url, reason },
            404 | 410 => FetchError::NotFound { url, reason },
            _ => FetchError::Unreachable { url, reason },
        })
    }

    fn broken(&self, error: reqwest::Error) -> FetchError {
        let url = self.location.shown();
        match http::failure(error) {
            Failure::Certificate(reason) => FetchError::Certificate { url, reason },
            Failure::Timeout => FetchError::Timeout { url },
            Failure::Other(reason) => FetchError::Unreachable { url, reason },
        }
    }

    fn odd(&self, what: &str) -> FetchError {
        FetchError::Unreachable {
            url: self.location.shown(),
            reason: format!("its server of large files {what}"),
        }
    }

    /// Waits for what the network does, within the fetch's time.
    fn wait<T>(&self, work: impl Future<Output = Result<T, FetchError>>) -> Result<T, FetchError> {
        let deadline = tokio::time::Instant::from_std(self.limits.deadline);
        self.runtime.block_on(async {
            tokio::time::timeout_at(deadline, work)
                .await
                .unwrap_or_else(|_| {
                    Err(FetchError::Timeout {
                        url: self.location.shown(),
                    })
                })
        })
    }
}

/// The server that the repository's own files name.
fn configured(repository: &Repository, root: &Tree<'_>) -> Option<String> {
    let file = root.get_name(".lfsconfig")?;
    let text = repository.find_blob(file.id()).ok()?;
    let entries = git_config::parse(text.content()).ok()?;
    let url = entries.into_iter().rev().find(|entry| {
        entry.section == "lfs" && entry.subsection.is_none() && entry.name == "url"
    })?;
    Some(url.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_told_from_other_files() {
        let digest = "a".repeat(64);
        let text = format!("{VERSION}\noid sha256:{digest}\nsize 12\n");
        assert_eq!(pointer(text.as_bytes()), Some(Pointer { digest, size: 12 }));
        for other in [
            "",
            "kind: ConfigMap\n",
            VERSION,
            &text.replace("size 12", "size -1"),
            &text.replace("aaaa", "AAAA"),
            &text.replace("sha256:", "md5:"),
        ] {
            assert_eq!(pointer(other.as_bytes()), None, "{other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_file_is_a_panic(bytes: Vec<u8>, text in "(oid|size|sha256:| |\n|[a-f0-9]){0,30}") {
            let _ = pointer(&bytes);
            let _ = pointer(format!("{VERSION}\n{text}").as_bytes());
        }
    }
}
