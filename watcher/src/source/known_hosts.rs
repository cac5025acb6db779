//! Host keys that an administrator vouched for, in OpenSSH's `known_hosts` format (ConfigMap `argocd-ssh-known-hosts-cm`).
//! Pure.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

/// Host (as OpenSSH writes it: `host`, `[host]:port`) → public keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownHosts {
    keys: BTreeMap<String, Vec<Vec<u8>>>,
}

/// Why a host isn't believed to be who it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostKeyError {
    #[error(
        "no host key is known for {host}, which shows {shown}. If whoever runs it confirms that, add it to ConfigMap argocd-ssh-known-hosts-cm"
    )]
    Unknown { host: String, shown: Shown },
    #[error(
        "{host} shows {shown}, and only keys of other kinds are known for it. If whoever runs it confirms that, add it to ConfigMap argocd-ssh-known-hosts-cm"
    )]
    OtherKind { host: String, shown: Shown },
    #[error(
        "{host} shows {shown}, and another host key is known for it: the host was changed, or somebody is in between. Only if whoever runs it confirms the new key, replace the old one in ConfigMap argocd-ssh-known-hosts-cm"
    )]
    Changed { host: String, shown: Shown },
}

/// A key as `ssh-keygen -l` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    fn new(key: &[u8]) -> Self {
        let hash = STANDARD_NO_PAD.encode(Sha256::digest(key));
        let kind = kind(key).unwrap_or("a key");
        Self(format!("{kind} SHA256:{hash}"))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
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

    /// Whether the key belongs to the host, by `host[:port]` of the URL and the name that the connection was made to. As with
    /// OpenSSH, what is known of a port goes before what is known of the host.
    pub fn check(&self, host_and_port: &str, host: &str, key: &[u8]) -> Result<(), HostKeyError> {
        let host = host.to_lowercase();
        let port = host_and_port.rsplit_once(':').and_then(|(_, port)| {
            (!port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit())).then_some(port)
        });
        let at_port = port
            .filter(|_| host_and_port != host)
            .map(|port| format!("[{host}]:{port}"));
        let name = at_port.as_ref().unwrap_or(&host);
        let shown = || Shown::new(key);
        if let Some(known) = self.keys.get(name) {
            return if known.iter().any(|known| known == key) {
                Ok(())
            } else if known.iter().any(|known| kind(known) == kind(key)) {
                Err(HostKeyError::Changed {
                    host: name.clone(),
                    shown: shown(),
                })
            } else {
                Err(HostKeyError::OtherKind {
                    host: name.clone(),
                    shown: shown(),
                })
            };
        }
        match self.keys.get(&host) {
            Some(known) if known.iter().any(|known| known == key) => Ok(()),
            _ => Err(HostKeyError::Unknown {
                host: name.clone(),
                shown: shown(),
            }),
        }
    }
}

/// As a file that `parse` reads: one key a line, nothing but what was understood.
impl fmt::Display for KnownHosts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (host, keys) in &self.keys {
            for key in keys {
                let Some(kind) = kind(key) else { continue };
                formatter.write_str(host)?;
                formatter.write_char(' ')?;
                writeln!(formatter, "{kind} {}", STANDARD.encode(key))?;
            }
        }
        Ok(())
    }
}

/// The name that a public key starts with, behind its length.
fn kind(key: &[u8]) -> Option<&str> {
    let (length, rest) = key.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let name = std::str::from_utf8(rest.get(..length)?).ok()?;
    (!name.is_empty() && name.len() < 64 && name.bytes().all(|byte| byte.is_ascii_graphic()))
        .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: &str, bits: &str) -> Vec<u8> {
        let length = u32::try_from(kind.len()).unwrap().to_be_bytes();
        [&length, kind.as_bytes(), bits.as_bytes()].concat()
    }

    fn line(host: &str, key: &[u8]) -> String {
        format!("{host} kind {} me@there\n", STANDARD.encode(key))
    }

    #[test]
    fn a_host_is_known_by_its_own_key_only() {
        let (a, b, other) = (key("rsa", "a"), key("rsa", "b"), key("dsa", "a"));
        let known = KnownHosts::parse(
            &[
                "# comment\nbroken\n".to_owned(),
                line("@revoked h", &b),
                line("|1|x|y", &b),
                line("H,other", &a),
            ]
            .concat(),
        );
        for host in ["h", "other"] {
            assert_eq!(known.check(host, host, &a), Ok(()));
        }
        assert!(matches!(
            known.check("h", "h", &b),
            Err(HostKeyError::Changed { .. })
        ));
        assert!(matches!(
            known.check("h", "h", &other),
            Err(HostKeyError::OtherKind { .. })
        ));
        assert!(matches!(
            known.check("evil", "evil", &a),
            Err(HostKeyError::Unknown { .. })
        ));
    }

    #[test]
    fn a_ports_key_goes_before_its_hosts() {
        let (a, b) = (key("rsa", "a"), key("rsa", "b"));
        let known = KnownHosts::parse(&[line("h", &a), line("[h]:2222", &b)].concat());
        assert_eq!(known.check("h:2222", "h", &b), Ok(()));
        assert!(known.check("h:2222", "h", &a).is_err());
        assert_eq!(known.check("h:2200", "h", &a), Ok(()));
        let refused = known.check("h:2200", "h", &b).unwrap_err();
        assert!(
            refused.to_string().contains("known for [h]:2200"),
            "{refused}"
        );
    }

    #[test]
    fn an_address_of_ip_version_6_has_its_port_behind_brackets() {
        let a = key("rsa", "a");
        let known = KnownHosts::parse(&[line("[::1]:22022", &a), line("::2", &a)].concat());
        assert_eq!(known.check("[::1]:22022", "::1", &a), Ok(()));
        assert_eq!(known.check("[::2]", "::2", &a), Ok(()));
        assert!(known.check("[::1]", "::1", &a).is_err());
    }

    #[test]
    fn what_was_understood_can_be_written_and_read_again() {
        let text = [
            line("h", &key("rsa", "a")),
            line("[h]:2222", &key("rsa", "b")),
        ]
        .concat();
        let known = KnownHosts::parse(&text);
        assert_eq!(KnownHosts::parse(&known.to_string()), known);
        assert_eq!(KnownHosts::parse(&line("h", b"odd")).to_string(), "");
    }
}
