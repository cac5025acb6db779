//! Which words occur in a chart's text. A chart that never says `Files` cannot read the files beside its templates, and
//! one that never says `Capabilities` does not depend on the cluster.

use memchr::memmem;

/// What was found so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) files: bool,
    pub(crate) capabilities: bool,
}

impl Tokens {
    /// What can't be understood counts as saying everything.
    pub(super) const ALL: Self = Self {
        files: true,
        capabilities: true,
    };

    pub(super) fn add(&mut self, other: Self) {
        self.files |= other.files;
        self.capabilities |= other.capabilities;
    }

    pub(crate) fn scan(&mut self, text: &[u8]) {
        self.files |= names(text, b"Files");
        self.capabilities |= names(text, b"Capabilities");
    }

    /// Scans a file of a chart, if a template can come to see its text.
    pub(crate) fn scan_file(&mut self, name: &str, data: &[u8]) {
        if is_text_of_a_chart(name) {
            self.scan(data);
        }
    }
}

/// Templates, and what templates see without asking for files.
pub(super) fn is_text_of_a_chart(name: &str) -> bool {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    folder.split('/').any(|part| part == "templates")
        || matches!(file, "values.yaml" | "Chart.yaml" | "requirements.yaml")
}

/// Whether a template in this text can mean the field by that name: `.Files`, `index $ "Files"`. Not where it is a part of a longer
/// name (nearly every chart says `readOnlyRootFilesystem`), and not in prose, between blanks: no template has it so.
fn names(text: &[u8], word: &[u8]) -> bool {
    let is_of_a_name =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let is_blank = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b' ' | b'\t'));
    memmem::find_iter(text, word).any(|at| {
        let (before, after) = (text[..at].last(), text.get(at + word.len()));
        ![before, after].into_iter().any(is_of_a_name) && ![before, after].into_iter().all(is_blank)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(name: &str, data: &[u8]) -> Tokens {
        let mut tokens = Tokens::default();
        tokens.scan_file(name, data);
        tokens
    }

    #[test]
    fn only_text_that_templates_see_counts() {
        assert!(scanned("templates/a.yaml", b"{{ .Files.Get \"x\" }}").files);
        assert!(scanned("charts/lib/templates/_a.tpl", b"{{ .Capabilities }}").capabilities);
        assert!(scanned("values.yaml", b"a: '{{ .Files }}'").files);
        assert_eq!(
            scanned("charts/lib/README.md", b"Files Capabilities"),
            Tokens::default()
        );
    }

    #[test]
    fn a_part_of_a_longer_name_and_a_word_of_prose_are_not_the_field() {
        let files = |text: &str| scanned("templates/a.yaml", text.as_bytes()).files;
        assert!(!files("readOnlyRootFilesystem: true"));
        assert!(!files("{{ .Values.extraFiles }} {{ .Values.Files_ }}"));
        assert!(!files("# -- Files to be mounted"));
        for field in [
            "{{ .Files }}",
            "{{ $.Files.Get \"x\" }}",
            "{{ (.Files.Glob \"x\").AsConfig }}",
            "{{ index $ \"Files\" }}",
            "{{ get . `Files` }}",
            "field: Files\n",
            "Files",
        ] {
            assert!(files(field), "{field}");
        }
        assert!(!scanned("templates/a.yaml", b"dropCapabilities: [ALL]").capabilities);
    }
}
