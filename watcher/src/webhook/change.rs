//! What a webhook says, whoever sent it: where something changed, and under which names. Pure.

use api::git_url;

/// The most names that are told apart; more is everything.
const NAMES: usize = 1_000;

/// A push to a Git repository, or of an artifact to a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Host and path, in every form that the sender gave; a path alone, with a slash before it, is meant at any host.
    places: Vec<String>,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// Branches and tags, without `refs/heads/` and `refs/tags/`.
    References {
        names: Vec<Reference>,
        default_branch: Option<String>,
    },
    Tags(Vec<String>),
    /// More than can be told apart, or the sender doesn't say.
    Anything,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Reference {
    name: String,
    tag: bool,
}

impl Change {
    /// A push to a Git repository: its URLs in whatever form, and full names of references. None without either.
    pub fn push(
        urls: impl IntoIterator<Item = String>,
        references: impl IntoIterator<Item = String>,
        default_branch: Option<String>,
    ) -> Option<Self> {
        let names: Vec<Reference> = references.into_iter().map(Reference::of).collect();
        let what = match names.len() {
            0 => return None,
            1..=NAMES => What::References {
                names,
                default_branch: default_branch
                    .filter(|name| !name.is_empty())
                    .map(|name| Reference::of(name).name),
            },
            _ => What::Anything,
        };
        Self::at(urls, what)
    }

    /// Tags of an artifact. None without a place or a tag.
    pub fn artifact(
        urls: impl IntoIterator<Item = String>,
        tags: impl IntoIterator<Item = String>,
    ) -> Option<Self> {
        let tags: Vec<String> = tags.into_iter().filter(|tag| !tag.is_empty()).collect();
        let what = match tags.len() {
            0 => return None,
            1..=NAMES => What::Tags(tags),
            _ => What::Anything,
        };
        Self::at(urls, what)
    }

    fn at(urls: impl IntoIterator<Item = String>, what: What) -> Option<Self> {
        let mut places: Vec<String> = urls
            .into_iter()
            .filter(|url| !url.trim().is_empty())
            .map(|url| match url.strip_prefix('/') {
                Some(path) => format!("/{}", git_url::host_and_path(path)),
                None => git_url::host_and_path(&url),
            })
            .filter(|place| place.trim_start_matches('/').contains('/'))
            .collect();
        places.sort();
        places.dedup();
        (!places.is_empty()).then_some(Self { places, what })
    }

    /// Whether it is about a source: a Git repository, an OCI artifact, or a chart in a registry.
    pub fn is_about(&self, url: &str, chart: Option<&str>) -> bool {
        let own = git_url::host_and_path(url);
        let is_at = |own: &str| {
            self.places.iter().any(|place| {
                if place.starts_with('/') {
                    own.ends_with(place.as_str())
                } else {
                    own == place
                }
            })
        };
        let chart = chart.map(|chart| format!("{own}/{}", chart.to_lowercase()));
        is_at(&own) || chart.is_some_and(|chart| is_at(&chart))
    }

    /// Whether it can change what a target revision means.
    pub fn concerns(&self, target: &str) -> bool {
        match &self.what {
            What::References {
                names,
                default_branch,
            } => match target {
                "" | "HEAD" => default_branch
                    .as_deref()
                    .is_none_or(|branch| names.iter().any(|it| it.name == branch)),
                _ => {
                    let wanted = Reference::of(target.to_owned()).name;
                    names
                        .iter()
                        .any(|it| it.name == wanted || (it.tag && can_match(target, &it.name)))
                }
            },
            What::Tags(tags) => {
                matches!(target, "" | "latest" | "HEAD")
                    || tags
                        .iter()
                        .any(|tag| tag == target || can_match(target, tag))
            }
            What::Anything => true,
        }
    }

    /// For people: the first place.
    pub fn place(&self) -> &str {
        self.places.first().map_or("", String::as_str)
    }
}

impl Reference {
    fn of(name: String) -> Self {
        if let Some(tag) = name.strip_prefix("refs/tags/") {
            return Self {
                name: tag.to_owned(),
                tag: true,
            };
        }
        Self {
            name: name
                .strip_prefix("refs/heads/")
                .map(str::to_owned)
                .unwrap_or(name),
            tag: false,
        }
    }
}

/// Whether a tag is a version, and a target a range of versions in which it could be. What it really means is found when the host
/// is asked.
fn can_match(target: &str, tag: &str) -> bool {
    let numbers = |text: &str| {
        let text = text.trim().strip_prefix('v').unwrap_or(text.trim());
        let core = text.split(['-', '+']).next().unwrap_or_default();
        let parts: Vec<&str> = core.split('.').collect();
        let is_version = parts
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        is_version.then_some(parts.len())
    };
    let is_range = match numbers(target) {
        // One whole version.
        Some(3..) => false,
        // `1` and `1.2` are ranges.
        Some(_) => true,
        None => {
            target.contains(['*', '<', '>', '=', '!', '~', '^', ',', '|'])
                || target.split('.').any(|part| matches!(part, "x" | "X"))
        }
    };
    is_range && numbers(tag).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(references: &[&str]) -> Change {
        Change::push(
            ["https://git.example.org/team/repo".to_owned()],
            references.iter().map(|it| (*it).to_owned()),
            Some("main".to_owned()),
        )
        .unwrap()
    }

    #[test]
    fn a_push_is_about_its_repository_whatever_the_form_of_the_url() {
        let push = push(&["refs/heads/main"]);
        for url in [
            "https://git.example.org/team/repo",
            "https://git.example.org:8443/Team/Repo.git/",
            "ssh://git@git.example.org:2222/team/repo.git",
            "git@git.example.org:team/repo",
            "ssh://git@ssh.git.example.org:443/team/repo.git",
        ] {
            assert!(push.is_about(url, None), "{url}");
        }
        for url in [
            "https://git.example.org/team/repo2",
            "https://git.example.org/other/team/repo",
            "https://evil.org/git.example.org/team/repo",
            "https://git.example.org.evil.org/team/repo",
            "",
        ] {
            assert!(!push.is_about(url, None), "{url}");
        }
    }

    #[test]
    fn a_push_concerns_its_own_references_and_head_of_the_default_branch() {
        let main = push(&["refs/heads/main"]);
        for target in ["main", "refs/heads/main", "", "HEAD"] {
            assert!(main.concerns(target), "{target}");
        }
        for target in [
            "dev",
            "1.x",
            "ma",
            "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        ] {
            assert!(!main.concerns(target), "{target}");
        }
        let two = push(&["refs/heads/feature/a", "refs/heads/dev"]);
        assert!(two.concerns("dev") && two.concerns("feature/a"));
        assert!(!two.concerns("HEAD"));
    }

    #[test]
    fn a_host_that_does_not_say_its_default_branch_may_have_moved_head() {
        let urls = || ["https://h/a/b".to_owned()];
        let unknown = Change::push(urls(), ["refs/heads/x".to_owned()], None).unwrap();
        assert!(unknown.concerns("HEAD") && !unknown.concerns("main"));
        let full = Change::push(urls(), ["refs/heads/x".into()], Some("refs/heads/x".into()));
        assert!(full.unwrap().concerns(""));
    }

    #[test]
    fn a_new_tag_concerns_ranges_of_versions() {
        let tag = push(&["refs/tags/v1.4.2"]);
        for target in [
            "v1.4.2",
            "refs/tags/v1.4.2",
            "1.x",
            "1",
            "1.4",
            "^1.2",
            ">=1.0.0 <2.0.0",
            "*",
        ] {
            assert!(tag.concerns(target), "{target}");
        }
        for target in ["main", "v1.4.3", "1.4.2-rc.1", "HEAD", "release-x"] {
            assert!(!tag.concerns(target), "{target}");
        }
        assert!(!push(&["refs/tags/nightly"]).concerns("1.x"));
    }

    #[test]
    fn an_artifact_is_about_a_whole_url_and_about_a_chart_below_one() {
        let pushed =
            Change::artifact(["oci://ghcr.io/Acme/charts/web".into()], ["1.2.3".into()]).unwrap();
        assert!(pushed.is_about("oci://ghcr.io/acme/charts/web/", None));
        assert!(pushed.is_about("ghcr.io/acme/charts", Some("web")));
        assert!(pushed.is_about("oci://ghcr.io/acme", Some("charts/web")));
        assert!(!pushed.is_about("ghcr.io/acme/charts", Some("web2")));
        assert!(!pushed.is_about("ghcr.io/acme/charts", None));
        assert!(pushed.concerns("1.2.3") && pushed.concerns("1.x") && !pushed.concerns("1.2.4"));
    }

    #[test]
    fn a_path_without_a_host_is_meant_at_any_host_but_whole() {
        let push = Change::push(["/proj/repo".into()], ["refs/heads/main".into()], None).unwrap();
        assert!(push.is_about("ssh://git@bitbucket:7999/proj/repo.git", None));
        assert!(push.is_about("https://bitbucket/scm/PROJ/repo.git", None));
        assert!(!push.is_about("https://bitbucket/scm/otherproj/repo.git", None));
    }

    #[test]
    fn without_a_place_or_a_name_there_is_no_change() {
        let name = || ["refs/heads/main".to_owned()];
        assert_eq!(Change::push([], name(), None), None);
        for nowhere in ["", " ", "/", "h", "https://h", "/repo"] {
            assert_eq!(
                Change::push([nowhere.into()], name(), None),
                None,
                "{nowhere}"
            );
        }
        assert_eq!(Change::push(["https://h/a".into()], [], None), None);
        assert_eq!(Change::artifact(["h/a".into()], [String::new()]), None);
    }

    #[test]
    fn more_names_than_can_be_told_apart_concern_everything() {
        let names = (0..=NAMES).map(|number| format!("refs/heads/{number}"));
        let push = Change::push(["https://h/a".into()], names, None).unwrap();
        assert!(push.concerns("whatever"));
    }
}
