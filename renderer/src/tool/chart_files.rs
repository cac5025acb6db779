//! The files beside a chart's own parts, for templates that ask for one or the other: what they ask for is an input, and
//! nothing else of the folder is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bus::message::need::Need;

use super::ToolError;
use super::chart::{self, is_part};
use super::token::{Tokens, Use};
use crate::engine::Files;
use crate::engine::wire::{Answer, Bytes, File, FilesOf};
use crate::tree::{self, Tree, Walk, join};

/// What a chart is told of the cluster when its files turn out to ask.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) api_versions: Vec<String>,
    /// Whether the cluster has a say: the source doesn't give both.
    pub(crate) counts: bool,
}

/// Answers for the chart in a folder.
pub(crate) struct ChartFiles {
    tree: Arc<Tree>,
    folder: String,
    /// What the chart's own text says.
    tokens: Tokens,
    cluster: Cluster,
    /// Whether a file was asked for whose text, if it is a template too, says more than the chart does.
    says_more: AtomicBool,
    /// Why the first question had no answer.
    failed: Mutex<Option<ToolError>>,
}

impl ChartFiles {
    pub(super) fn new(tree: Arc<Tree>, folder: &str, tokens: Tokens, cluster: Cluster) -> Self {
        Self {
            tree,
            folder: folder.to_owned(),
            tokens,
            cluster,
            says_more: AtomicBool::new(false),
            failed: Mutex::default(),
        }
    }

    /// What is in a file of the chart.
    pub(crate) fn file(&self, name: &str) -> Answer {
        self.answer(self.read(name))
    }

    /// Which files are in a folder of the chart, or below it too.
    pub(crate) fn names(&self, of: &FilesOf) -> Answer {
        self.answer(self.list(of))
    }

    fn read(&self, name: &str) -> Result<Answer, ToolError> {
        if !is_plain(name) || is_part(name) {
            return Ok(Answer::Absent);
        }
        let path = join(&self.folder, name);
        Ok(match self.tree.at(&path)? {
            tree::Answer::File { data, .. } => {
                self.scan(&data);
                Answer::File {
                    path: name.to_owned(),
                    data: Bytes(data),
                }
            }
            tree::Answer::Folder { .. } => {
                // That it is one is an input then: it could become a file.
                self.tree.names(&path, "")?;
                Answer::Absent
            }
            tree::Answer::Absent => Answer::Absent,
        })
    }

    fn list(&self, of: &FilesOf) -> Result<Answer, ToolError> {
        let mut names = Vec::new();
        if of.folder.is_empty() || is_plain(&of.folder) {
            let walk = if of.deep { Walk::Following } else { Walk::Flat };
            let folder = join(&self.folder, &of.folder);
            // A comma would end it.
            let ending = if of.ending.contains(',') {
                ""
            } else {
                &of.ending
            };
            let found = self
                .tree
                .find(&folder, walk, &[ending])?
                .unwrap_or_default();
            let found = found.into_iter().map(|leaf| join(&of.folder, &leaf.name));
            names.extend(found.filter(|name| !is_part(name)));
        }
        Ok(Answer::Names { names })
    }

    /// It may go through `tpl`.
    fn scan(&self, data: &[u8]) {
        let mut tokens = self.tokens;
        tokens.scan(data);
        if tokens != self.tokens {
            self.says_more.store(true, Ordering::Relaxed);
        }
    }

    fn answer(&self, result: Result<Answer, ToolError>) -> Answer {
        result.unwrap_or_else(|error| {
            let message = error.to_string();
            self.failed().get_or_insert(error);
            Answer::Refused { message }
        })
    }

    /// Whether the chart's text names files.
    pub(crate) fn are_named(&self) -> bool {
        self.tokens.files != Use::Nothing
    }

    /// Whether what was asked for can't be followed any more.
    pub(crate) fn say_more(&self) -> bool {
        self.says_more.load(Ordering::Relaxed)
    }

    /// The first question that had no answer.
    pub(crate) fn failure(&self) -> Option<ToolError> {
        self.failed().take()
    }

    /// All files beside the chart's own parts, the folder being an input as a whole then; and what the chart is to be told of
    /// the cluster, if it wasn't and they ask.
    pub(crate) fn all(&self) -> Result<(Vec<File>, Option<Cluster>), ToolError> {
        let mut tokens = self.tokens;
        let rest = chart::rest(&self.tree, &self.folder)?;
        for file in &rest {
            tokens.scan(&file.data.0);
        }
        let asks = tokens.capabilities && !self.tokens.capabilities;
        Ok((rest, asks.then(|| self.cluster.clone())))
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, Option<ToolError>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a file of a chart can be named so: Helm knows each by its way from the chart's folder, and by no other.
fn is_plain(name: &str) -> bool {
    !name.contains('\0') && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

impl Files for ChartFiles {
    fn at(&self, path: &str) -> Answer {
        Answer::Refused {
            message: format!("a chart's render does not read {path}"),
        }
    }

    fn list(&self, path: &str) -> Answer {
        self.at(path)
    }

    fn mount(&self, _: Need, at: &str) -> Answer {
        self.at(at)
    }

    fn chart(&self, path: &str, _: bool) -> Answer {
        self.at(path)
    }

    fn chart_file(&self, name: &str) -> Answer {
        self.file(name)
    }

    fn chart_names(&self, of: &FilesOf) -> Answer {
        self.names(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::mk_tree;

    fn mk_files(tokens: Tokens) -> ChartFiles {
        let tree = mk_tree(&[
            ("apps/dome/Chart.yaml", "name: dome"),
            ("apps/dome/templates/a.yaml", "a: 1"),
            ("apps/dome/files/a.txt", "A"),
            ("apps/dome/files/deep/b.txt", "B"),
            ("apps/dome/files/c.json", "{}"),
            ("apps/dome/link.txt", "-> ../shared.txt"),
            ("apps/dome/out.txt", "-> ../../../etc/passwd"),
            ("apps/dome/caps.tpl", "{{ .Capabilities.KubeVersion }}"),
            ("apps/shared.txt", "shared"),
        ]);
        ChartFiles::new(Arc::new(tree), "apps/dome", tokens, Cluster::default())
    }

    fn said(answer: Answer) -> String {
        match answer {
            Answer::File { data, .. } => String::from_utf8(data.0).unwrap(),
            Answer::Names { names } => names.join(" "),
            Answer::Absent => "absent".to_owned(),
            Answer::Refused { message } => message,
            other => panic!("{other:?}"),
        }
    }

    fn inputs(files: &ChartFiles) -> Vec<String> {
        let inputs = files.tree.inputs(0).into_iter();
        inputs.map(|input| input.path).collect()
    }

    fn of(folder: &str, deep: bool, ending: &str) -> FilesOf {
        FilesOf {
            folder: folder.to_owned(),
            deep,
            ending: ending.to_owned(),
        }
    }

    #[test]
    fn a_file_that_is_asked_for_is_an_input_also_if_it_is_absent() {
        let files = mk_files(Tokens::default());
        assert_eq!(said(files.file("files/a.txt")), "A");
        assert_eq!(said(files.file("values-north.yaml")), "absent");
        assert_eq!(
            inputs(&files),
            ["apps/dome/files/a.txt", "apps/dome/values-north.yaml"]
        );
        assert!(!files.say_more());
    }

    #[test]
    fn a_folder_is_no_file_until_it_is_one() {
        let files = mk_files(Tokens::default());
        assert_eq!(said(files.file("files")), "absent");
        assert_eq!(inputs(&files), ["apps/dome/files//"]);
    }

    #[test]
    fn the_charts_own_parts_and_what_is_no_name_of_a_file_are_absent_and_no_input() {
        let files = mk_files(Tokens::default());
        for name in [
            "templates/a.yaml",
            "Chart.yaml",
            "values.yaml",
            "",
            "/files/a.txt",
            "./files/a.txt",
            "files//a.txt",
            "../dome/files/a.txt",
        ] {
            assert_eq!(said(files.file(name)), "absent", "{name}");
        }
        assert!(inputs(&files).is_empty());
    }

    #[test]
    fn a_link_is_followed_inside_of_the_repository_alone() {
        let files = mk_files(Tokens::default());
        assert_eq!(said(files.file("link.txt")), "shared");
        assert_eq!(inputs(&files), ["apps/dome/link.txt", "apps/shared.txt"]);
        assert!(said(files.file("out.txt")).contains("out of the repository"));
        assert!(files.failure().is_some());
    }

    #[test]
    fn of_a_pattern_the_names_that_it_can_match_are_the_input() {
        let files = mk_files(Tokens::default());
        assert_eq!(
            said(files.names(&of("files", false, ".txt"))),
            "files/a.txt"
        );
        assert_eq!(inputs(&files), ["apps/dome/files//.txt"]);
        let files = mk_files(Tokens::default());
        assert_eq!(
            said(files.names(&of("files", true, ".txt"))),
            "files/a.txt files/deep/b.txt"
        );
        assert_eq!(
            inputs(&files),
            ["apps/dome/files//.txt,/", "apps/dome/files/deep//.txt,/"]
        );
        assert_eq!(said(files.names(&of("..", true, ""))), "");
        assert_eq!(said(files.names(&of("no/such", true, ""))), "");
        assert!(inputs(&files).contains(&"apps/dome/no".to_owned()));
    }

    #[test]
    fn a_file_that_says_more_than_the_chart_may_be_a_template() {
        let files = mk_files(Tokens::default());
        assert_eq!(
            said(files.file("caps.tpl")),
            "{{ .Capabilities.KubeVersion }}"
        );
        assert!(files.say_more());
        // Of all of them, the link that leads out is refused, as by Helm.
        assert!(files.all().is_err());
        let files = mk_files(Tokens {
            capabilities: true,
            ..Tokens::default()
        });
        files.file("caps.tpl");
        assert!(!files.say_more());
    }
}
