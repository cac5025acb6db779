//! `towline get` and `towline history`: what is there.

use crate::client::Client;
use crate::output::{self, Format};

pub(crate) async fn get(client: &Client, app: Option<&str>, format: Format) -> anyhow::Result<()> {
    if let Some(app) = app {
        let view = client.application(&client.app(app)?).await?;
        output::print(format, &view, || output::view(&view))
    } else {
        let list = client.applications().await?;
        output::print(format, &list, || output::summaries(&list))
    }
}

pub(crate) async fn history(client: &Client, app: &str, format: Format) -> anyhow::Result<()> {
    let view = client.application(&client.app(app)?).await?;
    output::print(format, &*view.history, || output::history(&view))
}
