//! Every store that the agent was given, told apart by the first segment of a path: `files/…`, `k8s/…`, and Vault for all others.

use bus::seal::SecretValue;

use super::files::{self, Files};
use super::kubernetes::{self, KubernetesSecrets};
use super::{Backend, BackendError, Document, Vault};
use crate::policy::SecretPath;

#[derive(Default)]
pub struct Stores {
    pub vault: Option<Vault>,
    pub kubernetes: Option<KubernetesSecrets>,
    pub files: Option<Files>,
}

impl Stores {
    pub fn is_empty(&self) -> bool {
        self.vault.is_none() && self.kubernetes.is_none() && self.files.is_none()
    }
}

enum Store<'a> {
    Vault(&'a Vault),
    Kubernetes(&'a KubernetesSecrets),
    Files(&'a Files),
}

impl Stores {
    /// The store that a path is in. A name whose own store isn't there is left to Vault.
    fn of(&self, path: &SecretPath) -> Result<Store<'_>, BackendError> {
        let first = path.as_str().split('/').next().unwrap_or_default();
        let (own, flag) = match first {
            files::MOUNT => (self.files.as_ref().map(Store::Files), "--secret-files"),
            kubernetes::MOUNT => (
                self.kubernetes.as_ref().map(Store::Kubernetes),
                "--secrets-namespace",
            ),
            _ => (None, "--vault-addr"),
        };
        own.or_else(|| self.vault.as_ref().map(Store::Vault))
            .ok_or_else(|| BackendError::NoStore {
                path: path.clone(),
                flag,
            })
    }
}

impl Backend for Stores {
    async fn read(
        &self,
        project: &str,
        path: &SecretPath,
        version: Option<u64>,
    ) -> Result<Document, BackendError> {
        match self.of(path)? {
            Store::Vault(store) => store.read(project, path, version).await,
            Store::Kubernetes(store) => store.read(project, path, version).await,
            Store::Files(store) => store.read(project, path, version).await,
        }
    }

    async fn decrypt(
        &self,
        project: &str,
        path: &SecretPath,
        ciphertext: &str,
    ) -> Result<SecretValue, BackendError> {
        match self.of(path)? {
            Store::Vault(store) => store.decrypt(project, path, ciphertext).await,
            Store::Kubernetes(store) => store.decrypt(project, path, ciphertext).await,
            Store::Files(store) => store.decrypt(project, path, ciphertext).await,
        }
    }

    async fn api_path(&self, project: &str, path: &SecretPath) -> Result<SecretPath, BackendError> {
        match self.of(path)? {
            Store::Vault(store) => store.api_path(project, path).await,
            Store::Kubernetes(store) => store.api_path(project, path).await,
            Store::Files(store) => store.api_path(project, path).await,
        }
    }

    async fn newest_version(
        &self,
        project: &str,
        path: &SecretPath,
    ) -> Result<Option<u64>, BackendError> {
        match self.of(path)? {
            Store::Vault(store) => store.newest_version(project, path).await,
            Store::Kubernetes(store) => store.newest_version(project, path).await,
            Store::Files(store) => store.newest_version(project, path).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_path_of_a_store_that_is_not_there_names_its_flag() {
        let folder = tempfile::tempdir().unwrap();
        let stores = Stores {
            files: Some(Files::new(folder.path()).unwrap()),
            ..Stores::default()
        };
        for (path, said) in [
            ("kv/data/a", "--vault-addr"),
            ("k8s/a", "--secrets-namespace"),
            ("files/a", "does not exist"),
        ] {
            let path = SecretPath::parse(path).unwrap();
            let error = stores.read("shop", &path, None).await.unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
