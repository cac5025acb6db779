//! An order as the `ConfigMap` that it is.

use bus::message::state::PinUntil;
use bus::{AppId, ReleaseId};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::store::{LABEL, PART, name_of};

/// The value of label `towline.dev/part` by which orders are found.
pub(super) const ORDER: &str = "order";
/// Why it is not carried out: written by the applier, for who gave it.
pub(super) const REFUSED: &str = "refused";
/// The longest order that is read, in bytes.
const MAX: usize = 4 * 1024;

/// Back to a release, or to the last healthy one before the current, and held there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DirectOrder {
    /// A known one is carried out already.
    pub(crate) id: String,
    pub(crate) app: AppId,
    /// As whoever gave it says: nobody has checked it.
    pub(crate) user: String,
    /// Unix milliseconds.
    pub(crate) issued: u64,
    #[serde(default)]
    pub(crate) release: Option<ReleaseId>,
    #[serde(default)]
    pub(crate) until: PinUntil,
}

impl DirectOrder {
    pub(super) fn object(&self) -> Result<ConfigMap, serde_json::Error> {
        let hash = api::tracking::application_label(self.app.namespace(), self.app.name());
        Ok(ConfigMap {
            metadata: ObjectMeta {
                name: Some(format!("{}-order-{}", name_of(&hash), self.id)),
                labels: Some(
                    [
                        (LABEL.to_owned(), hash),
                        (PART.to_owned(), ORDER.to_owned()),
                    ]
                    .into(),
                ),
                ..ObjectMeta::default()
            },
            data: Some([(ORDER.to_owned(), serde_json::to_string(self)?)].into()),
            ..ConfigMap::default()
        })
    }

    /// The order that an object holds; none where it was refused already.
    pub(super) fn of(object: &ConfigMap) -> Option<Result<Self, String>> {
        if refusal(object).is_some() {
            return None;
        }
        let data = object.data.as_ref();
        let text = data.and_then(|data| data.get(ORDER)).map(String::as_str);
        Some(match text {
            None => Err("it holds no order".to_owned()),
            Some(text) if text.len() > MAX => Err(format!("it is longer than {MAX} bytes")),
            Some(text) => {
                serde_json::from_str(text).map_err(|error| format!("it can't be read: {error}"))
            }
        })
    }
}

pub(super) fn refusal(object: &ConfigMap) -> Option<&str> {
    let refused = object.data.as_ref()?.get(REFUSED)?;
    Some(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> DirectOrder {
        DirectOrder {
            id: "1".to_owned(),
            app: AppId::new("argocd", "web").unwrap(),
            user: "jane".to_owned(),
            issued: 1,
            release: Some(ReleaseId(3)),
            until: PinUntil::Unpinned,
        }
    }

    #[test]
    fn an_order_is_read_as_it_was_written_until_it_is_refused() {
        let mut object = order().object().unwrap();
        assert_eq!(DirectOrder::of(&object), Some(Ok(order())));
        let data = object.data.as_mut().unwrap();
        data.insert(REFUSED.to_owned(), "no such release".to_owned());
        assert_eq!(DirectOrder::of(&object), None);
        assert_eq!(refusal(&object), Some("no such release"));
    }

    #[test]
    fn what_is_no_order_is_said() {
        let of = |text: String| {
            DirectOrder::of(&ConfigMap {
                data: Some([(ORDER.to_owned(), text)].into()),
                ..ConfigMap::default()
            })
        };
        assert!(of("{}".to_owned()).unwrap().is_err());
        assert!(of(" ".repeat(MAX + 1)).unwrap().is_err());
        assert!(DirectOrder::of(&ConfigMap::default()).unwrap().is_err());
    }
}
