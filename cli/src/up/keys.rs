//! Keys of one Towline: an NKey per user of the broker, and the two pairs that keep secrets from it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bus::role::{Role, User};
use bus::{ClusterId, seal};

/// A folder of seeds, one file per role, readable by their owner alone.
#[derive(Clone, Debug)]
pub(crate) struct NatsKeys {
    folder: PathBuf,
}

impl NatsKeys {
    pub(crate) fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// The seed of a role.
    pub(crate) fn seed(&self, role: &Role) -> PathBuf {
        self.folder.join(format!("{}.nk", role.name()))
    }

    /// Every role's user. Makes the seeds that are missing; what is there is kept.
    pub(crate) fn users(&self, clusters: &[ClusterId]) -> anyhow::Result<Vec<User>> {
        create_private_folder(&self.folder)?;
        Role::all(clusters)
            .into_iter()
            .map(|role| self.user(role))
            .collect()
    }

    fn user(&self, role: Role) -> anyhow::Result<User> {
        let path = self.seed(&role);
        let pair = match fs::read_to_string(&path) {
            Ok(seed) => nkeys::KeyPair::from_seed(seed.trim())
                .with_context(|| format!("{} holds no NKey seed", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let pair = nkeys::KeyPair::new_user();
                let seed = pair.seed().context("making an NKey")?;
                write_private(&path, &seed)?;
                pair
            }
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        Ok(User {
            role,
            public_key: pair.public_key(),
        })
    }
}

/// The pairs with which an applier and its secrets-agent know each other.
#[derive(Clone, Debug)]
pub(crate) struct SealKeys {
    pub applier_secret: PathBuf,
    pub applier_public: String,
    pub agent_secret: PathBuf,
    pub agent_public: String,
}

impl SealKeys {
    /// Makes both pairs under `folder`.
    pub(crate) fn generate(folder: &Path) -> anyhow::Result<Self> {
        create_private_folder(folder)?;
        let (applier, agent) =
            seal::generate().context("making the keys of applier and secrets-agent")?;
        let keys = Self {
            applier_secret: folder.join("applier.key"),
            applier_public: applier.public,
            agent_secret: folder.join("secrets-agent.key"),
            agent_public: agent.public,
        };
        for (path, secret) in [
            (&keys.applier_secret, applier.secret),
            (&keys.agent_secret, agent.secret),
        ] {
            seal::write_key(path, &secret)
                .with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(keys)
    }
}

/// This Towline's name among those of one cluster, kept with the folder: a watcher or an applier that is started again holds its
/// Lease at once.
pub(crate) fn lease_identity(folder: &Path) -> anyhow::Result<String> {
    let path = folder.join("lease-identity");
    match fs::read_to_string(&path) {
        Ok(kept) if !kept.trim().is_empty() => Ok(kept.trim().to_owned()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("reading {}", path.display()))
        }
        _ => {
            let new = format!("up-{}", uuid::Uuid::new_v4());
            write_private(&path, &new)?;
            Ok(new)
        }
    }
}

/// A folder that only its owner enters.
pub(crate) fn create_private_folder(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("creating {}", folder.display()))
}

/// Writes a new file that only its owner reads.
pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("writing {}", path.display()))
}
