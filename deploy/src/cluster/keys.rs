//! The cluster's keys: one authority, a certificate for all servers and one for
//! the API server as etcd's client, and the key that signs service account
//! tokens. Made anew for each cluster and gone with its folder.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::http::Trust;

#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("cannot generate the cluster's keys")]
    Generate(#[from] rcgen::Error),
    #[error("cannot write {}", path.display())]
    File { path: PathBuf, source: io::Error },
}

/// The files, all in one folder.
#[derive(Debug)]
pub(super) struct Keys {
    folder: PathBuf,
    authority: String,
    /// Certificate and key of etcd's client, in one PEM text.
    client_identity: String,
}

impl Keys {
    pub(super) fn generate(folder: &Path) -> Result<Self, KeysError> {
        let authority_key = KeyPair::generate()?;
        let authority_params = authority_params();
        let authority = authority_params.self_signed(&authority_key)?.pem();
        let issuer = Issuer::new(authority_params, authority_key);

        let server_key = KeyPair::generate()?;
        let server = server_params()?.signed_by(&server_key, &issuer)?.pem();
        let client_key = KeyPair::generate()?;
        let client = client_params().signed_by(&client_key, &issuer)?.pem();
        let account_key = KeyPair::generate()?;

        let client_identity = format!("{client}{}", client_key.serialize_pem());
        let keys = Self {
            folder: folder.to_owned(),
            authority,
            client_identity,
        };
        for (path, text) in [
            (keys.authority_file(), &keys.authority),
            (keys.server_certificate(), &server),
            (keys.server_key(), &server_key.serialize_pem()),
            (keys.client_certificate(), &client),
            (keys.client_key(), &client_key.serialize_pem()),
            (keys.service_account_private(), &account_key.serialize_pem()),
            (keys.service_account_public(), &account_key.public_key_pem()),
        ] {
            write_private(&path, text).map_err(|source| KeysError::File { path, source })?;
        }
        Ok(keys)
    }

    /// The certificate that all servers' certificates are signed with, as PEM.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Of a client that knows itself by a token, or not at all.
    pub(super) fn trust(&self) -> Trust<'_> {
        Trust {
            authority: Some(&self.authority),
            identity: None,
        }
    }

    /// Of a client of etcd.
    pub(super) fn etcd_trust(&self) -> Trust<'_> {
        Trust {
            identity: Some(&self.client_identity),
            ..self.trust()
        }
    }

    pub(super) fn authority_file(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    pub(super) fn server_certificate(&self) -> PathBuf {
        self.folder.join("server.pem")
    }

    pub(super) fn server_key(&self) -> PathBuf {
        self.folder.join("server.key")
    }

    pub(super) fn client_certificate(&self) -> PathBuf {
        self.folder.join("etcd-client.pem")
    }

    pub(super) fn client_key(&self) -> PathBuf {
        self.folder.join("etcd-client.key")
    }

    pub(super) fn service_account_private(&self) -> PathBuf {
        self.folder.join("service-accounts.key")
    }

    pub(super) fn service_account_public(&self) -> PathBuf {
        self.folder.join("service-accounts.pem")
    }
}

/// A file that only its owner can read, new or overwritten.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)?
        .write_all(text.as_bytes())
}

fn authority_params() -> CertificateParams {
    let mut params = named("towline local stack");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params
}

fn server_params() -> Result<CertificateParams, rcgen::Error> {
    let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"];
    let mut params = CertificateParams::new(names.map(str::to_owned))?;
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        // etcd's gateway is a client of its own server with this certificate.
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    Ok(params)
}

fn client_params() -> CertificateParams {
    let mut params = named("kube-apiserver");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
