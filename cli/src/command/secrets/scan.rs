//! What one file of a repository says of secrets: read line by line, since templates of charts are no YAML yet. Pure.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// How a path is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Form {
    /// `<path:…#key>`.
    Inline,
    /// `avp.kubernetes.io/path`.
    Annotation,
    VaultSecret,
}

/// A path in the form of `secret-paths`; `*` stands for what a template fills in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Use {
    pub(super) path: String,
    pub(super) form: Form,
}

/// An Application that the file holds: its project, and the folders that it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reads {
    pub(super) project: String,
    pub(super) folders: Vec<String>,
}

pub(super) fn uses(text: &str) -> BTreeSet<Use> {
    let mut found = BTreeSet::new();
    let mut add = |path: &str, form| {
        let path = filled(path.trim());
        if !path.is_empty() {
            found.insert(Use { path, form });
        }
    };
    for document in documents(text) {
        let resource = value(document, "kind").is_some_and(|kind| kind == "VaultSecret");
        for line in document.lines() {
            inline(line, &mut |path| add(path, Form::Inline));
            let word = line.rsplit([' ', '"', '\'']).find(|word| !word.is_empty());
            let decoded = word
                .filter(|word| word.len() >= 16)
                .and_then(|word| String::from_utf8(STANDARD.decode(word).ok()?).ok());
            for line in decoded.iter().flat_map(|decoded| decoded.lines()) {
                inline(line, &mut |path| add(path, Form::Inline));
            }
            match pair(line) {
                Some(("avp.kubernetes.io/path", path)) => add(path, Form::Annotation),
                Some(("path", path)) if resource => {
                    let (mount, rest) = path.split_once('/').unwrap_or((path, ""));
                    add(&format!("{mount}/data/{rest}"), Form::VaultSecret);
                }
                _ => {}
            }
        }
    }
    found
}

pub(super) fn reads(text: &str) -> Vec<Reads> {
    documents(text)
        .filter(|document| value(document, "kind").is_some_and(|kind| kind == "Application"))
        .map(|document| Reads {
            project: value(document, "project").unwrap_or("default").to_owned(),
            folders: document
                .lines()
                .filter_map(pair)
                .filter(|(name, folder)| *name == "path" && !folder.contains("{{"))
                .map(|(_, folder)| folder.trim_matches('/').to_owned())
                .collect(),
        })
        .collect()
}

fn documents(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n---")
}

/// The first value of a name, wherever it stands.
fn value<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    document
        .lines()
        .filter_map(pair)
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

/// `name: value` of a line, without quotes.
fn pair(line: &str) -> Option<(&str, &str)> {
    let quotes = ['"', '\''];
    let (name, value) = line.trim_start_matches([' ', '-']).split_once(':')?;
    let value = value.trim().trim_matches(quotes);
    (!value.is_empty()).then(|| (name.trim().trim_matches(quotes), value))
}

/// The paths of a line's inline placeholders.
fn inline(line: &str, found: &mut impl FnMut(&str)) {
    for rest in line.split("<path:").skip(1) {
        if let Some((path, _)) = rest.split_once('#') {
            found(path);
        }
    }
}

/// With `*` for what a template fills in.
fn filled(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        out.push('*');
        rest = after.split_once("}}").map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, Form)> {
        uses(text)
            .into_iter()
            .map(|one| (one.path, one.form))
            .collect()
    }

    #[test]
    fn each_form_is_found_and_named_as_secret_paths_name_it() {
        let encoded = STANDARD.encode("password=<path:kv/data/encoded#p>");
        let text = format!(
            "kind: Secret\nmetadata:\n  annotations:\n    avp.kubernetes.io/path: \"kv/data/noted\"\nstringData:\n  \
             a: <path:kv/data/one#a>-<path:kv/data/two#b | base64encode>\n  b: <path:kv/data/{{{{ .Values.env }}}}/x#y>\ndata:\n  \
             c: {encoded}\n---\napiVersion: ricoberger.de/v1alpha1\nkind: VaultSecret\nspec:\n  path: kv/shop/db\n  type: Opaque\n"
        );
        assert_eq!(
            found(&text),
            [
                ("kv/data/*/x".to_owned(), Form::Inline),
                ("kv/data/encoded".to_owned(), Form::Inline),
                ("kv/data/noted".to_owned(), Form::Annotation),
                ("kv/data/one".to_owned(), Form::Inline),
                ("kv/data/shop/db".to_owned(), Form::VaultSecret),
                ("kv/data/two".to_owned(), Form::Inline),
            ]
        );
    }

    #[test]
    fn a_path_elsewhere_and_a_text_cut_off_are_nothing() {
        assert_eq!(
            found("kind: Deployment\nspec:\n  path: /healthz\n  x: <path:kv/data/a\n"),
            []
        );
    }

    #[test]
    fn an_application_reads_its_folders_for_its_project() {
        let text = "kind: AppProject\n---\nkind: Application\nspec:\n  project: shop\n  sources:\n  - path: ./apps/web/\n    repoURL: x\n  - path: 'apps/db'\n";
        let expected = Reads {
            project: "shop".to_owned(),
            folders: vec!["./apps/web".to_owned(), "apps/db".to_owned()],
        };
        assert_eq!(reads(text), [expected]);
    }
}
