//! The head of a request, read so that nothing in it can be understood in two ways.

use axum::http::HeaderMap;

use super::error::WebhookError;

#[derive(Clone, Copy)]
pub struct Head<'a> {
    headers: &'a HeaderMap,
    query: &'a str,
}

impl<'a> Head<'a> {
    pub fn new(headers: &'a HeaderMap, query: Option<&'a str>) -> Self {
        Self {
            headers,
            query: query.unwrap_or_default(),
        }
    }

    /// A header that may be there once; an empty one is none.
    pub fn one(&self, name: &'static str) -> Result<Option<&'a str>, WebhookError> {
        let mut values = self.headers.get_all(name).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(WebhookError::Ambiguous(name));
        }
        let text = value.to_str().map_err(|_| WebhookError::Header(name))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// The first of several headers that say the same.
    pub fn any(
        &self,
        names: &[&'static str],
    ) -> Result<Option<(&'static str, &'a str)>, WebhookError> {
        for name in names {
            if let Some(value) = self.one(name)? {
                return Ok(Some((name, value)));
            }
        }
        Ok(None)
    }

    /// A parameter behind the path.
    pub fn parameter(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}
