use std::path::Path;

use super::*;

/// A tree of files; one whose content starts with `-> ` is a symbolic link.
pub(crate) fn mk_tree(files: &[(&str, &str)]) -> Tree {
    mk_tree_with(files, ReadLimits::DEFAULT)
}

pub(crate) fn mk_tree_with(files: &[(&str, &str)], limits: ReadLimits) -> Tree {
    let (database, root) = mk_database(files);
    Tree::new(Arc::new(database), &root, limits).unwrap()
}

pub(crate) fn mk_database(files: &[(&str, &str)]) -> (Database, String) {
    let database = Database::create(&std::env::temp_dir()).unwrap();
    let root = write(&database, files);
    (database, root)
}

fn write(database: &Database, files: &[(&str, &str)]) -> String {
    let inner = database.lock_for_tests();
    let mut index = git2::Index::new().unwrap();
    for (path, content) in files {
        let (mode, content) = match content.strip_prefix("-> ") {
            Some(target) => (0o120_000, target),
            None => (0o100_644, *content),
        };
        let id = inner.blob(content.as_bytes()).unwrap();
        let time = git2::IndexTime::new(0, 0);
        index
            .add(&git2::IndexEntry {
                ctime: time,
                mtime: time,
                dev: 0,
                ino: 0,
                mode,
                uid: 0,
                gid: 0,
                file_size: 0,
                id,
                flags: 0,
                flags_extended: 0,
                path: path.as_bytes().to_vec(),
            })
            .unwrap();
    }
    index.write_tree_to(&inner).unwrap().to_string()
}

fn inputs(tree: &Tree) -> Vec<(String, bool)> {
    tree.inputs(0)
        .into_iter()
        .map(|input| (input.path, input.object.is_some()))
        .collect()
}

fn names(leaves: &[Leaf]) -> Vec<&str> {
    leaves.iter().map(|leaf| leaf.name.as_str()).collect()
}

#[test]
fn each_answer_is_an_input_also_that_nothing_is_there() {
    let tree = mk_tree(&[("a/b.yaml", "b"), ("c", "c")]);
    assert_eq!(tree.file("a/b.yaml").unwrap().unwrap(), b"b");
    assert!(tree.file("a/missing/deep.yaml").unwrap().is_none());
    assert!(tree.file("c/below-a-file").unwrap().is_none());
    assert!(matches!(tree.at("a").unwrap(), Answer::Folder { .. }));
    let wanted = [("a/b.yaml", true), ("a/missing", false), ("c", true)];
    assert_eq!(
        inputs(&tree),
        wanted.map(|(path, there)| (path.to_owned(), there))
    );
}

#[test]
fn links_are_followed_inside_and_are_inputs_themselves() {
    let tree = mk_tree(&[
        ("real/values.yaml", "v"),
        ("apps/link", "-> ../real"),
        ("apps/deep", "-> link/values.yaml"),
    ]);
    let Answer::File { path, data } = tree.at("apps/deep").unwrap() else {
        panic!("not a file")
    };
    assert_eq!(
        (path.as_str(), data.as_slice()),
        ("real/values.yaml", b"v".as_slice())
    );
    let wanted = [
        ("apps/deep", true),
        ("apps/link", true),
        ("real/values.yaml", true),
    ];
    assert_eq!(
        inputs(&tree),
        wanted.map(|(path, there)| (path.to_owned(), there))
    );
}

#[test]
fn what_leaves_the_tree_is_refused_by_name() {
    let tree = mk_tree(&[
        ("a/out", "-> ../../etc/passwd"),
        ("a/host", "-> /etc/passwd"),
        ("a/loop", "-> loop"),
        ("a/file", "x"),
    ]);
    let error = |path: &str| tree.at(path).unwrap_err().to_string();
    assert_eq!(
        error("a/../../b"),
        "the path a/../../b leaves the repository"
    );
    assert_eq!(
        error("a/out"),
        "the symbolic link a/out points to ../../etc/passwd, out of the repository"
    );
    assert_eq!(
        error("a/host"),
        "the symbolic link a/host points to /etc/passwd, out of the repository"
    );
    assert!(error("a/loop").contains("more than 40 symbolic links"));
}

#[test]
fn a_folder_is_one_input_and_its_links_targets_are_others() {
    let tree = mk_tree(&[
        ("chart/templates/b.yaml", "b"),
        ("chart/templates/a/z.yaml", "z"),
        ("chart/templates/linked", "-> ../../shared"),
        ("plain/dangling", "-> nowhere"),
        ("shared/s.yaml", "s"),
    ]);
    let following = tree
        .folder("chart/templates", Walk::Following)
        .unwrap()
        .unwrap();
    assert_eq!(names(&following), ["a/z.yaml", "b.yaml", "linked/s.yaml"]);
    assert_eq!(tree.leaf("chart/templates", &following[2]).unwrap(), b"s");
    let recorded = inputs(&tree);
    for path in ["chart/templates", "shared", "chart/templates/linked"] {
        assert!(recorded.contains(&(path.to_owned(), true)), "{path}");
    }
    let own = tree
        .folder("chart/templates", Walk::Recursive)
        .unwrap()
        .unwrap();
    assert_eq!(names(&own), ["a/z.yaml", "b.yaml"]);
    assert_eq!(
        names(&tree.folder("chart/templates", Walk::Flat).unwrap().unwrap()),
        ["b.yaml"]
    );
    assert!(
        tree.folder("plain", Walk::Recursive)
            .unwrap()
            .unwrap()
            .is_empty()
    );
    assert!(matches!(
        tree.folder("plain", Walk::Following),
        Err(TreeError::LinkDangles { .. })
    ));
    assert!(tree.folder("chart/nothing", Walk::Flat).unwrap().is_none());
}

#[test]
fn a_link_to_a_folder_above_ends() {
    let tree = mk_tree(&[("chart/templates/up", "-> .."), ("chart/templates/a", "a")]);
    assert!(matches!(
        tree.folder("chart/templates", Walk::Following),
        Err(TreeError::TooManyLinks { .. })
    ));
}

#[test]
fn reading_is_bounded_per_file_and_per_render() {
    let limits = ReadLimits {
        file: 5,
        total: 8,
        files: 2,
    };
    let tree = mk_tree_with(
        &[
            ("big", "123456"),
            ("d/a", "12345"),
            ("d/b", "12345"),
            ("d/c", "1"),
        ],
        limits,
    );
    assert_eq!(
        tree.file("big").unwrap_err().to_string(),
        "the file big has 6 bytes; the limit of one file is 5"
    );
    assert!(tree.file("d/a").is_ok());
    assert!(matches!(tree.file("d/b"), Err(TreeError::TooMuch { .. })));
    assert!(matches!(
        tree.folder("d", Walk::Flat),
        Err(TreeError::TooManyFiles { .. })
    ));
}

#[test]
fn an_input_is_still_the_same_only_with_the_same_object() {
    let before = mk_tree(&[("a/b", "1"), ("a/c", "1"), ("link", "-> a")]);
    for path in ["a/b", "a/c", "a/new", "link/b"] {
        before.at(path).unwrap();
    }
    let recorded = before.inputs(0);
    let changed = |files: &[(&str, &str)]| -> Vec<String> {
        let after = mk_tree(files);
        recorded
            .iter()
            .filter(|input| !after.still(input).unwrap())
            .map(|input| input.path.clone())
            .collect()
    };
    assert!(changed(&[("a/b", "1"), ("a/c", "1"), ("link", "-> a"), ("other", "x")]).is_empty());
    assert_eq!(
        changed(&[("a/b", "2"), ("a/c", "1"), ("a/new", "1"), ("link", "-> b")]),
        ["a/b", "a/new", "link"]
    );
    assert_eq!(
        changed(&[
            ("a", "-> elsewhere"),
            ("elsewhere/b", "1"),
            ("elsewhere/c", "1"),
            ("link", "-> a")
        ]),
        ["a/b", "a/c"]
    );
}

#[test]
fn packs_fill_a_database() {
    let (source, root) = mk_database(&[("a", "content")]);
    let pack = {
        let repository = source.lock_for_tests();
        let mut builder = repository.packbuilder().unwrap();
        builder.insert_tree(Oid::from_str(&root).unwrap()).unwrap();
        let mut buffer = git2::Buf::new();
        builder.write_buf(&mut buffer).unwrap();
        buffer.to_vec()
    };
    let digest = Digest::of(&pack);
    let database = Database::create(Path::new("/tmp")).unwrap();
    let tree = |database| Tree::new(database, &root, ReadLimits::DEFAULT).unwrap();
    let database = Arc::new(database);
    assert!(
        tree(Arc::clone(&database))
            .file("a")
            .unwrap_err()
            .is_missing_object()
    );
    assert_eq!(
        database.lacks(std::slice::from_ref(&digest)),
        std::slice::from_ref(&digest)
    );
    database.add(&digest, &pack).unwrap();
    assert!(database.lacks(std::slice::from_ref(&digest)).is_empty());
    assert_eq!(tree(database).file("a").unwrap().unwrap(), b"content");
    let torn = Database::create(Path::new("/tmp")).unwrap();
    assert!(torn.add(&digest, &pack[..pack.len() / 2]).is_err());
}

#[test]
fn of_a_folder_where_files_are_looked_for_only_the_names_that_could_match_count() {
    let files = |more: &[(&'static str, &'static str)]| {
        let mut files = vec![
            ("app/a.yaml", "a"),
            ("app/README.md", "r"),
            ("app/deep/b.yaml", "b"),
        ];
        files.extend(more);
        mk_tree(&files)
    };
    let tree = files(&[]);
    let found = tree
        .find("app", Walk::Recursive, &[".yaml"])
        .unwrap()
        .unwrap();
    assert_eq!(names(&found), ["a.yaml", "deep/b.yaml"]);
    assert_eq!(tree.found("app", &found[0]).unwrap(), b"a");
    let recorded = tree.inputs(0);
    let paths: Vec<_> = recorded.iter().map(|input| input.path.as_str()).collect();
    assert_eq!(paths, ["app//.yaml,/", "app/a.yaml", "app/deep//.yaml,/"]);

    let same = |tree: &Tree| recorded.iter().all(|input| tree.still(input).unwrap());
    assert!(same(&files(&[
        ("app/README.md", "changed"),
        ("app/new.md", "n"),
        ("other", "o")
    ])));
    assert!(!same(&files(&[("app/new.yaml", "n")])));
    assert!(!same(&files(&[("app/newer/x.md", "n")])));
    assert!(!same(&files(&[("app/a.yaml", "changed")])));
    assert!(!same(&mk_tree(&[("app", "a file now")])));
    let flat = files(&[]);
    flat.find("app", Walk::Flat, &[".yaml"]).unwrap();
    assert_eq!(flat.inputs(0).len(), 1);
}
