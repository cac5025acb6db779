//! The files that a source's Helm options name: value files and file parameters, by path, pattern or URL.

use std::collections::BTreeMap;

use api::application::source::Helm;
use api::glob;
use bus::message::desired::Setting;
use bus::message::need::Need;

use super::ToolError;
use super::build_env::BuildEnv;
use crate::engine::wire::{Bytes, File, FileParameter};
use crate::job::Job;
use crate::tree::{Answer, Tree, TreeError, clean, join};

/// What finding files takes, and what it came to know.
pub(super) struct Finder<'a> {
    job: &'a Job,
    tree: &'a Tree,
    folder: &'a str,
    env: &'a BuildEnv,
    /// Whether something has to be fetched first; it was asked for.
    pub(super) waits: bool,
    pub(super) settings: Vec<Setting>,
}

/// Where a name of the specification points.
#[derive(Clone)]
enum Place<'a> {
    /// A path in one of the application's trees; its key tells the trees apart.
    File {
        tree: &'a Tree,
        key: String,
        path: String,
    },
    Url(String),
}

impl Place<'_> {
    /// What makes two of them the same file.
    fn key(&self) -> &str {
        match self {
            Self::File { key, .. } => key,
            Self::Url(url) => url,
        }
    }
}

impl<'a> Finder<'a> {
    pub(super) fn new(job: &'a Job, tree: &'a Tree, folder: &'a str, env: &'a BuildEnv) -> Self {
        Self {
            job,
            tree,
            folder,
            env,
            waits: false,
            settings: Vec::new(),
        }
    }

    /// Value files in their order, each once; one that is also named without a pattern has its place there.
    pub(super) fn values(&mut self, helm: &Helm) -> Result<Vec<File>, ToolError> {
        const FIELD: &str = "source.helm.valueFiles";
        let lenient = helm.ignore_missing_value_files.unwrap_or(false);
        let mut places = Vec::new();
        for name in helm.value_files.iter().flatten() {
            places.push((name, self.locate(name, FIELD)?));
        }
        let named: Vec<String> = places
            .iter()
            .filter(|(_, place)| !is_pattern(place))
            .map(|(_, place)| place.key().to_owned())
            .collect();
        let mut seen: Vec<String> = Vec::new();
        let mut values = Vec::new();
        for (name, place) in places {
            let found = match &place {
                Place::File { tree, key, path } if is_pattern(&place) => {
                    let found = matching(tree, path)?;
                    if found.is_empty() && !lenient {
                        return Err(ToolError::NoMatch {
                            field: FIELD.to_owned(),
                            pattern: name.chars().take(200).collect(),
                        });
                    }
                    let origin = key.strip_suffix(path.as_str()).unwrap_or_default();
                    let found = found.into_iter().map(|path| Place::File {
                        tree,
                        key: format!("{origin}{path}"),
                        path,
                    });
                    found
                        .filter(|place| !named.iter().any(|key| key == place.key()))
                        .collect()
                }
                _ => vec![place],
            };
            for place in found {
                if seen.iter().any(|key| key == place.key()) {
                    continue;
                }
                match self.read(&place)? {
                    Read::File(file) => {
                        seen.push(place.key().to_owned());
                        values.push(file);
                    }
                    Read::Waits => self.waits = true,
                    Read::Absent(_) if lenient => {}
                    Read::Absent(path) => {
                        return Err(ToolError::MissingFile {
                            field: FIELD.to_owned(),
                            path,
                        });
                    }
                }
            }
        }
        Ok(values)
    }

    /// File parameters; the last path of a name counts, as in Argo CD.
    pub(super) fn parameters(&mut self, helm: &Helm) -> Result<Vec<FileParameter>, ToolError> {
        const FIELD: &str = "source.helm.fileParameters";
        let mut paths = BTreeMap::new();
        for parameter in helm.file_parameters.iter().flatten() {
            paths.insert(
                parameter.name.clone().unwrap_or_default(),
                parameter.path.as_deref().unwrap_or_default(),
            );
        }
        let mut parameters = Vec::new();
        for (name, path) in paths {
            let place = self.locate(path, FIELD)?;
            match self.read(&place)? {
                Read::File(File { data, .. }) => parameters.push(FileParameter { name, data }),
                Read::Waits => self.waits = true,
                Read::Absent(path) => {
                    return Err(ToolError::MissingFile {
                        field: FIELD.to_owned(),
                        path,
                    });
                }
            }
        }
        Ok(parameters)
    }

    /// `$ref/…` is in another source, `/…` from the root, anything else from the chart.
    fn locate(&mut self, name: &str, field: &str) -> Result<Place<'a>, ToolError> {
        let referenced = name
            .strip_prefix('$')
            .map(|rest| rest.split_once('/').unwrap_or((rest, "")));
        if let Some((reference, path)) = referenced {
            if let Some(other) = self.job.referenced(reference) {
                let path = self.env.expand(path);
                let path = clean(&path).ok_or(TreeError::Leaves { path })?;
                let tree: &'a Tree = &other.tree;
                let key = format!("${reference}/{path}");
                return Ok(Place::File { tree, key, path });
            }
            if !reference.starts_with("ARGOCD_") && !reference.starts_with('{') {
                return Err(ToolError::UnknownReference {
                    field: field.to_owned(),
                    reference: reference.to_owned(),
                });
            }
        }
        let name = self.env.expand(name);
        if let Some(scheme) = scheme(&name) {
            return self.remote(&name, scheme, field);
        }
        let joined = join(self.folder, &name);
        let path = clean(&joined).ok_or(TreeError::Leaves { path: joined })?;
        Ok(Place::File {
            tree: self.tree,
            key: format!("/{path}"),
            path,
        })
    }

    fn remote(&mut self, url: &str, scheme: &str, field: &str) -> Result<Place<'a>, ToolError> {
        if !self.settings.contains(&Setting::ValuesFileSchemes) {
            self.settings.push(Setting::ValuesFileSchemes);
        }
        let allowed = &self.job.rendering.values_file_schemes;
        let is = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
        let by_http = is(scheme, "https") || is(scheme, "http");
        if !(allowed.is_empty() && by_http || allowed.iter().any(|allowed| is(allowed, scheme))) {
            return Err(ToolError::Scheme {
                field: field.to_owned(),
                scheme: scheme.chars().take(80).collect(),
            });
        }
        if !by_http {
            return Err(ToolError::Unsupported {
                what: format!("{field} by {scheme}"),
                instead: "give the file by https, or keep it in Git",
            });
        }
        Ok(Place::Url(url.to_owned()))
    }

    fn read(&self, place: &Place<'_>) -> Result<Read, ToolError> {
        Ok(match place {
            Place::File { tree, path, .. } => match tree.at(path)? {
                Answer::File { path, data } => Read::File(File {
                    name: path,
                    data: Bytes(data),
                }),
                Answer::Folder { .. } | Answer::Absent => Read::Absent(path.clone()),
            },
            Place::Url(url) => match self.job.dependencies.get(Need::File { url: url.clone() })? {
                None => Read::Waits,
                Some(tree) => match tree.file(Need::FILE)? {
                    Some(data) => Read::File(File {
                        name: url.clone(),
                        data: Bytes(data),
                    }),
                    None => Read::Absent(url.clone()),
                },
            },
        })
    }
}

enum Read {
    File(File),
    Absent(String),
    Waits,
}

/// The scheme of a URL, as Go's `url.Parse` splits it off.
fn scheme(name: &str) -> Option<&str> {
    let (scheme, _) = name.split_once(':')?;
    let first = scheme.bytes().next()?;
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    (first.is_ascii_alphabetic() && scheme.bytes().all(rest)).then_some(scheme)
}

fn is_pattern(place: &Place<'_>) -> bool {
    matches!(place, Place::File { path, .. } if path.contains(['*', '?', '[']))
}

/// The files that a pattern names, in the order of Argo CD: in each folder by name, a folder's own files before those below
/// it. `**` as a whole part is any number of folders.
fn matching(tree: &Tree, pattern: &str) -> Result<Vec<String>, ToolError> {
    let (folders, last) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    let mut folders: Vec<String> = folders
        .split('/')
        .filter(|part| !part.is_empty())
        .try_fold(vec![String::new()], |known, part| deeper(tree, known, part))?;
    let mut last = last;
    if last == "**" {
        folders = deeper(tree, folders, last)?;
        last = "*";
    }
    let mut found = Vec::new();
    for folder in folders {
        for name in tree.names(&folder, ending(last))? {
            let path = join(&folder, &name);
            if takes(last, &name)? && matches!(tree.at(&path)?, Answer::File { .. }) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// The folders one part of a pattern deeper.
fn deeper(tree: &Tree, known: Vec<String>, part: &str) -> Result<Vec<String>, ToolError> {
    let mut folders = Vec::new();
    for folder in known {
        if part == "**" {
            folders.extend(tree.folders_below(&folder)?);
        } else if part.contains(['*', '?', '[', '{']) {
            for name in tree.names(&folder, "")? {
                let path = join(&folder, &name);
                if takes(part, &name)? && matches!(tree.at(&path)?, Answer::Folder { .. }) {
                    folders.push(path);
                }
            }
        } else {
            folders.push(join(&folder, part));
        }
    }
    Ok(folders)
}

/// How every name ends that the pattern takes.
fn ending(pattern: &str) -> &str {
    let literal = |at: usize| &pattern[at + 1..];
    let tail = pattern
        .rfind(['*', '?', ']', '}', '\\'])
        .map_or(pattern, literal);
    // What a comma or slash means in a listing, it doesn't mean in a name.
    if tail.contains([',', '/']) { "" } else { tail }
}

fn takes(pattern: &str, name: &str) -> Result<bool, ToolError> {
    glob::matches(pattern, name, Some('/')).ok_or_else(|| ToolError::Pattern {
        field: "source.helm.valueFiles",
        pattern: pattern.chars().take(80).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::mk_tree;

    fn found(pattern: &str) -> Vec<String> {
        let tree = mk_tree(&[
            ("envs/z.yaml", ""),
            ("envs/a.yaml", ""),
            ("envs/notes.md", ""),
            ("envs/nested/c.yaml", ""),
            ("envs/nested/deep/d.yaml", ""),
            ("envs/folder.yaml/x", ""),
            ("envs/link.yaml", "-> z.yaml"),
        ]);
        matching(&tree, pattern).unwrap()
    }

    #[test]
    fn a_pattern_gives_a_folders_own_files_before_those_below() {
        let all = found("envs/**/*.yaml");
        let expected = [
            "envs/a.yaml",
            "envs/link.yaml",
            "envs/z.yaml",
            "envs/nested/c.yaml",
            "envs/nested/deep/d.yaml",
        ];
        assert_eq!(all, expected);
        assert_eq!(found("envs/*.yaml"), expected[..3]);
        assert_eq!(found("*/[az].yaml"), ["envs/a.yaml", "envs/z.yaml"]);
        assert_eq!(found("**/d.yaml"), ["envs/nested/deep/d.yaml"]);
        assert!(found("nothing/*.yaml").is_empty());
    }

    #[test]
    fn a_scheme_is_what_go_takes_for_one() {
        assert_eq!(scheme("https://example.org/v.yaml"), Some("https"));
        assert_eq!(scheme("values:v2.yaml"), Some("values"));
        assert_eq!(scheme("env/values:v2.yaml"), None);
        assert_eq!(scheme("1a:b"), None);
        assert_eq!(scheme("values.yaml"), None);
    }
}
