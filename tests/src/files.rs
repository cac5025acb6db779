//! Files written and copied.

use std::path::Path;

/// Writes a tree's files below `folder`; `each` gets their paths, or none for one whose content isn't there.
pub fn write(
    git: &git2::Repository,
    tree: &git2::Tree<'_>,
    folder: &Path,
    parent: &str,
    each: &mut impl FnMut(Option<String>),
) -> anyhow::Result<()> {
    const LINK: i32 = 0o120_000;
    std::fs::create_dir_all(folder.join(parent))?;
    for entry in tree {
        let Ok(name) = entry.name() else {
            continue;
        };
        let path = format!("{parent}{name}");
        let target = folder.join(&path);
        match entry.kind() {
            Some(git2::ObjectType::Tree) => {
                let inner = git.find_tree(entry.id())?;
                write(git, &inner, folder, &format!("{path}/"), each)?;
            }
            Some(git2::ObjectType::Blob) => {
                let Ok(blob) = git.find_blob(entry.id()) else {
                    each(None);
                    continue;
                };
                if entry.filemode() == LINK {
                    let to = std::str::from_utf8(blob.content())?;
                    std::os::unix::fs::symlink(to, target)?;
                } else {
                    std::fs::write(target, blob.content())?;
                }
                each(Some(path));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Copies a folder with all below it; what is there is written over.
pub fn copy_all(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &target)?;
        } else if entry.file_type()?.is_symlink() {
            let _ = std::fs::remove_file(&target);
            std::os::unix::fs::symlink(std::fs::read_link(entry.path())?, target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
