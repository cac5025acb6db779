//! `towline secrets audit`: events of secrets, one line for each.

use bus::message::event::{Event, EventKind};

use crate::client::{Client, ClientArgs};
use crate::output::{self, Format};

pub(super) async fn audit(
    client: &ClientArgs,
    app: Option<&str>,
    path: Option<&str>,
    format: Format,
) -> anyhow::Result<()> {
    let client = Client::from_args(client).await?;
    let app = app.map(|app| client.app(app)).transpose()?;
    let mut events = client.events(app.as_ref()).await?;
    events.retain(|event| is_about(event, path));
    output::print(format, &events, || events.iter().for_each(output::event))
}

/// Whether an event is of secrets, and of this path or one below it.
fn is_about(event: &Event, path: Option<&str>) -> bool {
    let names = match event.kind {
        EventKind::SecretResolved | EventKind::SecretRefused => event.detail.get("references"),
        EventKind::SecretRotated => event.detail.get("path"),
        _ => return false,
    };
    let Some(path) = path else { return true };
    names
        .into_iter()
        .flat_map(|names| names.split(", "))
        .filter_map(|name| name.strip_prefix(path.trim_end_matches('/')))
        .any(|rest| rest.is_empty() || rest.starts_with(['#', '/']))
}

#[cfg(test)]
mod tests {
    use bus::{AppId, ClusterId};

    use super::*;

    fn event(kind: EventKind, name: &str, value: &str) -> Event {
        let app = AppId::new("argocd", "shop").unwrap();
        Event::new(&app, &ClusterId::in_cluster(), kind, "said").detail(name, value)
    }

    #[test]
    fn a_path_is_found_by_itself_and_by_what_is_above_it() {
        let used = event(
            EventKind::SecretResolved,
            "references",
            "kv/data/a#x, kv/data/shop/db#password",
        );
        for path in [
            "kv/data/a",
            "kv/data/shop",
            "kv/data/shop/",
            "kv/data/shop/db",
            "kv",
        ] {
            assert!(is_about(&used, Some(path)), "{path}");
        }
        for path in ["kv/data/sh", "kv/data/shop/d", "data"] {
            assert!(!is_about(&used, Some(path)), "{path}");
        }
        let rotated = event(EventKind::SecretRotated, "path", "kv/data/shop/db");
        assert!(is_about(&rotated, Some("kv/data/shop")));
        assert!(!is_about(
            &event(EventKind::HealthChanged, "path", "kv"),
            None
        ));
    }
}
