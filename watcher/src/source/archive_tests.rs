use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tar::{Builder, Header};

use super::*;

const SMALL: Bounds = Bounds {
    unpacked: 1 << 20,
    entries: 100,
};

struct Made {
    tar: Builder<Vec<u8>>,
}

impl Made {
    fn new() -> Self {
        Self {
            tar: Builder::new(Vec::new()),
        }
    }

    fn header(kind: EntryType, size: u64, mode: u32) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(mode);
        header
    }

    /// A path as it is written, whatever it is.
    fn raw(mut self, path: &str, kind: EntryType, link: &str, data: &[u8], mode: u32) -> Self {
        let mut header = Self::header(kind, data.len() as u64, mode);
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.tar.append(&header, data).unwrap();
        self
    }

    fn file(self, path: &str, data: &[u8]) -> Self {
        self.raw(path, EntryType::Regular, "", data, 0o644)
    }

    fn link(self, path: &str, to: &str) -> Self {
        self.raw(path, EntryType::Symlink, to, b"", 0o777)
    }

    fn bytes(self) -> Vec<u8> {
        self.tar.into_inner().unwrap()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

struct Copy {
    _folder: tempfile::TempDir,
    repository: Repository,
}

impl Copy {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(folder.path()).unwrap();
        Self {
            _folder: folder,
            repository,
        }
    }

    fn unpack(&self, tar: &[u8], root: Root<'_>) -> Result<Oid, ArchiveError> {
        unpack(&self.repository, tar, Packing::Tar, root, SMALL)
    }

    /// Path, mode and content of each file.
    fn files(&self, tree: Oid) -> Vec<(String, i32, String)> {
        let mut files = Vec::new();
        let tree = self.repository.find_tree(tree).unwrap();
        tree.walk(git2::TreeWalkMode::PreOrder, |above, entry| {
            if entry.kind() == Some(ObjectType::Blob) {
                let blob = self.repository.find_blob(entry.id()).unwrap();
                files.push((
                    format!("{above}{}", String::from_utf8_lossy(entry.name_bytes())),
                    entry.filemode(),
                    String::from_utf8_lossy(blob.content()).into_owned(),
                ));
            }
            git2::TreeWalkResult::Ok
        })
        .unwrap();
        files
    }
}

fn refused(archive: Made) -> String {
    let copy = Copy::new();
    copy.unpack(&archive.bytes(), Root::Whole)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_charts_own_folder_is_the_tree_and_what_lies_beside_it_is_not() {
    let archive = Made::new()
        .file("._web", b"of a Mac")
        .file("web/Chart.yaml", b"name: web")
        .file("web/templates/a.yaml", b"a")
        .raw("web/run.sh", EntryType::Regular, "", b"b", 0o755)
        .bytes();
    let copy = Copy::new();
    let tree = unpack(
        &copy.repository,
        &gzip(&archive)[..],
        Packing::Gzip,
        Root::Chart("web"),
        SMALL,
    );
    let expected = [
        ("Chart.yaml", 0o100_644, "name: web"),
        ("run.sh", 0o100_755, "b"),
        ("templates/a.yaml", 0o100_644, "a"),
    ];
    let expected = expected.map(|(path, mode, text)| (path.to_owned(), mode, text.to_owned()));
    assert_eq!(copy.files(tree.unwrap()), expected);
}

#[test]
fn the_same_files_are_the_same_tree_in_any_order() {
    let copy = Copy::new();
    let one = Made::new().file("a/x", b"1").file("a/y", b"2").bytes();
    let other = Made::new().file("./a/y", b"2").file("a//x", b"1").bytes();
    assert_eq!(
        copy.unpack(&one, Root::Whole).unwrap(),
        copy.unpack(&other, Root::Whole).unwrap()
    );
}

#[test]
fn the_last_of_two_files_with_one_path_counts() {
    let copy = Copy::new();
    let twice = Made::new().file("a", b"old").file("a", b"new").bytes();
    let tree = copy.unpack(&twice, Root::Whole).unwrap();
    assert_eq!(copy.files(tree)[0].2, "new");
}

#[test]
fn long_names_of_both_formats_are_read() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(150));
    let mut gnu = Builder::new(Vec::new());
    let mut header = Made::header(EntryType::Regular, 1, 0o644);
    gnu.append_data(&mut header, &long, &b"x"[..]).unwrap();
    let record = format!(" path={long}\n");
    let length =
        (record.len()..1000).find(|length| length.to_string().len() + record.len() == *length);
    let record = format!("{}{record}", length.unwrap());
    let pax = Made::new()
        .raw("pax", EntryType::XHeader, "", record.as_bytes(), 0o644)
        .file("short", b"x")
        .bytes();
    let copy = Copy::new();
    for archive in [gnu.into_inner().unwrap(), pax] {
        let tree = copy.unpack(&archive, Root::Whole).unwrap();
        assert_eq!(copy.files(tree)[0].0, long);
    }
}

#[test]
fn what_leads_outside_is_refused() {
    for path in [
        "../a",
        "a/../../b",
        "/etc/passwd",
        "a/..",
        "\\a",
        "C:/a",
        "a\\..\\b",
        ".git/config",
        "a/.GIT/hooks",
    ] {
        let said = refused(Made::new().file(path, b"x"));
        assert!(said.contains("leads outside"), "{path}: {said}");
    }
}

#[test]
fn links_inside_are_kept_and_others_refused() {
    let copy = Copy::new();
    let inside = Made::new()
        .file("a/x", b"1")
        .link("a/b/l", "../x")
        .link("m", "a/b/l");
    let tree = copy.unpack(&inside.bytes(), Root::Whole).unwrap();
    assert!(
        copy.files(tree)
            .contains(&("a/b/l".to_owned(), 0o120_000, "../x".to_owned()))
    );
    for (path, to) in [
        ("l", "/etc/passwd"),
        ("l", "../x"),
        ("a/l", "../../x"),
        ("l", "l"),
        ("l", "a\\..\\.."),
    ] {
        let said = refused(Made::new().file("z", b"1").link(path, to));
        assert!(said.contains("symbolic link"), "{path} {to}: {said}");
    }
}

#[test]
fn a_link_by_way_of_another_cannot_leave() {
    let chain = Made::new().link("p/q/d", "../..").link("p/q/l", "d/../x");
    assert!(refused(chain).contains("symbolic link"));
    let through = Made::new().link("d", ".").file("d/x", b"1");
    assert!(refused(through).contains("both a file and a folder"));
}

#[test]
fn devices_and_hard_links_are_refused() {
    for kind in [
        EntryType::Link,
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::GNUSparse,
    ] {
        refused(Made::new().raw("a", kind, "b", b"", 0o644));
    }
}

#[test]
fn a_bomb_stops_at_the_bound() {
    let bomb = gzip(&Made::new().file("zero", &vec![0; 64 << 20]).bytes());
    assert!(bomb.len() < 100_000);
    let copy = Copy::new();
    let outcome = unpack(
        &copy.repository,
        &bomb[..],
        Packing::Gzip,
        Root::Whole,
        SMALL,
    );
    assert!(
        matches!(outcome, Err(ArchiveError::Unpacked(_))),
        "{outcome:?}"
    );
    let many = (0..101).fold(Made::new(), |made, number| {
        made.file(&format!("f{number}"), b"")
    });
    assert!(refused(many).contains("more than 100 entries"));
}

#[test]
fn a_size_that_is_a_lie_is_refused() {
    let mut tar = Made::new().file("a", b"x").bytes();
    tar.truncate(513);
    let copy = Copy::new();
    let outcome = copy.unpack(&tar, Root::Whole);
    assert!(
        matches!(outcome, Err(ArchiveError::Broken(_))),
        "{outcome:?}"
    );
}

#[test]
fn nothing_is_no_archive() {
    let copy = Copy::new();
    assert!(copy.unpack(b"", Root::Whole).is_err());
    assert!(copy.unpack(b"<html>not found</html>", Root::Whole).is_err());
    let folders = Made::new()
        .raw("a/", EntryType::Directory, "", b"", 0o755)
        .bytes();
    assert!(matches!(
        copy.unpack(&folders, Root::Whole),
        Err(ArchiveError::Empty)
    ));
}

#[tokio::test]
async fn what_the_real_helm_packages_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let program = deploy::locate(deploy::Component::Helm).await.unwrap();
    let run = |arguments: &[&str]| {
        let ran = Command::new(&program)
            .args(arguments)
            .current_dir(folder.path())
            .output();
        assert!(ran.unwrap().status.success());
    };
    run(&["create", "web"]);
    run(&["package", "web"]);
    let archive = std::fs::File::open(folder.path().join("web-0.1.0.tgz")).unwrap();
    let copy = Copy::new();
    let tree = unpack(
        &copy.repository,
        archive,
        Packing::Gzip,
        Root::Chart("web"),
        Bounds::CHART,
    );
    let files = copy.files(tree.unwrap());
    assert!(
        files
            .iter()
            .any(|(path, ..)| path == "templates/deployment.yaml")
    );
    assert!(files.iter().any(|(path, ..)| path == "Chart.yaml"));
}

proptest! {
    #[test]
    fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let copy = Copy::new();
        let _ = copy.unpack(&bytes, Root::Whole);
        let _ = unpack(&copy.repository, &bytes[..], Packing::Gzip, Root::Chart("a"), SMALL);
    }

    #[test]
    fn no_entries_are_a_panic_and_no_tree_leads_outside(
        entries in proptest::collection::vec(
            ("[a-c./\\\\]{1,12}", 0u8..8, "[a-c./]{0,8}", 0u64..2000), 0..12),
        flip in any::<Option<(u16, u8)>>(),
    ) {
        let kinds = [b'0', b'0', b'0', b'5', b'2', b'1', b'L', b'x'];
        let mut made = Made::new();
        for (path, kind, link, size) in entries {
            let data = vec![b'a'; usize::try_from(size).unwrap()];
            made = made.raw(&path, EntryType::new(kinds[usize::from(kind)]), &link, &data, 0o644);
        }
        let mut bytes = made.bytes();
        if let Some((at, value)) = flip {
            let at = usize::from(at) % bytes.len();
            bytes[at] = value;
        }
        let copy = Copy::new();
        if let Ok(tree) = copy.unpack(&bytes, Root::Whole) {
            for (path, ..) in copy.files(tree) {
                prop_assert!(!path.starts_with('/') && path.split('/').all(|part| part != ".."));
            }
        }
    }
}
