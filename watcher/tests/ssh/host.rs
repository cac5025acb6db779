//! An ssh host that serves repositories to one key, so that no test needs an installed sshd.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve, PrivateKey, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::runtime::Runtime;

const UPLOAD_PACK: &str = "git-upload-pack ";
const STANDARD_ERROR: u32 = 1;

pub(crate) const ED25519: Algorithm = Algorithm::Ed25519;
pub(crate) const ECDSA: Algorithm = Algorithm::Ecdsa {
    curve: EcdsaCurve::NistP256,
};

/// A new key pair.
pub(crate) fn key(algorithm: Algorithm) -> PrivateKey {
    PrivateKey::random(&mut rand::rng(), algorithm).unwrap()
}

/// Serves until it is dropped.
pub(crate) struct Host {
    _runtime: Runtime,
    port: u16,
}

impl Host {
    /// Shows these host keys, and lets in user `git` with this key.
    pub(crate) fn start(own: &[&PrivateKey], accepted: &PrivateKey) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime
            .block_on(TcpListener::bind(("127.0.0.1", 0)))
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = Arc::new(Config {
            keys: own.iter().map(|key| (*key).clone()).collect(),
            auth_rejection_time: Duration::ZERO,
            ..Config::default()
        });
        let accepted = accepted.public_key().clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let login = Login {
                    accepted: accepted.clone(),
                    channels: HashMap::new(),
                };
                let config = Arc::clone(&config);
                tokio::spawn(async move {
                    if let Ok(session) = russh::server::run_stream(config, stream, login).await {
                        // A client that hangs up early is what some tests are about.
                        let _ = session.await;
                    }
                });
            }
        });
        Self {
            _runtime: runtime,
            port,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

struct Login {
    accepted: PublicKey,
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl Handler for Login {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let known = user == "git" && key.public_key.key_data() == self.accepted.key_data();
        Ok(if known { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let path = std::str::from_utf8(command)
            .ok()
            .and_then(|command| command.strip_prefix(UPLOAD_PACK))
            .map(|path| path.trim_matches('\'').to_owned());
        match (path, self.channels.remove(&id)) {
            (Some(path), Some(channel)) => {
                session.channel_success(id)?;
                tokio::spawn(upload_pack(channel, path));
            }
            _ => session.channel_failure(id)?,
        }
        Ok(())
    }
}

/// Connects a channel with the program `git upload-pack`.
async fn upload_pack(channel: Channel<Msg>, path: String) {
    let mut program = Command::new("git")
        .args(["upload-pack", &path])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = program.stdin.take().unwrap();
    let mut output = program.stdout.take().unwrap();
    let mut errors = program.stderr.take().unwrap();
    let (mut from_client, to_client) = channel.split();
    let forward = async move {
        let mut reader = from_client.make_reader();
        let _ = tokio::io::copy(&mut reader, &mut input).await;
        let _ = input.shutdown().await;
    };
    let answer = async {
        let mut writer = to_client.make_writer();
        let mut error_writer = to_client.make_writer_ext(Some(STANDARD_ERROR));
        let _ = tokio::join!(
            tokio::io::copy(&mut output, &mut writer),
            tokio::io::copy(&mut errors, &mut error_writer),
        );
        program.wait().await
    };
    let status = tokio::select! {
        status = answer => status,
        // A client that says no more still gets what is left to say.
        status = async { forward.await; std::future::pending().await } => status,
    };
    let code = status.ok().and_then(|status| status.code()).unwrap_or(1);
    let _ = to_client.exit_status(code.unsigned_abs()).await;
    let _ = to_client.eof().await;
    let _ = to_client.close().await;
}
