//! Which words occur in a chart's text. A chart that never says `Files` cannot read the files beside its templates, and
//! one that never says `Capabilities` does not depend on the cluster.

use memchr::memmem;

/// How a chart's text uses the files beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    #[default]
    Nothing,
    /// It calls functions that name files: which ones is seen when they are called.
    Named,
    /// It may do anything with all of them.
    Whole,
}

/// What was found so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) files: Use,
    pub(crate) capabilities: bool,
}

impl Tokens {
    /// What can't be understood counts as saying everything.
    pub(super) const ALL: Self = Self {
        files: Use::Whole,
        capabilities: true,
    };

    pub(super) fn add(&mut self, other: Self) {
        self.files = self.files.max(other.files);
        self.capabilities |= other.capabilities;
    }

    pub(crate) fn scan(&mut self, text: &[u8]) {
        for at in places(text, b"Files") {
            let used = if is_call(text, at) {
                Use::Named
            } else {
                Use::Whole
            };
            self.files = self.files.max(used);
        }
        self.capabilities |= places(text, b"Capabilities").next().is_some();
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

/// Where a template in this text can mean the field by that name: `.Files`, `index $ "Files"`. Not where it is a part of a longer
/// name (nearly every chart says `readOnlyRootFilesystem`), and not in prose, between blanks: no template has it so.
fn places(text: &[u8], word: &'static [u8]) -> impl Iterator<Item = usize> {
    let is_blank = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b' ' | b'\t'));
    memmem::find_iter(text, word).filter(move |&at| {
        let (before, after) = (text[..at].last(), text.get(at + word.len()));
        ![before, after].into_iter().any(is_of_a_name) && ![before, after].into_iter().all(is_blank)
    })
}

fn is_of_a_name(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Whether `Files` is said here to call one of the functions of its that name files: `.Files.Get "x"`.
fn is_call(text: &[u8], at: usize) -> bool {
    let rest = text[at..].strip_prefix(b"Files.").unwrap_or_default();
    let called = [&b"GetBytes"[..], b"Get", b"Glob", b"Lines"];
    text[..at].last() == Some(&b'.')
        && called.iter().any(|name| {
            let after = rest.strip_prefix(*name);
            // Not a field of what comes out: `.Files.Glob.x`.
            after.is_some_and(|after| !is_of_a_name(after.first()) && after.first() != Some(&b'.'))
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
        assert_eq!(
            scanned("templates/a.yaml", b"{{ .Files.Get \"x\" }}").files,
            Use::Named
        );
        assert!(scanned("charts/lib/templates/_a.tpl", b"{{ .Capabilities }}").capabilities);
        assert_eq!(
            scanned("values.yaml", b"a: '{{ .Files }}'").files,
            Use::Whole
        );
        assert_eq!(
            scanned("charts/lib/README.md", b"Files Capabilities"),
            Tokens::default()
        );
    }

    #[test]
    fn a_part_of_a_longer_name_and_a_word_of_prose_are_not_the_field() {
        let files = |text: &str| scanned("templates/a.yaml", text.as_bytes()).files != Use::Nothing;
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

    #[test]
    fn only_calls_that_name_files_can_be_followed() {
        let files = |text: &str| scanned("templates/a.yaml", text.as_bytes()).files;
        for followed in [
            "{{ .Files.Get $name }}",
            "{{ $.Files.GetBytes \"x\" | b64enc }}",
            "{{ (.Files.Glob \"x/*\").AsConfig | indent 2 }}",
            "{{ $root.Files.Lines (printf \"%s\" .x) }}",
            "{{ .Files.Get\n  \"x\" }}",
        ] {
            assert_eq!(files(followed), Use::Named, "{followed}");
        }
        for whole in [
            "{{ .Files.AsConfig }}",
            "{{ .Files.Getter }}",
            "{{ $f := .Files }}{{ $f.Get \"x\" }}",
            "{{ range $k, $v := .Files }}",
            "{{ index .Files \"x\" }}",
            "{{ Files.Get \"x\" }}",
            "{{ .Files.Get \"x\" }} {{ .Files }}",
            "{{ .Files\n.Get }}",
        ] {
            assert_eq!(files(whole), Use::Whole, "{whole}");
        }
    }
}
