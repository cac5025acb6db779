//! Packaged charts in a `charts/` folder: the little that is looked at before Helm itself unpacks them.

use std::io::Read;

/// As much of an archive, and of one file in it, as Helm itself would unpack.
const MAX_UNPACKED: u64 = 100 << 20;
const MAX_FILE: u64 = 5 << 20;

/// How much may still be unpacked of all packages of a chart: each of them is small, and there may be thousands.
#[derive(Debug)]
pub(super) struct Budget(u64);

impl Default for Budget {
    fn default() -> Self {
        Self(4 * MAX_UNPACKED)
    }
}

/// The files of a packaged chart whose names are wanted, named from the chart's own folder. None if it can't be understood,
/// or is too much: then nothing may be concluded from it, and Helm will say what is wrong.
pub(super) fn files(
    data: &[u8],
    budget: &mut Budget,
    wanted: impl Fn(&str) -> bool,
) -> Option<Vec<(String, Vec<u8>)>> {
    let most = budget.0.min(MAX_UNPACKED);
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(data).take(most));
    let found = read(&mut archive, wanted);
    budget.0 -= most - archive.into_inner().limit();
    found
}

fn read(
    archive: &mut tar::Archive<impl Read>,
    wanted: impl Fn(&str) -> bool,
) -> Option<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in archive.entries().ok()? {
        let mut entry = entry.ok()?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let Some((_, name)) = path.split_once('/') else {
            continue;
        };
        if !wanted(name) {
            continue;
        }
        if entry.size() > MAX_FILE {
            return None;
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).ok()?;
        files.push((name.to_owned(), content));
    }
    Some(files)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A packaged chart with these files, named with its folder.
    pub(crate) fn mk_archive(files: &[(&str, &str)]) -> Vec<u8> {
        let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut archive = tar::Builder::new(gzip);
        for (name, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive
                .append_data(&mut header, name, content.as_bytes())
                .unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap()
    }

    fn all(data: &[u8], wanted: impl Fn(&str) -> bool) -> Option<Vec<(String, Vec<u8>)>> {
        files(data, &mut Budget::default(), wanted)
    }

    #[test]
    fn packages_are_unpacked_as_far_as_the_budget_goes() {
        let archive = mk_archive(&[("lib/Chart.yaml", &" ".repeat(10_000))]);
        let mut budget = Budget(25_000);
        assert!(files(&archive, &mut budget, |_| false).is_some());
        assert!(files(&archive, &mut budget, |_| false).is_some());
        assert!(files(&archive, &mut budget, |_| false).is_none());
        assert_eq!(budget.0, 0);
    }

    #[test]
    fn only_wanted_files_are_read_and_garbage_is_told() {
        let long = format!("lib/{}/Chart.yaml", "deep/".repeat(40));
        let archive = mk_archive(&[("lib/Chart.yaml", "name: lib"), (&long, "x"), ("top", "y")]);
        let found = all(&archive, |name| name == "Chart.yaml").unwrap();
        assert_eq!(found, [("Chart.yaml".to_owned(), b"name: lib".to_vec())]);
        assert!(all(b"not an archive", |_| true).is_none());
        assert!(all(&archive[..archive.len() / 2], |_| true).is_none());
    }
}
