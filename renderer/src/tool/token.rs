//! Which words occur in a chart's text. A chart that never says `Files` cannot read the files beside its templates, and
//! one that never says `Capabilities` does not depend on the cluster.

use std::io::Read;

/// As much of an archive as Helm itself would unpack.
const MAX_UNPACKED: u64 = 100 << 20;
const BLOCK: usize = 512;

/// What was found so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) files: bool,
    pub(crate) capabilities: bool,
}

impl Tokens {
    pub(crate) fn scan(&mut self, text: &[u8]) {
        self.files |= contains(text, b"Files");
        self.capabilities |= contains(text, b"Capabilities");
    }

    /// Scans a file of the chart's folder, if a template can come to see its text.
    pub(crate) fn scan_file(&mut self, name: &str, data: &[u8]) {
        if name
            .rsplit_once('.')
            .is_some_and(|(_, extension)| extension == "tgz")
        {
            self.scan_archive(data);
        } else if is_text_of_a_chart(name) {
            self.scan(data);
        }
    }

    /// A packaged dependency. What can't be understood counts as saying everything.
    fn scan_archive(&mut self, data: &[u8]) {
        let mut unpacked = Vec::new();
        let read = flate2::read::MultiGzDecoder::new(data)
            .take(MAX_UNPACKED)
            .read_to_end(&mut unpacked);
        if read.is_err() || self.scan_tar(&unpacked).is_none() {
            *self = Self {
                files: true,
                capabilities: true,
            };
        }
    }

    fn scan_tar(&mut self, mut tar: &[u8]) -> Option<()> {
        while tar.len() >= BLOCK && tar[0] != 0 {
            let text = |range: std::ops::Range<usize>| {
                std::str::from_utf8(&tar[range])
                    .ok()
                    .map(|text| text.trim_matches(['\0', ' ']))
            };
            let name = text(0..100)?;
            let size = usize::from_str_radix(text(124..136)?, 8).ok()?;
            let content = tar.get(BLOCK..BLOCK.checked_add(size)?)?;
            match tar[156] {
                b'0' | 0 => self.scan_file(name, content),
                // Directories, and headers of PAX that aren't about one entry.
                b'5' | b'g' => {}
                // Long names and anything else: not worth a parser.
                _ => return None,
            }
            tar = tar
                .get(BLOCK + size.next_multiple_of(BLOCK)..)
                .unwrap_or_default();
        }
        Some(())
    }
}

/// Templates, and what templates see without asking for files.
fn is_text_of_a_chart(name: &str) -> bool {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    folder.split('/').any(|part| part == "templates")
        || matches!(file, "values.yaml" | "Chart.yaml" | "requirements.yaml")
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn scanned(name: &str, data: &[u8]) -> Tokens {
        let mut tokens = Tokens::default();
        tokens.scan_file(name, data);
        tokens
    }

    fn mk_archive(name: &str, content: &str) -> Vec<u8> {
        let mut header = vec![0_u8; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = b'0';
        let mut tar = header;
        tar.extend_from_slice(content.as_bytes());
        tar.resize(tar.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
        let mut archive = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        archive.write_all(&tar).unwrap();
        archive.finish().unwrap()
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
    fn packaged_dependencies_are_looked_into() {
        assert!(
            scanned(
                "charts/lib.tgz",
                &mk_archive("lib/templates/a.yaml", "{{ .Files }}")
            )
            .files
        );
        assert_eq!(
            scanned("charts/lib.tgz", &mk_archive("lib/README.md", "Files")),
            Tokens::default()
        );
        assert!(scanned("charts/lib.tgz", b"not an archive").files);
    }
}
