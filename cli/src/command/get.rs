//! `towline get` and `towline history`: what is there.

use crate::client::{Client, ClientArgs};
use crate::command::tree;
use crate::output::{self, Format};

/// What of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    Itself,
    /// Its objects and what they own.
    Tree,
}

impl Show {
    /// Of the flag `--tree`.
    pub(crate) const fn of(tree: bool) -> Self {
        if tree { Self::Tree } else { Self::Itself }
    }
}

pub(crate) async fn get(
    client: &ClientArgs,
    app: Option<&str>,
    show: Show,
    format: Format,
) -> anyhow::Result<()> {
    let client = Client::from_args(client).await?;
    if let (Some(app), Show::Tree) = (app, show) {
        let tree = client.tree(&client.app(app)?).await?;
        output::print(format, &tree, || tree::print(&tree))
    } else if let Some(app) = app {
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
