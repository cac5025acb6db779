//! How a registry wants to be logged in to: by user and password, or by a token that another address gives for them.

use api::Sensitive;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::access::Access;
use super::error::FetchError;
use super::web::Web;

/// Longest answer with a token, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// What `WWW-Authenticate` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Password,
    Token {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

impl Challenge {
    pub(super) fn parse(value: &str) -> Option<Self> {
        let (scheme, rest) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Password);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service, mut scope) = (None, None, None);
        let mut rest = rest.trim();
        while let Some((name, after)) = rest.split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_once(',').unwrap_or((after, "")),
            };
            match name.trim().to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value.to_owned()),
                "service" => service = Some(value.to_owned()),
                "scope" => scope = Some(value.to_owned()),
                _ => {}
            }
            rest = after.trim_start_matches([',', ' ']);
        }
        Some(Self::Token {
            realm: realm?,
            service,
            scope,
        })
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<Sensitive>,
    access_token: Option<Sensitive>,
}

/// The header that answers a challenge; none where nothing is known to answer with.
pub(super) async fn answer(
    web: &Web,
    access: &Access,
    registry: &Url,
    name: &str,
    challenge: Challenge,
) -> Result<Option<HeaderValue>, FetchError> {
    let login = web.login(access, registry).await?;
    let (realm, service, scope) = match challenge {
        Challenge::Password => return Ok(login),
        Challenge::Token {
            realm,
            service,
            scope,
        } => (realm, service, scope),
    };
    // A token of the Secret's own is one already.
    if access.credentials.bearer_token.is_some() && access.credentials.password.is_none() {
        return Ok(login);
    }
    let mut url = Url::parse(&realm)
        .map_err(|_| web.broken("it sends its logins to an address that can't be read"))?;
    let open = access.plain_http || access.insecure;
    if url.scheme() != "https" && !(open && url.scheme() == "http") {
        return Err(web.broken("it sends its logins to an address that isn't https"));
    }
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = &service {
            query.append_pair("service", service);
        }
        let own = format!("repository:{name}:pull");
        query.append_pair("scope", scope.as_deref().unwrap_or(&own));
    }
    let given = web.get(&url, &HeaderMap::new(), login.as_ref()).await?;
    if given.status() != StatusCode::OK {
        return Err(web.refusal(given.status(), login.is_some(), "a token"));
    }
    let body = Zeroizing::new(web.text(given, MAX_ANSWER).await?);
    let token: Token = serde_json::from_slice(&body)
        .map_err(|_| web.broken("the answer with its token can't be read"))?;
    let token = token
        .token
        .filter(|token| !token.expose().is_empty())
        .or(token.access_token)
        .ok_or_else(|| web.broken("the answer with its token has none"))?;
    let mut header = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
        .map_err(|_| web.broken("its token is none that can be sent"))?;
    header.set_sensitive(true);
    Ok(Some(header))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_logging_in_are_understood() {
        assert_eq!(
            Challenge::parse("Basic realm=\"x\""),
            Some(Challenge::Password)
        );
        let bearer = "Bearer realm=\"https://auth/token\",service=\"reg, one\", scope=\"repository:a/b:pull,push\"";
        assert_eq!(
            Challenge::parse(bearer),
            Some(Challenge::Token {
                realm: "https://auth/token".into(),
                service: Some("reg, one".into()),
                scope: Some("repository:a/b:pull,push".into()),
            })
        );
        assert_eq!(Challenge::parse("Negotiate"), None);
        assert_eq!(Challenge::parse("Bearer service=a"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_challenge_is_a_panic(text in "(Bearer )?.{0,80}") {
            let _ = Challenge::parse(&text);
        }
    }
}
