//! Certificate authorities of single hosts, as an administrator names them (ConfigMap `argocd-tls-certs-cm`). Pure.

use std::collections::BTreeMap;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Certificates of one host, at most.
const MAX_CERTIFICATES: usize = 1000;

/// Host without port → what its certificate must be signed by, or be. For these hosts the system's authorities don't count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorities {
    by_host: BTreeMap<String, Vec<CertificateDer<'static>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} in argocd-tls-certs-cm has no effect: it holds {what}. It must be one or more certificates in PEM format"
)]
pub struct AuthoritiesError {
    host: String,
    what: &'static str,
}

impl Authorities {
    /// Reads the ConfigMap's data; what can't be used is left out, and said.
    pub fn parse<'a>(
        data: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> (Self, Vec<AuthoritiesError>) {
        let (mut by_host, mut problems) = (BTreeMap::new(), Vec::new());
        for (host, text) in data {
            match certificates(text) {
                Ok(certificates) => {
                    by_host.insert(host.trim().to_lowercase(), certificates);
                }
                Err(what) => problems.push(AuthoritiesError {
                    host: host.clone(),
                    what,
                }),
            }
        }
        (Self { by_host }, problems)
    }

    /// What is believed of a host; nothing if the system's authorities decide.
    pub fn of(&self, host: &str) -> Option<&[CertificateDer<'static>]> {
        self.by_host
            .get(&host.to_lowercase())
            .map(std::vec::Vec::as_slice)
    }
}

fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes())
        .take(MAX_CERTIFICATES)
        .collect::<Result<_, _>>()
        .map_err(|_| "a certificate that can't be read")?;
    if found.is_empty() {
        return Err("no certificate");
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(entries: &[(&str, &str)]) -> (Authorities, Vec<AuthoritiesError>) {
        let data: BTreeMap<String, String> = entries
            .iter()
            .map(|(host, text)| ((*host).to_owned(), (*text).to_owned()))
            .collect();
        Authorities::parse(&data)
    }

    #[test]
    fn a_host_has_its_certificates_whatever_its_case() {
        let own = rcgen::generate_simple_self_signed(["h".to_owned()]).unwrap();
        let text = format!("# the company's\n{0}{0}", own.cert.pem());
        let (authorities, problems) = parse(&[("Git.example.org", &text)]);
        assert!(problems.is_empty());
        assert_eq!(authorities.of("git.EXAMPLE.org").unwrap().len(), 2);
        assert!(authorities.of("example.org").is_none());
    }

    #[test]
    fn what_is_no_certificate_is_said_and_not_believed() {
        let broken = "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n";
        let (authorities, problems) = parse(&[("a", ""), ("b", broken)]);
        assert_eq!(authorities, Authorities::default());
        let said: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(
            said[0].contains("a in argocd-tls-certs-cm has no effect: it holds no certificate")
        );
        assert!(said[1].contains("a certificate that can't be read"));
    }
}
