//! `towline get` and `towline history`: what is there.

use crate::client::{Client, ClientArgs};
use crate::output::{self, Format};

pub(crate) async fn get(
    client: &ClientArgs,
    app: Option<&str>,
    format: Format,
) -> anyhow::Result<()> {
    let client = Client::from_args(client).await?;
    if let Some(app) = app {
        let view = client.application(&client.app(app)?).await?;
        output::print(format, &view, || output::view(&view))
    } else {
        let list = client.applications().await?;
        output::print(format, &list, || output::summaries(&list))
    }
}

pub(crate) async fn history(client: &ClientArgs, app: &str, format: Format) -> anyhow::Result<()> {
    let client = Client::from_args(client).await?;
    let view = client.application(&client.app(app)?).await?;
    output::print(format, &*view.history, || output::history(&view))
}
