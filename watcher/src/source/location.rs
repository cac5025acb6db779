//! A repository's address: what may be fetched, and over which transport. Pure.

use std::path::{Component, Path};

use api::git_url;

/// How a repository is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Http,
    Ssh,
    File,
}

/// An address that may be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// As it was written, with what credentials it may hold.
    url: String,
    pub transport: Transport,
    /// Which host's limits count; empty for files.
    pub host: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    #[error("the source has no repoURL")]
    Empty,
    #[error("{0:?} holds characters that no URL has")]
    Characters(String),
    #[error("{0:?} is none of https://, http://, ssh://, user@host:path and file://")]
    Scheme(String),
    #[error(
        "{0:?} is a folder of the watcher's own host, which its flag --file-repositories doesn't allow"
    )]
    FileForbidden(String),
    #[error("{0:?} is not an absolute path without `..`")]
    FilePath(String),
    #[error("{0:?} is reached neither by https:// nor http://")]
    NotHttp(String),
    #[error("{0:?} is no name of a chart")]
    Chart(String),
}

/// What the watcher's flags say about `file://`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilePolicy<'a> {
    pub allowed: bool,
    /// Where fetched repositories are kept: never a source, since it holds what others' credentials got.
    pub cache: &'a Path,
}

impl Location {
    pub fn parse(url: &str, files: FilePolicy<'_>) -> Result<Self, LocationError> {
        let url = url.trim();
        let shown = || git_url::without_credentials(url);
        if url.is_empty() {
            return Err(LocationError::Empty);
        }
        if url.len() > 2048
            || url
                .chars()
                .any(|symbol| symbol.is_control() || symbol.is_whitespace())
        {
            return Err(LocationError::Characters(
                shown().chars().take(200).collect(),
            ));
        }
        let scheme = url
            .split_once("://")
            .map(|(scheme, _)| scheme.to_lowercase());
        let transport = match scheme.as_deref() {
            Some("https" | "http") => Transport::Http,
            Some("ssh" | "git+ssh") => Transport::Ssh,
            Some("file") => Transport::File,
            None if !url.contains("::") && git_url::identity(url).starts_with("ssh://") => {
                Transport::Ssh
            }
            _ => return Err(LocationError::Scheme(shown())),
        };
        if transport == Transport::File {
            check_path(url, files)?;
        }
        let identity = git_url::identity(url);
        let host = identity
            .split_once("://")
            .and_then(|(_, rest)| rest.split('/').next())
            .unwrap_or_default()
            .to_owned();
        // A leading dash would be an option to whoever starts a program with it.
        if transport != Transport::File && (host.is_empty() || host.starts_with('-')) {
            return Err(LocationError::Scheme(shown()));
        }
        Ok(Self {
            url: url.to_owned(),
            transport,
            host,
        })
    }

    /// For the transport only: it may hold credentials.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// For people.
    pub fn shown(&self) -> String {
        git_url::without_credentials(&self.url)
    }

    /// Which repository this is, whatever the form of its URL.
    pub fn identity(&self) -> String {
        git_url::identity(&self.url)
    }

    /// User and password in the URL, if it has any: never to be shown.
    pub fn userinfo(&self) -> Option<&str> {
        let (_, rest) = self.url.split_once("://")?;
        let (userinfo, _) = rest.split('/').next()?.rsplit_once('@')?;
        Some(userinfo)
    }

    /// The user in the URL, if it names one.
    pub fn user(&self) -> Option<&str> {
        let rest = self
            .url
            .split_once("://")
            .map_or(self.url.as_str(), |(_, rest)| rest);
        let authority = rest.split('/').next()?;
        let (user, _) = authority.rsplit_once('@')?;
        Some(user.split(':').next().unwrap_or(user)).filter(|user| !user.is_empty())
    }
}

fn check_path(url: &str, files: FilePolicy<'_>) -> Result<(), LocationError> {
    let path = url.split_once("://").map_or("", |(_, path)| path);
    if !files.allowed {
        return Err(LocationError::FileForbidden(url.to_owned()));
    }
    let path = Path::new(path);
    let plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !plain || url.contains('%') {
        return Err(LocationError::FilePath(url.to_owned()));
    }
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if real.starts_with(files.cache) || files.cache.starts_with(&real) {
        return Err(LocationError::FileForbidden(url.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> FilePolicy<'static> {
        FilePolicy {
            allowed: true,
            cache: Path::new("/var/cache/towline"),
        }
    }

    fn parse(url: &str) -> Result<Location, LocationError> {
        Location::parse(url, files())
    }

    #[test]
    fn each_form_has_its_transport_and_host() {
        for (url, transport, host) in [
            (
                "https://u:p@Git.example.org:8443/a/b.git",
                Transport::Http,
                "git.example.org:8443",
            ),
            (
                "git@git.example.org:a/b.git",
                Transport::Ssh,
                "git.example.org",
            ),
            (
                "ssh://git@git.example.org:2222/a/b",
                Transport::Ssh,
                "git.example.org:2222",
            ),
            ("file:///srv/git/a.git", Transport::File, ""),
        ] {
            let location = parse(url).unwrap();
            assert_eq!(
                (location.transport, location.host.as_str()),
                (transport, host),
                "{url}"
            );
        }
    }

    #[test]
    fn what_could_start_a_program_or_leave_the_scheme_is_refused() {
        for url in [
            "",
            "ext::sh -c id",
            "ext::sh",
            "git://h/a",
            "/srv/git/a.git",
            "../a",
            "ssh://-oProxyCommand=id/a",
            "https://",
            "https://h/a\nb",
            "oci://h/a",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn the_cache_of_fetched_repositories_is_no_source() {
        for url in [
            "file:///var/cache/towline/x",
            "file:///var/cache/towline",
            "file:///var/cache",
            "file:///srv/../var/cache/towline/x",
            "file:///var/cache/%74owline/x",
            "file://relative",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
        let closed = FilePolicy {
            allowed: false,
            ..files()
        };
        assert!(matches!(
            Location::parse("file:///srv/a", closed),
            Err(LocationError::FileForbidden(_))
        ));
    }

    #[test]
    fn the_user_is_read_from_the_url_and_never_shown_with_its_password() {
        let location = parse("https://user:canary@h/a").unwrap();
        assert_eq!(location.user(), Some("user"));
        assert_eq!(location.shown(), "https://h/a");
        assert_eq!(parse("git@h:a").unwrap().user(), Some("git"));
        assert_eq!(parse("https://h/a@b").unwrap().user(), None);
    }
}
