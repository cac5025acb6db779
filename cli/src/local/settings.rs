//! Files with Argo CD's own Secrets and `ConfigMap`s → as whom repositories are fetched, and what `argocd-cm` says of rendering.
//! No value of a Secret comes into an error.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use api::settings::{self, Settings};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::Value;
use watcher::settings::Environment;
use watcher::source::authorities::Authorities;
use watcher::source::known_hosts::KnownHosts;

/// Longest file of host keys that is read, in bytes.
const MAX_KNOWN_HOSTS: u64 = 16 << 20;

/// Without a ConfigMap of host keys, those that count for ssh do.
pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<Environment> {
    let mut environment = Environment::default();
    let mut vouched = false;
    for file in files {
        let text = super::applications::text(file)
            .with_context(|| format!("reading {}", file.display()))?;
        // The parser's own message shows the lines around.
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|error| {
            let line = error.location().map_or(0, |location| location.line());
            anyhow!("{}:{line} is not valid YAML", file.display())
        })?;
        for document in documents {
            let within = || format!("in {}", file.display());
            vouched |= one(document, &mut environment).with_context(within)?;
        }
    }
    if !vouched && let Some(home) = std::env::home_dir() {
        let known = known_hosts(&home.join(".ssh/known_hosts"))?;
        environment.vouched.known_hosts = Arc::new(known);
    }
    Ok(environment)
}

/// Takes one object in, and says whether that were host keys.
fn one(mut document: Value, environment: &mut Environment) -> anyhow::Result<bool> {
    let field = |pointer| {
        let text = document.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let (kind, name) = (field("/kind"), field("/metadata/name"));
    match kind.as_str() {
        "List" | "SecretList" | "ConfigMapList" => {
            let mut vouched = false;
            let items = document.get_mut("items").and_then(Value::as_array_mut);
            for item in items.into_iter().flatten() {
                vouched |= one(item.take(), environment)?;
            }
            return Ok(vouched);
        }
        "Secret" => secret(document, name, environment)?,
        "ConfigMap" => return config_map(document, &name, environment),
        _ => passed_over(&kind, &name),
    }
    Ok(false)
}

fn secret(document: Value, name: String, environment: &mut Environment) -> anyhow::Result<()> {
    // What the parser says may hold a value.
    let mut secret: Secret = serde_json::from_value(document)
        .map_err(|_| anyhow!("Secret {name:?} can't be read: data must be base64 text"))?;
    // An API server does the same.
    let plain = secret.string_data.take().unwrap_or_default();
    let plain = plain
        .into_iter()
        .map(|(key, value)| (key, ByteString(value.into_bytes())));
    secret.data.get_or_insert_default().extend(plain);
    match settings::read_secret(&secret)? {
        Some(read) => drop(environment.secrets.insert(name, read)),
        None => passed_over("Secret", &name),
    }
    Ok(())
}

fn config_map(document: Value, name: &str, environment: &mut Environment) -> anyhow::Result<bool> {
    let map: ConfigMap =
        serde_json::from_value(document).with_context(|| format!("reading ConfigMap {name:?}"))?;
    let data = map.data.unwrap_or_default();
    let (known_hosts, key) = settings::KNOWN_HOSTS;
    if name == known_hosts {
        let known = KnownHosts::parse(data.get(key).map_or("", String::as_str));
        environment.vouched.known_hosts = Arc::new(known);
        return Ok(true);
    }
    if name == settings::TLS_CERTS {
        let (authorities, problems) = Authorities::parse(&data);
        if let Some(problem) = problems.into_iter().next() {
            bail!(problem);
        }
        environment.vouched.authorities = Arc::new(authorities);
    } else if name == settings::CONFIG_MAP {
        environment.settings = Settings::read(&data);
        for problem in &environment.settings.problems {
            crate::output::note(&format!("argocd-cm: no effect has {problem}"));
        }
    } else {
        passed_over("ConfigMap", name);
    }
    Ok(false)
}

fn passed_over(kind: &str, name: &str) {
    if !kind.is_empty() {
        crate::output::note(&format!(
            "{kind} {name:?} says nothing about repositories, passed over"
        ));
    }
}

fn known_hosts(file: &Path) -> anyhow::Result<KnownHosts> {
    use std::io::Read as _;
    let reading = || format!("reading {}", file.display());
    let mut bytes = Vec::new();
    match std::fs::File::open(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(KnownHosts::default());
        }
        opened => opened
            .with_context(reading)?
            .take(MAX_KNOWN_HOSTS)
            .read_to_end(&mut bytes)
            .with_context(reading)?,
    };
    Ok(KnownHosts::parse(&String::from_utf8_lossy(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(text: &str) -> anyhow::Result<Environment> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("repositories.yaml");
        std::fs::write(&file, text).unwrap();
        read(&[file])
    }

    #[test]
    fn a_secret_counts_with_text_and_with_base64() {
        let found = environment(
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a, labels: {argocd.argoproj.io/secret-type: repo-creds}}\n\
             stringData: {url: 'https://h/team', password: first}\n---\n\
             apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  \
             metadata: {name: b, labels: {argocd.argoproj.io/secret-type: repository}}\n  \
             data: {url: aHR0cHM6Ly9oL290aGVy, password: c2Vjb25k}\n",
        )
        .unwrap();
        let password = |url| {
            let access = found.access(url, "default");
            access.credentials.password.map(|it| it.expose().to_owned())
        };
        assert_eq!(password("https://h/team/a.git").as_deref(), Some("first"));
        assert_eq!(password("https://h/other").as_deref(), Some("second"));
        assert_eq!(password("https://elsewhere/a"), None);
    }

    #[test]
    fn no_error_shows_what_a_secret_holds() {
        let secret = |data: &str| {
            format!(
                "apiVersion: v1\nkind: Secret\nmetadata: {{name: a, labels: {{argocd.argoproj.io/secret-type: repository}}}}\n{data}"
            )
        };
        for data in [
            "data: {password: canary canary}\n",
            "data: canary\n",
            "stringData: {password: canary\n",
            "stringData: {insecure: canary, url: 'https://h'}\n",
            "stringData: {password: canary}\n",
            "stringData: [canary]\n",
        ] {
            let error = environment(&secret(data)).unwrap_err();
            let said = format!("{error:#} {error:?}");
            assert!(!said.contains("canary"), "{said}");
        }
    }

    #[test]
    fn argocd_cm_says_how_to_render() {
        let found = environment(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: argocd-cm}\ndata: {kustomize.buildOptions: --enable-helm}\n",
        )
        .unwrap();
        assert_eq!(found.rendering().kustomize_build_options, "--enable-helm");
    }
}
