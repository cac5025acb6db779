//! Host keys that an administrator vouched for, in OpenSSH's `known_hosts` format (ConfigMap `argocd-ssh-known-hosts-cm`).
//! Pure.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A file's lines, as far as they say something usable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownHosts {
    lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    marker: Marker,
    hosts: Hosts,
    key: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marker {
    Key,
    /// The key must not be believed, whatever else says.
    Revoked,
    /// The key signs hosts' certificates.
    Authority,
}

/// Whose key it is. A name is `host`, or `[host]:port` where the port isn't ssh's own.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    /// Names with `*` and `?`; those behind `!` are no such hosts.
    Patterns { of: Vec<String>, not: Vec<String> },
    /// One name, which can only be tried.
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
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
    #[error(
        "{host} shows {shown}, which is marked @revoked in ConfigMap argocd-ssh-known-hosts-cm: it must not be believed"
    )]
    Revoked { host: String, shown: Shown },
    #[error(
        "{host} is known by @cert-authority only, and certificates of hosts can't be checked. If whoever runs it confirms that it shows {shown}, add that key itself to ConfigMap argocd-ssh-known-hosts-cm"
    )]
    CertificateOnly { host: String, shown: Shown },
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
    /// Reads a file. Lines that say nothing usable are skipped.
    pub fn parse(text: &str) -> Self {
        Self {
            lines: text.lines().filter_map(Line::parse).collect(),
        }
    }

    /// Whether the key belongs to the host, by `host[:port]` of the URL and the name that the connection was made to. As with
    /// OpenSSH, what is known of a port goes before what is known of the host.
    pub fn check(&self, host_and_port: &str, host: &str, key: &[u8]) -> Result<(), HostKeyError> {
        let host = host.to_lowercase();
        let port = host_and_port.rsplit_once(':').and_then(|(_, port)| {
            (!port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit())).then_some(port)
        });
        let at_port = port
            .filter(|port| host_and_port != host && *port != "22")
            .map(|port| format!("[{host}]:{port}"));
        let name = at_port.clone().unwrap_or_else(|| host.clone());
        let shown = Shown::new(key);
        let of = |name: &str, marker| -> Vec<&[u8]> {
            let lines = self.lines.iter().filter(|line| line.marker == marker);
            lines
                .filter(|line| line.hosts.contain(name))
                .map(|line| line.key.as_slice())
                .collect()
        };
        if [&name, &host]
            .into_iter()
            .any(|name| of(name, Marker::Revoked).contains(&key))
        {
            return Err(HostKeyError::Revoked { host: name, shown });
        }
        let known = of(&name, Marker::Key);
        if known.contains(&key) {
            return Ok(());
        }
        if known.iter().any(|known| kind(known) == kind(key)) {
            return Err(HostKeyError::Changed { host: name, shown });
        }
        if !known.is_empty() {
            return Err(HostKeyError::OtherKind { host: name, shown });
        }
        if at_port.is_some() && of(&host, Marker::Key).contains(&key) {
            return Ok(());
        }
        if !of(&name, Marker::Authority).is_empty() {
            return Err(HostKeyError::CertificateOnly { host: name, shown });
        }
        Err(HostKeyError::Unknown { host: name, shown })
    }
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_whitespace();
        let mut hosts = fields.next().filter(|field| !field.starts_with('#'))?;
        let marker = match hosts {
            "@revoked" => Marker::Revoked,
            "@cert-authority" => Marker::Authority,
            marker if marker.starts_with('@') => return None,
            _ => Marker::Key,
        };
        if marker != Marker::Key {
            hosts = fields.next()?;
        }
        let _kind = fields.next()?;
        Some(Self {
            marker,
            hosts: Hosts::parse(hosts)?,
            key: STANDARD.decode(fields.next()?).ok()?,
        })
    }
}

impl Hosts {
    fn parse(text: &str) -> Option<Self> {
        if let Some(hashed) = text.strip_prefix("|1|") {
            let (salt, hash) = hashed.split_once('|')?;
            return Some(Self::Hashed {
                salt: STANDARD.decode(salt).ok()?,
                hash: STANDARD.decode(hash).ok()?,
            });
        }
        if text.starts_with('|') {
            return None;
        }
        let (mut of, mut not) = (Vec::new(), Vec::new());
        for pattern in text.to_lowercase().split(',') {
            match pattern.strip_prefix('!') {
                Some(pattern) => not.push(pattern.to_owned()),
                None => of.push(pattern.to_owned()),
            }
        }
        Some(Self::Patterns { of, not })
    }

    fn contain(&self, name: &str) -> bool {
        match self {
            Self::Patterns { of, not } => {
                let any = |patterns: &[String]| patterns.iter().any(|it| matches(it, name));
                any(of) && !any(not)
            }
            Self::Hashed { salt, hash } => {
                let hmac = Hmac::<Sha1>::new_from_slice(salt);
                hmac.is_ok_and(|hmac| hmac.chain_update(name).verify_slice(hash).is_ok())
            }
        }
    }
}

/// Whether a name fits a pattern, whose `*` is any text and whose `?` is any character.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut read) = (0, 0);
    // The last `*`, and how far it reached.
    let mut star = None;
    while read < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(symbol) if *symbol == b'?' || *symbol == name[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((from, reached)) = star else {
                    return false;
                };
                star = Some((from, reached + 1));
                (at, read) = (from + 1, reached + 1);
            }
        }
    }
    pattern[at..].iter().all(|symbol| *symbol == b'*')
}

/// As a file that `parse` reads and libssh2 too: one host and one key a line. Patterns and markers are left out, since it knows
/// none.
impl fmt::Display for KnownHosts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.lines.iter().filter(|line| line.marker == Marker::Key) {
            let Some(kind) = kind(&line.key) else {
                continue;
            };
            let key = STANDARD.encode(&line.key);
            match &line.hosts {
                Hosts::Patterns { of, .. } => {
                    for host in of.iter().filter(|host| !host.contains(['*', '?'])) {
                        writeln!(formatter, "{host} {kind} {key}")?;
                    }
                }
                Hosts::Hashed { salt, hash } => {
                    let (salt, hash) = (STANDARD.encode(salt), STANDARD.encode(hash));
                    writeln!(formatter, "|1|{salt}|{hash} {kind} {key}")?;
                }
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
                line("@unheard-of h", &b),
                line("|1|x|y", &b),
                line("|2|eA==|eA==", &b),
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

    /// As `ssh-keygen -H` writes a name.
    fn hashed(name: &str) -> String {
        let salt = b"twenty bytes of salt";
        let hash = Hmac::<Sha1>::new_from_slice(salt).unwrap();
        let hash = hash.chain_update(name).finalize().into_bytes();
        format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(hash))
    }

    #[test]
    fn a_hashed_name_is_that_host_and_no_other() {
        let a = key("rsa", "a");
        let text = [line(&hashed("h"), &a), line(&hashed("[p]:2222"), &a)].concat();
        let known = KnownHosts::parse(&text);
        assert_eq!(known.check("h", "h", &a), Ok(()));
        assert_eq!(known.check("h:22", "h", &a), Ok(()));
        assert_eq!(known.check("p:2222", "p", &a), Ok(()));
        assert!(known.check("p", "p", &a).is_err());
        assert_eq!(KnownHosts::parse(&known.to_string()), known);
    }

    #[test]
    fn patterns_name_many_hosts_and_leave_some_out() {
        let a = key("rsa", "a");
        let known = KnownHosts::parse(&line("*.Example.org,!old.example.org,10.0.0.?", &a));
        for host in ["git.example.org", "a.b.example.org", "10.0.0.7"] {
            assert_eq!(known.check(host, host, &a), Ok(()), "{host}");
        }
        for host in [
            "example.org",
            "old.example.org",
            "10.0.0.77",
            "example.org.evil",
        ] {
            assert!(known.check(host, host, &a).is_err(), "{host}");
        }
    }

    #[test]
    fn a_revoked_key_is_refused_whatever_else_says() {
        let a = key("rsa", "a");
        let text = [line("h,[h]:2222", &a), line("@revoked *", &a)].concat();
        let known = KnownHosts::parse(&text);
        for at in ["h", "h:2222"] {
            let error = known.check(at, "h", &a).unwrap_err();
            assert!(matches!(error, HostKeyError::Revoked { .. }), "{error}");
        }
    }

    #[test]
    fn a_host_that_only_an_authority_vouches_for_is_refused_and_the_error_says_why() {
        let (a, b) = (key("rsa", "a"), key("rsa", "b"));
        let known = KnownHosts::parse(&line("@cert-authority *.example.org", &a));
        for shown in [&a, &b] {
            let error = known
                .check("h.example.org", "h.example.org", shown)
                .unwrap_err();
            assert!(error.to_string().contains("@cert-authority"), "{error}");
        }
        assert!(matches!(
            known.check("h", "h", &a),
            Err(HostKeyError::Unknown { .. })
        ));
    }

    #[test]
    fn one_of_several_keys_of_a_host_is_enough() {
        let (a, b) = (key("rsa", "a"), key("ed25519", "b"));
        let known = KnownHosts::parse(&[line("h", &a), line("h", &b)].concat());
        assert_eq!(known.check("h", "h", &a), Ok(()));
        assert_eq!(known.check("h", "h", &b), Ok(()));
    }

    proptest::proptest! {
        #[test]
        fn no_file_is_a_panic_and_what_is_written_is_read_back(text in "([@|!*?,\\[\\]:1=#a-cA ]|\n|.){0,80}") {
            let known = KnownHosts::parse(&text);
            let again = KnownHosts::parse(&known.to_string());
            proptest::prop_assert_eq!(again.to_string(), known.to_string());
            let _ = known.check("a:1", "a", b"x");
        }

        #[test]
        fn a_pattern_means_what_trying_everything_says(pattern in "[ab*?]{0,8}", name in "[ab]{0,8}") {
            fn slow(pattern: &[u8], name: &[u8]) -> bool {
                match (pattern, name) {
                    ([], []) => true,
                    ([b'*', rest @ ..], _) => slow(rest, name) || (!name.is_empty() && slow(pattern, &name[1..])),
                    ([b'?', rest @ ..], [_, more @ ..]) => slow(rest, more),
                    ([one, rest @ ..], [other, more @ ..]) => one == other && slow(rest, more),
                    _ => false,
                }
            }
            proptest::prop_assert_eq!(matches(&pattern, &name), slow(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
