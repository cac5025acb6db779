//! `towline events`: what happened, and with `--follow` what happens.

use futures::TryStreamExt as _;

use crate::client::{Client, ClientArgs};
use crate::output::{self, Format};

pub(crate) async fn events(
    client: &ClientArgs,
    app: Option<&str>,
    follow: bool,
    format: Format,
) -> anyhow::Result<()> {
    let client = Client::from_args(client).await?;
    let app = app.map(|app| client.app(app)).transpose()?;
    if !follow {
        let list = client.events(app.as_ref()).await?;
        return output::print(format, &list, || list.iter().for_each(output::event));
    }
    let stream = client.follow(app.as_ref(), None).await?;
    let mut stream = std::pin::pin!(stream);
    while let Some(event) = stream.try_next().await? {
        match format {
            Format::Table => output::event(&event),
            // A line each: a stream has no end at which a list could be closed.
            Format::Json => output::line(format_args!("{}", serde_json::to_string(&event)?)),
            Format::Yaml => output::line(format_args!(
                "---\n{}",
                serde_saphyr::to_string(&event)?.trim_end()
            )),
        }
    }
    anyhow::bail!("the monitor ended the event stream")
}
