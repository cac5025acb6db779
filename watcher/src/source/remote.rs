//! What is fetched as one: a Git repository, one chart of a Helm repository, one name of a registry, one file. Pure.

use std::fmt;

use super::location::{FilePolicy, Location, LocationError, Transport};

/// What is fetched as one, with a bare repository and a worker of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// Target revisions are branches, tags, ranges over tags, commits.
    Git(Location),
    /// A chart of a repository with an `index.yaml`. Target revisions are versions and ranges; empty is the newest. Its tree
    /// is the unpacked chart's own folder.
    Chart {
        repository: Location,
        name: Box<str>,
    },
    /// A name in a registry. Target revisions are tags, ranges over tags, digests.
    Oci {
        /// `https://<host>[:<port>]/<path>`, whose path is the name.
        location: Location,
        content: Content,
    },
    /// One file by HTTP; its tree has the one entry [`bus::message::need::Need::FILE`]. Its only target revision is empty.
    File(Location),
}

/// What is expected of a registry's artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// A Helm chart, known by its version; its tree is the unpacked chart's own folder.
    Chart,
    /// Any files, known by the digest of the manifest.
    Files,
}

impl Remote {
    pub fn git(url: &str, files: FilePolicy<'_>) -> Result<Self, LocationError> {
        Location::parse(url, files).map(Self::Git)
    }

    /// A chart of a Helm repository: by index, or in a registry where the URL says so (`oci://`, or no scheme at all) or the
    /// repository's Secret does.
    pub fn chart(repository: &str, name: &str, registry: bool) -> Result<Self, LocationError> {
        let plain = |symbol: char| symbol.is_ascii_alphanumeric() || "-_./".contains(symbol);
        let parts = || name.split('/');
        if name.is_empty()
            || name.len() > 256
            || !name.chars().all(plain)
            || parts().any(|part| part.is_empty() || part.starts_with('.'))
        {
            return Err(LocationError::Chart(name.chars().take(200).collect()));
        }
        let (scheme, below) = match repository.trim().split_once("://") {
            Some((scheme, below)) => (Some(scheme), below),
            None => (None, repository.trim()),
        };
        if registry || scheme.is_none_or(|scheme| scheme.eq_ignore_ascii_case("oci")) {
            return Ok(Self::Oci {
                location: http(&format!("https://{}/{name}", below.trim_end_matches('/')))?,
                content: Content::Chart,
            });
        }
        if parts().count() > 1 {
            return Err(LocationError::Chart(name.to_owned()));
        }
        Ok(Self::Chart {
            repository: http(repository)?,
            name: name.into(),
        })
    }

    /// An artifact at `oci://<host>/<name>`.
    pub fn artifact(url: &str) -> Result<Self, LocationError> {
        let below = url.trim().strip_prefix("oci://").unwrap_or(url.trim());
        Ok(Self::Oci {
            location: http(&format!("https://{below}"))?,
            content: Content::Files,
        })
    }

    pub fn file(url: &str) -> Result<Self, LocationError> {
        http(url).map(Self::File)
    }

    pub fn location(&self) -> &Location {
        match self {
            Self::Git(location) | Self::Oci { location, .. } | Self::File(location) => location,
            Self::Chart { repository, .. } => repository,
        }
    }

    /// The chart's name, where that isn't a part of the location.
    pub fn chart_name(&self) -> Option<&str> {
        match self {
            Self::Chart { name, .. } => Some(name),
            Self::Git(_) | Self::Oci { .. } | Self::File(_) => None,
        }
    }

    /// Whose limits count; empty for folders of the watcher's own host.
    pub fn host(&self) -> &str {
        &self.location().host
    }

    /// For people: without credentials.
    pub fn shown(&self) -> String {
        self.to_string()
    }

    /// What it is, whatever the form of its URL: without credentials.
    pub fn identity(&self) -> String {
        match self {
            Self::Git(location) => location.identity(),
            Self::Chart { repository, name } => format!("chart {name} {}", repository.identity()),
            Self::Oci {
                location,
                content: Content::Chart,
            } => format!("oci chart {}", location.identity()),
            Self::Oci {
                location,
                content: Content::Files,
            } => format!("oci {}", location.identity()),
            Self::File(location) => format!("file {}", location.shown()),
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Git(location) | Self::File(location) => f.write_str(&location.shown()),
            Self::Chart { repository, name } => {
                write!(f, "chart {name} of {}", repository.shown())
            }
            Self::Oci { location, .. } => {
                let shown = location.shown();
                let below = shown.split_once("://").map_or(&*shown, |(_, below)| below);
                write!(f, "oci://{below}")
            }
        }
    }
}

/// An address that is reached by HTTP and nothing else.
fn http(url: &str) -> Result<Location, LocationError> {
    let closed = FilePolicy {
        allowed: false,
        cache: std::path::Path::new(""),
    };
    let location = Location::parse(url, closed)?;
    if location.transport != Transport::Http {
        return Err(LocationError::NotHttp(location.shown()));
    }
    Ok(location)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(remote: Result<Remote, LocationError>) -> String {
        remote.unwrap().shown()
    }

    #[test]
    fn a_chart_is_in_a_repository_or_a_registry_as_its_url_says() {
        let of = |url| shown(Remote::chart(url, "web", false));
        assert_eq!(of("https://h/charts"), "chart web of https://h/charts");
        assert_eq!(of("oci://h/charts"), "oci://h/charts/web");
        assert_eq!(of("h:5000/charts/"), "oci://h:5000/charts/web");
        assert_eq!(
            shown(Remote::chart("https://h/charts", "web", true)),
            "oci://h/charts/web"
        );
        assert_eq!(
            shown(Remote::chart("h", "team/web", false)),
            "oci://h/team/web"
        );
    }

    #[test]
    fn a_chart_and_files_of_one_name_are_two_things() {
        let chart = Remote::chart("oci://h/a", "b", false).unwrap();
        let files = Remote::artifact("oci://h/a/b").unwrap();
        assert_eq!(chart.shown(), files.shown());
        assert_ne!(chart.identity(), files.identity());
    }

    #[test]
    fn nothing_but_http_is_asked_for_charts_and_files() {
        assert!(Remote::chart("ssh://git@h/a", "web", false).is_err());
        assert!(Remote::file("file:///etc/passwd").is_err());
        assert!(Remote::file("git@h:a").is_err());
        for name in ["", "../web", "a b", "web?x", "a/web"] {
            assert!(Remote::chart("https://h", name, false).is_err(), "{name}");
        }
    }

    #[test]
    fn credentials_in_a_url_are_neither_shown_nor_part_of_what_it_is() {
        for remote in [
            Remote::chart("https://u:canary@h/a", "web", false),
            Remote::file("https://u:canary@h/a"),
            Remote::artifact("oci://u:canary@h/a"),
        ] {
            let remote = remote.unwrap();
            assert!(!remote.identity().contains("canary"));
            assert!(!remote.shown().contains("canary"));
        }
    }
}
