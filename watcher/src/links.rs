//! Symbolic links below a folder that lead out of its repository, whether anything reads them or not: what such a link leads to is
//! another file on each machine. Argo CD takes no revision that holds one anywhere; here one elsewhere holds nobody up.

use std::collections::HashMap;
use std::fmt;

use git2::{FileMode, ObjectType, Oid, Repository, Tree, TreeEntry};

/// Longer texts are no path on Linux.
const MAX_TARGET: usize = 4096;
/// Folders within folders: a snapshot has no more.
const MAX_DEPTH: usize = 512;
/// Folders that are remembered; over that they are looked at anew.
const MAX_FOLDERS: usize = 200_000;

/// A link, and what it points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub path: String,
    pub target: String,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is a link to {:?}, out of the repository",
            self.path, self.target
        )
    }
}

/// Where the symbolic links of a source may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPolicy {
    /// To what is in its repository, as Argo CD wants it.
    Inside,
    Anywhere,
}

impl LinkPolicy {
    /// What the flag `--allow-oob-symlinks` says.
    pub const fn of(allowed: bool) -> Self {
        if allowed {
            Self::Anywhere
        } else {
            Self::Inside
        }
    }
}

/// What is known of folders: one that was looked at in one revision needs no look in the next.
#[derive(Debug, Default)]
pub struct Links {
    climbs: HashMap<Oid, Climb>,
}

/// How many folders the links in and below a folder climb over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Climb {
    By(usize),
    /// From the root of a file system.
    Absolute,
}

impl Climb {
    const NONE: Self = Self::By(0);

    /// As seen from the folder above.
    fn above(self) -> Self {
        match self {
            Self::By(folders) => Self::By(folders.saturating_sub(1)),
            Self::Absolute => Self::Absolute,
        }
    }
}

impl Links {
    /// A link below a folder of the tree that is absolute, or on whose way the tree is left, even if it comes back.
    pub fn outside(
        &mut self,
        repository: &Repository,
        tree: Oid,
        folder: &str,
    ) -> Result<Option<Link>, git2::Error> {
        if self.climbs.len() > MAX_FOLDERS {
            self.climbs.clear();
        }
        let mut at = (String::new(), 0, tree);
        for part in folder.split('/') {
            if matches!(part, "" | ".") {
                continue;
            }
            let above = repository.find_tree(at.2)?;
            // A link, or nothing: rendering says so.
            let Some(entry) = above.get_name(part).filter(|it| kind(it) == Kind::Folder) else {
                return Ok(None);
            };
            at = (format!("{}{part}/", at.0), at.1 + 1, entry.id());
        }
        let (path, depth, id) = at;
        if self.climb(repository, id, depth)? <= Climb::By(depth) {
            return Ok(None);
        }
        self.find(repository, path, depth, id)
    }

    fn climb(
        &mut self,
        repository: &Repository,
        folder: Oid,
        depth: usize,
    ) -> Result<Climb, git2::Error> {
        if let Some(known) = self.climbs.get(&folder) {
            return Ok(*known);
        }
        if depth > MAX_DEPTH {
            return Err(git2::Error::from_str("folders are nested too deep"));
        }
        let mut highest = Climb::NONE;
        for entry in &repository.find_tree(folder)? {
            let climb = match kind(&entry) {
                Kind::Folder => self.climb(repository, entry.id(), depth + 1)?.above(),
                Kind::Link => climb(&target(repository, entry.id())?),
                Kind::Other => continue,
            };
            highest = highest.max(climb);
        }
        self.climbs.insert(folder, highest);
        Ok(highest)
    }

    /// Down from a folder to the first link that climbs over the tree.
    fn find(
        &self,
        repository: &Repository,
        mut path: String,
        mut depth: usize,
        folder: Oid,
    ) -> Result<Option<Link>, git2::Error> {
        let mut folder: Tree<'_> = repository.find_tree(folder)?;
        loop {
            let mut next = None;
            for entry in &folder {
                let climb = match kind(&entry) {
                    Kind::Folder => self.climbs.get(&entry.id()).copied(),
                    Kind::Link => Some(climb(&target(repository, entry.id())?)),
                    Kind::Other => None,
                };
                let below = usize::from(kind(&entry) == Kind::Folder);
                if climb.is_some_and(|climb| climb > Climb::By(depth + below)) {
                    next = Some((kind(&entry), entry.id(), name(&entry)));
                    break;
                }
            }
            let Some((kind, id, name)) = next else {
                return Ok(None);
            };
            path.push_str(&name);
            if kind == Kind::Link {
                let target = target(repository, id)?;
                let target = String::from_utf8_lossy(&target).into_owned();
                return Ok(Some(Link { path, target }));
            }
            path.push('/');
            depth += 1;
            folder = repository.find_tree(id)?;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    Link,
    Other,
}

fn kind(entry: &TreeEntry<'_>) -> Kind {
    match entry.kind() {
        Some(ObjectType::Tree) => Kind::Folder,
        Some(ObjectType::Blob) if entry.filemode() == i32::from(FileMode::Link) => Kind::Link,
        _ => Kind::Other,
    }
}

fn name(entry: &TreeEntry<'_>) -> String {
    String::from_utf8_lossy(entry.name_bytes()).into_owned()
}

/// What a link points to; of one that is no path at all, something that leads nowhere.
fn target(repository: &Repository, link: Oid) -> Result<Vec<u8>, git2::Error> {
    let (size, _) = repository.odb()?.read_header(link)?;
    if size > MAX_TARGET {
        return Ok(b"/".to_vec());
    }
    Ok(repository.find_blob(link)?.content().to_vec())
}

fn climb(target: &[u8]) -> Climb {
    if target.starts_with(b"/") {
        return Climb::Absolute;
    }
    let (mut below, mut over) = (0_usize, 0_usize);
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if below > 0 => below -= 1,
            b".." => over += 1,
            _ => below += 1,
        }
    }
    Climb::By(over)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scene {
        repository: Repository,
        links: Links,
        _folder: tempfile::TempDir,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            Self {
                repository: Repository::init_bare(folder.path()).unwrap(),
                links: Links::default(),
                _folder: folder,
            }
        }

        /// A tree with these entries, each a link.
        fn mk_tree(&self, links: &[(&str, &str)]) -> Oid {
            let empty = self.repository.treebuilder(None).unwrap().write().unwrap();
            let base = self.repository.find_tree(empty).unwrap();
            let mut update = git2::build::TreeUpdateBuilder::new();
            for (path, target) in links {
                let blob = self.repository.blob(target.as_bytes()).unwrap();
                update.upsert(*path, blob, FileMode::Link);
            }
            let file = self.repository.blob(b"../../..").unwrap();
            update.upsert("file", file, FileMode::Blob);
            update.create_updated(&self.repository, &base).unwrap()
        }

        fn outside(&mut self, links: &[(&str, &str)]) -> Option<String> {
            self.below("", links)
        }

        fn below(&mut self, folder: &str, links: &[(&str, &str)]) -> Option<String> {
            let tree = self.mk_tree(links);
            let found = self.links.outside(&self.repository, tree, folder).unwrap();
            found.map(|link| format!("{} -> {}", link.path, link.target))
        }
    }

    #[test]
    fn links_that_stay_inside_are_no_matter() {
        let mut scene = Scene::new();
        for target in [
            "x",
            "./x",
            "../b/x",
            "../../x",
            "x/../../../y",
            "../..",
            "nothing",
        ] {
            assert_eq!(scene.outside(&[("a/b/link", target)]), None, "{target}");
        }
    }

    #[test]
    fn one_that_leaves_the_repository_is_named_with_what_it_points_to() {
        let mut scene = Scene::new();
        for (path, target) in [
            ("a/b/link", "../../../x"),
            ("a/b/link", "/etc/passwd"),
            ("link", ".."),
            // Over the root and back.
            ("a/link", "../../a/file"),
            ("a/b/c/link", "x/../../../../../y"),
        ] {
            let links = [("a/b/good", "../good"), (path, target), ("z", "file")];
            let expected = format!("{path} -> {target}");
            assert_eq!(scene.outside(&links).as_deref(), Some(expected.as_str()));
        }
        let long = "x/".repeat(3000);
        assert_eq!(scene.outside(&[("long", &long)]).unwrap(), "long -> /");
    }

    #[test]
    fn a_folder_that_was_looked_at_counts_by_where_it_is() {
        let mut scene = Scene::new();
        assert_eq!(scene.outside(&[("a/b/link", "../../x")]), None);
        // The same folder, one nearer to the root.
        assert_eq!(
            scene.outside(&[("b/link", "../../x")]).as_deref(),
            Some("b/link -> ../../x")
        );
        assert_eq!(scene.outside(&[("c/d/b/link", "../../x")]), None);
    }

    #[test]
    fn only_what_is_below_the_folder_counts_and_the_whole_repository_is_the_bound() {
        let mut scene = Scene::new();
        let links = [
            ("apps/web/up", "../../shared/x"),
            ("apps/web/deep/out", "../../../../x"),
            ("shared/x", "y"),
        ];
        let expected = "apps/web/deep/out -> ../../../../x";
        for folder in ["apps/web", "./apps/web/", "apps/web/deep", "apps", ".", ""] {
            assert_eq!(
                scene.below(folder, &links).as_deref(),
                Some(expected),
                "{folder}"
            );
        }
        for folder in ["shared", "nothing", "file", "shared/x", "apps/other"] {
            assert_eq!(scene.below(folder, &links), None, "{folder}");
        }
    }

    #[test]
    fn what_was_looked_at_is_remembered() {
        let mut scene = Scene::new();
        scene.outside(&[("a/b/link", "x"), ("c/link", "x")]);
        let known = scene.links.climbs.len();
        scene.outside(&[("a/b/link", "x"), ("c/link", "y")]);
        // The root and c.
        assert_eq!(scene.links.climbs.len(), known + 2);
    }
}
