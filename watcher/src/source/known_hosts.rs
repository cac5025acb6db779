//! Host keys that an administrator vouched for, in OpenSSH's `known_hosts` format (ConfigMap `argocd-ssh-known-hosts-cm`).
//! Pure.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Host (as OpenSSH writes it: `host`, `[host]:port`) → public keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownHosts {
    keys: BTreeMap<String, Vec<Vec<u8>>>,
}

impl KnownHosts {
    /// Reads a file. Lines that say nothing usable are skipped: hashed names, markers, certificates.
    pub fn parse(text: &str) -> Self {
        let mut keys = BTreeMap::<String, Vec<Vec<u8>>>::new();
        for line in text.lines().map(str::trim) {
            if line.starts_with(['#', '@', '|']) {
                continue;
            }
            let mut fields = line.split_whitespace();
            let (Some(hosts), Some(_kind), Some(key)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let Ok(key) = STANDARD.decode(key) else {
                continue;
            };
            for host in hosts.split(',') {
                keys.entry(host.to_lowercase())
                    .or_default()
                    .push(key.clone());
            }
        }
        Self { keys }
    }

    /// Whether the key belongs to the host, by `host[:port]` of the URL and the name that the connection was made to.
    pub fn knows(&self, host_and_port: &str, host: &str, key: &[u8]) -> bool {
        let bracketed = host_and_port
            .rsplit_once(':')
            .map_or_else(String::new, |(name, port)| format!("[{name}]:{port}"));
        [host_and_port, &host.to_lowercase(), &bracketed]
            .into_iter()
            .filter_map(|name| self.keys.get(name))
            .flatten()
            .any(|known| known == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_known_by_its_own_key_only() {
        let known = KnownHosts::parse(
            "# comment\n@revoked h ssh-rsa YWE=\n|1|x|y ssh-rsa YWE=\nh,other ssh-ed25519 YWI=\n[h]:2222 ssh-rsa YWM= me@there\nbroken\n",
        );
        assert!(known.knows("h", "h", b"ab"));
        assert!(known.knows("other", "other", b"ab"));
        assert!(!known.knows("h", "h", b"aa"));
        assert!(known.knows("h:2222", "h", b"ac"));
        assert!(!known.knows("evil", "evil", b"ab"));
    }
}
