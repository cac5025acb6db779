//! Which words occur in a chart's text. A chart that never says `Files` cannot read the files beside its templates, and
//! one that never says `Capabilities` does not depend on the cluster.

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
        self.files |= contains(text, b"Files");
        self.capabilities |= contains(text, b"Capabilities");
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

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
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
}
