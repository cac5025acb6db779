//! Which hosts are reached without the proxy: `noProxy` as Go's `httpproxy` reads it, hence as Argo CD does. Pure.

use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

/// The hosts that the proxy isn't for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NoProxy {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    All,
    Net(IpNet),
    Address(IpAddr, Option<u16>),
    /// A domain with a leading dot; whether the domain itself counts as what is below it does.
    Domain {
        suffix: String,
        itself: bool,
        port: Option<u16>,
    },
}

impl NoProxy {
    pub(super) fn parse(list: &str) -> Self {
        let rules = list.split(',').filter_map(|entry| rule(entry.trim()));
        Self {
            rules: rules.collect(),
        }
    }

    /// Whether a URL is reached directly.
    pub(super) fn covers(&self, url: &Url) -> bool {
        let at = url.port_or_known_default();
        let here = |port: Option<u16>| port.is_none() || port == at;
        let (name, address) = match url.host() {
            None => return false,
            Some(Host::Domain(name)) => (name.to_lowercase(), name.parse().ok()),
            Some(Host::Ipv4(address)) => (String::new(), Some(IpAddr::V4(address))),
            Some(Host::Ipv6(address)) => (String::new(), Some(IpAddr::V6(address))),
        };
        if name == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        self.rules.iter().any(|rule| match rule {
            Rule::All => true,
            Rule::Net(net) => address.is_some_and(|address| net.contains(&address)),
            Rule::Address(known, port) => address == Some(*known) && here(*port),
            Rule::Domain {
                suffix,
                itself,
                port,
            } => {
                let below = name.ends_with(suffix.as_str());
                let same = *itself && suffix.strip_prefix('.') == Some(&name);
                address.is_none() && (below || same) && here(*port)
            }
        })
    }
}

fn rule(entry: &str) -> Option<Rule> {
    let entry = entry.to_lowercase();
    if entry == "*" {
        return Some(Rule::All);
    }
    if let Ok(net) = entry.parse::<IpNet>() {
        return Some(Rule::Net(net));
    }
    if let Ok(address) = entry.parse::<IpAddr>() {
        return Some(Rule::Address(address, None));
    }
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (entry.as_str(), None),
    };
    let host = host
        .strip_prefix('[')
        .map_or(host, |host| host.trim_end_matches(']'));
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(Rule::Address(address, port));
    }
    let host = host
        .strip_prefix('*')
        .filter(|rest| rest.starts_with('.'))
        .unwrap_or(host);
    let itself = !host.starts_with('.');
    let suffix = if itself {
        format!(".{host}")
    } else {
        host.to_owned()
    };
    (!host.is_empty()).then_some(Rule::Domain {
        suffix,
        itself,
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(list: &str, url: &str) -> bool {
        NoProxy::parse(list).covers(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_domain_covers_itself_and_what_is_below_it() {
        for list in ["example.org", " a , EXAMPLE.org "] {
            assert!(direct(list, "https://example.org/a"), "{list}");
            assert!(direct(list, "https://git.example.org/a"), "{list}");
            assert!(!direct(list, "https://notexample.org/a"), "{list}");
        }
        for list in [".example.org", "*.example.org"] {
            assert!(!direct(list, "https://example.org/a"), "{list}");
            assert!(direct(list, "https://git.example.org/a"), "{list}");
        }
    }

    #[test]
    fn a_port_limits_an_entry() {
        assert!(direct("h:8443", "https://h:8443/a"));
        assert!(!direct("h:8443", "https://h/a"));
        assert!(direct("h:443", "https://h/a"));
        assert!(direct("[2001:db8::1]:443", "https://[2001:db8::1]/a"));
    }

    #[test]
    fn addresses_and_networks_are_entries() {
        assert!(direct("10.0.0.0/8", "http://10.1.2.3/a"));
        assert!(direct("10.1.2.3", "http://10.1.2.3/a"));
        assert!(!direct("10.0.0.0/8", "http://11.1.2.3/a"));
        assert!(direct("2001:db8::/32", "http://[2001:db8::5]/a"));
        assert!(!direct("1.2.3.4", "http://git.1.2.3.4.example/a"));
    }

    #[test]
    fn everything_and_the_own_machine() {
        assert!(direct("*", "http://h/a"));
        assert!(direct("", "http://localhost:1/a"));
        assert!(direct("", "http://127.0.0.2/a"));
        assert!(!direct("", "http://h/a"));
    }

    proptest::proptest! {
        #[test]
        fn no_list_is_a_panic(list in ".{0,60}", host in "[a-z0-9.-]{1,20}") {
            if let Ok(url) = Url::parse(&format!("https://{host}/x")) {
                let _ = NoProxy::parse(&list).covers(&url);
            }
        }
    }
}
