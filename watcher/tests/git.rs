//! Fetching from and packing real Git repositories.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use git2::{ObjectType, Oid, Repository, Signature};
use tempfile::TempDir;
use watcher::affected::{Place, Verdict};
use watcher::snapshot;
use watcher::source::access::Access;
use watcher::source::error::FetchError;
use watcher::source::location::{FilePolicy, Location};
use watcher::source::{Limits, Revisions, git};
use watcher::tree::{Lookup, Tree};

/// A repository that people push to.
struct Origin {
    folder: TempDir,
    repository: Repository,
}

impl Origin {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).initial_head("main");
        let repository = Repository::init_opts(folder.path(), &options).unwrap();
        Self { folder, repository }
    }

    /// Commits files (`None` removes) on top of a branch.
    fn commit(&self, branch: &str, files: &[(&str, Option<&str>)]) -> Oid {
        let reference = format!("refs/heads/{branch}");
        let parent = self
            .repository
            .find_reference(&reference)
            .ok()
            .map(|it| it.peel_to_commit().unwrap());
        let mut index = git2::Index::new().unwrap();
        if let Some(parent) = &parent {
            index.read_tree(&parent.tree().unwrap()).unwrap();
        }
        for (path, content) in files {
            match content {
                Some(content) => {
                    let id = self.repository.blob(content.as_bytes()).unwrap();
                    index.add(&entry(path, id)).unwrap();
                }
                None => index.remove(Path::new(path), 0).unwrap(),
            }
        }
        let tree = index.write_tree_to(&self.repository).unwrap();
        let tree = self.repository.find_tree(tree).unwrap();
        let who = Signature::now("Ada", "ada@example.org").unwrap();
        let parents: Vec<_> = parent.iter().collect();
        self.repository
            .commit(
                Some(&reference),
                &who,
                &who,
                "change\n\nbody",
                &tree,
                &parents,
            )
            .unwrap()
    }

    fn location(&self) -> Location {
        location(&format!("file://{}", self.folder.path().display()))
    }
}

fn location(url: &str) -> Location {
    let files = FilePolicy {
        allowed: true,
        cache: Path::new("/never/there"),
    };
    Location::parse(url, files).unwrap()
}

fn entry(path: &str, id: Oid) -> git2::IndexEntry {
    git2::IndexEntry {
        ctime: git2::IndexTime::new(0, 0),
        mtime: git2::IndexTime::new(0, 0),
        dev: 0,
        ino: 0,
        mode: 0o100_644,
        uid: 0,
        gid: 0,
        file_size: 0,
        id,
        flags: 0,
        flags_extended: 0,
        path: path.into(),
    }
}

/// The watcher's copy.
struct Copy {
    _folder: TempDir,
    repository: Repository,
}

impl Copy {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = git::open(&folder.path().join("copy")).unwrap();
        Self {
            _folder: folder,
            repository,
        }
    }

    fn fetch(&self, origin: &Origin, targets: &[&str]) -> Revisions {
        self.try_fetch(&origin.location(), targets).unwrap()
    }

    fn try_fetch(&self, location: &Location, targets: &[&str]) -> Result<Revisions, FetchError> {
        let targets: Vec<Arc<str>> = targets.iter().map(|target| (*target).into()).collect();
        let limits = Limits {
            deadline: Instant::now() + Duration::from_mins(1),
            bytes: 1 << 30,
        };
        git::fetch(
            &self.repository,
            location,
            &Access::default(),
            &targets,
            limits,
        )
    }

    fn tree(&self, origin: &Origin, target: &str) -> Oid {
        self.fetch(origin, &[target])[target].as_ref().unwrap().tree
    }
}

#[test]
fn branch_tag_commit_and_head_become_commits() {
    let origin = Origin::new();
    let first = origin.commit("main", &[("a", Some("1"))]);
    let second = origin.commit("main", &[("a", Some("2"))]);
    let dev = origin.commit("dev", &[("d", Some("1"))]);
    let who = Signature::now("Ada", "ada@example.org").unwrap();
    let object = origin.repository.find_object(first, None).unwrap();
    origin
        .repository
        .tag("v1", &object, &who, "annotated", false)
        .unwrap();
    origin
        .repository
        .tag_lightweight("light", &object, false)
        .unwrap();
    let (copy, first_id) = (Copy::new(), first.to_string());
    let found = copy.fetch(
        &origin,
        &["", "HEAD", "main", "dev", "v1", "light", &first_id],
    );
    let commit = |target: &str| found[target].as_ref().unwrap().commit().unwrap();
    assert_eq!([commit(""), commit("HEAD"), commit("main")], [second; 3]);
    assert_eq!(commit("dev"), dev);
    assert_eq!(
        [commit("v1"), commit("light"), commit(&first_id)],
        [first; 3]
    );
    let about = found["main"].as_ref().unwrap().about.as_ref().unwrap();
    assert_eq!(
        (about.author.as_str(), about.subject.as_str()),
        ("Ada", "change")
    );
}

#[test]
fn a_commit_that_no_reference_names_is_found_in_the_history() {
    let origin = Origin::new();
    let first = origin.commit("main", &[("a", Some("1"))]);
    origin.commit("main", &[("a", Some("2"))]);
    let target = first.to_string();
    let found = Copy::new().fetch(&origin, &[&target]);
    assert_eq!(found[&*target].as_ref().unwrap().commit().unwrap(), first);
}

#[test]
fn an_unknown_target_does_not_stop_the_others() {
    let origin = Origin::new();
    let commit = origin.commit("main", &[("a", Some("1"))]);
    let nobody = "0123456789".repeat(4);
    let found = Copy::new().fetch(&origin, &["main", "nope", &nobody]);
    assert_eq!(found["main"].as_ref().unwrap().commit().unwrap(), commit);
    let error = found["nope"].as_ref().unwrap_err().to_string();
    assert!(
        error.contains("no branch, tag or commit \"nope\""),
        "{error}"
    );
    assert!(matches!(found[&*nobody], Err(FetchError::NoCommit { .. })));
}

#[test]
fn an_empty_repository_and_a_missing_one_say_so() {
    let origin = Origin::new();
    let found = Copy::new().fetch(&origin, &["main"]);
    assert!(
        found["main"]
            .as_ref()
            .unwrap_err()
            .to_string()
            .contains("is empty")
    );
    let missing = location("file:///nonexistent/repository.git");
    let error = Copy::new().try_fetch(&missing, &["main"]).unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error:?}");
}

#[test]
fn a_host_that_refuses_the_connection_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://user:canary@{address}/a.git");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _within = runtime.enter();
    let error = Copy::new()
        .try_fetch(&location(&url), &["main"])
        .unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error:?}");
    assert!(!error.to_string().contains("canary"), "{error}");
}

#[test]
fn a_force_push_and_a_rewritten_tag_are_followed() {
    let origin = Origin::new();
    let first = origin.commit("main", &[("a", Some("1"))]);
    let second = origin.commit("main", &[("a", Some("2"))]);
    let tag = |commit| {
        let object = origin.repository.find_object(commit, None).unwrap();
        origin
            .repository
            .tag_lightweight("v1", &object, true)
            .unwrap();
    };
    tag(second);
    let copy = Copy::new();
    copy.fetch(&origin, &["main", "v1"]);
    origin
        .repository
        .reference("refs/heads/main", first, true, "")
        .unwrap();
    tag(first);
    let found = copy.fetch(&origin, &["main", "v1"]);
    assert_eq!(found["main"].as_ref().unwrap().commit().unwrap(), first);
    assert_eq!(found["v1"].as_ref().unwrap().commit().unwrap(), first);
}

/// Every object that the tree needs, read from nothing but the packs.
fn unpack(packs: &[Vec<u8>], tree: Oid) -> BTreeSet<Oid> {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::init_bare(folder.path()).unwrap();
    let odb = repository.odb().unwrap();
    for pack in packs {
        let mut writer = odb.packwriter().unwrap();
        std::io::Write::write_all(&mut writer, pack).unwrap();
        writer.commit().unwrap();
    }
    let mut found = BTreeSet::from([tree]);
    let mut open = vec![tree];
    while let Some(folder) = open.pop() {
        for entry in &repository.find_tree(folder).unwrap() {
            match entry.kind() {
                Some(ObjectType::Tree) => open.push(entry.id()),
                Some(ObjectType::Blob) => drop(repository.find_blob(entry.id()).unwrap()),
                _ => continue,
            }
            found.insert(entry.id());
        }
    }
    found
}

#[test]
fn incremental_packs_together_hold_the_whole_tree() {
    let origin = Origin::new();
    let copy = Copy::new();
    origin.commit(
        "main",
        &[
            ("a/b/c.yaml", Some("1")),
            ("a/d.yaml", Some("2")),
            ("e.yaml", Some("3")),
        ],
    );
    let mut trees = vec![copy.tree(&origin, "main")];
    let full = snapshot::pack(&copy.repository, None, trees[0], u64::MAX)
        .unwrap()
        .unwrap();
    assert!(full.full);
    let mut packs = vec![full.bytes];
    let changes: [&[(&str, Option<&str>)]; 4] = [
        &[("a/b/c.yaml", Some("changed"))],
        // A file becomes a folder, and a folder a file.
        &[
            ("e.yaml", None),
            ("e.yaml/f", Some("4")),
            ("a/b/c.yaml", None),
            ("a/b", Some("5")),
        ],
        // A folder moves.
        &[
            ("a/d.yaml", None),
            ("a/b", None),
            ("moved/d.yaml", Some("2")),
        ],
        &[("new/deep/er.yaml", Some("6"))],
    ];
    for change in changes {
        origin.commit("main", change);
        let (before, tree) = (*trees.last().unwrap(), copy.tree(&origin, "main"));
        let pack = snapshot::pack(&copy.repository, Some(before), tree, u64::MAX)
            .unwrap()
            .unwrap();
        assert!(!pack.full);
        packs.push(pack.bytes);
        trees.push(tree);
        for (number, tree) in trees.iter().enumerate() {
            unpack(&packs[..=number], *tree);
        }
    }
}

#[test]
fn a_commit_packs_only_what_it_changes() {
    let origin = Origin::new();
    let copy = Copy::new();
    let many: Vec<(String, String)> = (0..300)
        .map(|number| {
            (
                format!("apps/{number}/values.yaml"),
                format!("replicas: {number}"),
            )
        })
        .collect();
    let files: Vec<_> = many
        .iter()
        .map(|(path, text)| (path.as_str(), Some(text.as_str())))
        .collect();
    origin.commit("main", &files);
    let before = copy.tree(&origin, "main");
    origin.commit("main", &[("apps/7/values.yaml", Some("replicas: 8000"))]);
    let after = copy.tree(&origin, "main");
    let pack = snapshot::pack(&copy.repository, Some(before), after, u64::MAX)
        .unwrap()
        .unwrap();
    // The root, `apps`, `apps/7` and the file.
    assert_eq!(pack.objects, 4);
    assert!(
        snapshot::pack(&copy.repository, Some(after), after, u64::MAX)
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_base_that_is_not_there_gives_a_full_pack() {
    let origin = Origin::new();
    let copy = Copy::new();
    origin.commit("main", &[("a", Some("1"))]);
    let tree = copy.tree(&origin, "main");
    let unknown = Oid::from_str(&"a".repeat(40)).unwrap();
    let pack = snapshot::pack(&copy.repository, Some(unknown), tree, u64::MAX)
        .unwrap()
        .unwrap();
    assert!(pack.full);
    unpack(&[pack.bytes], tree);
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let origin = Origin::new();
    let copy = Copy::new();
    origin.commit("main", &[("a", Some("1")), ("b/c", Some("2"))]);
    let tree = copy.tree(&origin, "main");
    let pack = || {
        snapshot::pack(&copy.repository, None, tree, u64::MAX)
            .unwrap()
            .unwrap()
            .bytes
    };
    assert_eq!(pack(), pack());
}

#[test]
fn a_tree_over_the_limit_is_refused() {
    let origin = Origin::new();
    let copy = Copy::new();
    origin.commit("main", &[("a", Some(&"x".repeat(10_000)))]);
    let tree = copy.tree(&origin, "main");
    let error = snapshot::pack(&copy.repository, None, tree, 9_000).unwrap_err();
    assert!(
        matches!(error, snapshot::SnapshotError::TooLarge { .. }),
        "{error}"
    );
}

#[test]
fn a_tree_that_repeats_itself_exponentially_is_packed_in_no_time() {
    let copy = Copy::new();
    let mut inner = copy.repository.blob(b"boom").unwrap();
    let mut mode = 0o100_644;
    for _ in 0..60 {
        let mut builder = copy.repository.treebuilder(None).unwrap();
        for name in ["a", "b", "c", "d"] {
            builder.insert(name, inner, mode).unwrap();
        }
        (inner, mode) = (builder.write().unwrap(), 0o040_000);
    }
    let pack = snapshot::pack(&copy.repository, None, inner, u64::MAX)
        .unwrap()
        .unwrap();
    assert_eq!(pack.objects, 61);
}

#[test]
fn a_path_is_found_or_absent() {
    let origin = Origin::new();
    let copy = Copy::new();
    origin.commit("main", &[("a/b/c.yaml", Some("1")), ("d", Some("2"))]);
    let root = copy.tree(&origin, "main");
    let mut tree = Tree::new(&copy.repository, root);
    assert_eq!(tree.object(""), Ok(Some(root)));
    assert!(tree.object("a/b/c.yaml").unwrap().is_some());
    assert!(tree.object("a/b").unwrap().is_some());
    for absent in ["x", "a/x", "d/x", "a/b/c.yaml/x"] {
        assert_eq!(tree.object(absent), Ok(None), "{absent}");
    }
    // A tree that isn't there is no tree without files.
    let mut lost = Tree::new(&copy.repository, Oid::from_str(&"1".repeat(40)).unwrap());
    assert!(lost.object("a").is_err());
}

#[test]
fn a_commit_affects_who_read_what_it_changed() {
    use bus::message::render::{Input, Render, RenderOutcome};
    let origin = Origin::new();
    let copy = Copy::new();
    let first = origin.commit(
        "main",
        &[("web/a.yaml", Some("1")), ("shop/a.yaml", Some("1"))],
    );
    let before = copy.tree(&origin, "main");
    let record = |folder: &str| {
        let mut tree = Tree::new(&copy.repository, before);
        let mut paths = [
            folder.to_owned(),
            format!("{folder}/a.yaml"),
            format!("{folder}/absent.yaml"),
        ];
        paths.sort();
        let inputs = paths.map(|path| Input {
            source: 0,
            object: tree.object(&path).unwrap().map(|oid| oid.to_string()),
            path,
        });
        watcher::affected::Record::from(&Render {
            app: bus::AppId::new("argocd", folder).unwrap(),
            cluster: bus::ClusterId::in_cluster(),
            generation: bus::Generation(1),
            parameters: bus::Digest::of(b""),
            inputs: inputs.to_vec(),
            values: Vec::new(),
            needs: Vec::new(),
            past: Vec::new(),
            outcome: RenderOutcome::Rendered {
                digest: bus::Digest::of(b""),
                count: 1,
                size: 1,
                source_types: Vec::new(),
                conditions: Vec::new(),
            },
        })
    };
    let (web, shop) = (record("web"), record("shop"));
    let second = origin.commit("main", &[("web/absent.yaml", Some("now here"))]);
    let after = copy.tree(&origin, "main");
    let mut tree = Tree::new(&copy.repository, after);
    let place = |commit: Oid, tree| Place {
        id: commit.to_string().into(),
        tree,
    };
    let (then, now) = ([place(first, before)], [place(second, after)]);
    let mut judge = |record| {
        let (inputs, suspects) =
            watcher::affected::suspects(bus::Generation(1), &then, Some(record), &now).unwrap();
        assert_eq!(suspects, [0]);
        watcher::affected::judge(inputs, 0, &mut tree)
    };
    assert_eq!(judge(&web), Verdict::Affected);
    assert_eq!(judge(&shop), Verdict::Unchanged);
}

#[test]
fn a_listing_is_the_names_that_count() {
    let origin = Origin::new();
    let copy = Copy::new();
    origin.commit(
        "main",
        &[("web/a.yaml", Some("1")), ("web/deep/b.md", Some("1"))],
    );
    let root = copy.tree(&origin, "main");
    let mut tree = Tree::new(&copy.repository, root);
    let listing = bus::message::render::Listing::parse("web//.yaml,/").unwrap();
    let expected = listing.object(["a.yaml", "deep/", "other"].into_iter());
    let found = tree
        .object(&listing.to_string())
        .unwrap()
        .map(|oid| oid.to_string());
    assert_eq!(found, Some(expected));
    assert_eq!(tree.object("web/a.yaml//.yaml"), Ok(None));
    assert_eq!(tree.object("nowhere//.yaml"), Ok(None));
}

#[test]
fn the_first_digits_of_a_commit_are_found_in_the_history() {
    let origin = Origin::new();
    let first = origin.commit("main", &[("a", Some("1"))]);
    let second = origin.commit("main", &[("a", Some("2"))]);
    let copy = Copy::new();
    let (old, new) = (&first.to_string()[..9], &second.to_string()[..7]);
    let found = copy.fetch(&origin, &[old, new, "1234567890"]);
    let commit = |target: &str| found[target].as_ref().unwrap().commit();
    assert_eq!((commit(old), commit(new)), (Some(first), Some(second)));
    let error = found["1234567890"].as_ref().unwrap_err().to_string();
    assert!(error.contains("no branch, tag or commit"), "{error}");
}

#[test]
fn a_repository_with_sha256_is_refused_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.git");
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git")
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let at = format!("--git-dir={}", path.display());
    git(&[
        "init",
        "-q",
        "--bare",
        "--object-format=sha256",
        &path.display().to_string(),
    ]);
    let tree = git(&[&at, "hash-object", "-w", "-t", "tree", "/dev/null"]);
    let who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"];
    let commit = git(&[&who[..], &[&at, "commit-tree", "-m", "x", &tree]].concat());
    git(&[&at, "update-ref", "refs/heads/main", &commit]);
    let url = format!("file://{}", path.display());
    let error = Copy::new()
        .try_fetch(&location(&url), &["main"])
        .unwrap_err();
    assert!(error.to_string().contains("SHA-256"), "{error}");
}
