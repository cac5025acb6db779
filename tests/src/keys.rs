//! Keys for a broker of our own: one NKey user per role, and one more that may look into everything, for tests.

use std::fs::{DirBuilder, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use bus::identity::ClusterId;
use bus::role::{Role, User, server_config};

/// Seeds below a folder, named as `towline up --nats-keys` expects them.
#[derive(Debug)]
pub struct Keys {
    folder: PathBuf,
    users: Vec<User>,
    inspector: String,
}

impl Keys {
    /// Makes the users of a Towline with one cluster.
    pub fn generate(folder: &Path) -> anyhow::Result<Self> {
        DirBuilder::new()
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("creating {}", folder.display()))?;
        let users = Role::all(&[ClusterId::in_cluster()])
            .into_iter()
            .map(|role| {
                let public_key = user(&folder.join(format!("{}.nk", role.name())))?;
                Ok(User { role, public_key })
            })
            .collect::<anyhow::Result<_>>()?;
        let inspector = user(&folder.join("inspector.nk"))?;
        Ok(Self {
            folder: folder.to_owned(),
            users,
            inspector,
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The seed of the user that may do everything. No service has such a one.
    pub fn inspector(&self) -> PathBuf {
        self.folder.join("inspector.nk")
    }

    /// The accounts for the broker.
    pub fn server_config(&self) -> String {
        let accounts = server_config(&self.users, &[ClusterId::in_cluster()]);
        let inspector = format!("users: [\n      {{ nkey: {} }}\n", self.inspector);
        accounts.replacen("users: [\n", &inspector, 1)
    }
}

/// Writes a new seed to `path`; its public key.
fn user(path: &Path) -> anyhow::Result<String> {
    let pair = nkeys::KeyPair::new_user();
    let seed = pair.seed().context("reading the seed of a new key")?;
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(seed.as_bytes()))
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(pair.public_key())
}
