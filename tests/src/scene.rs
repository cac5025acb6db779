//! One test's place: a namespace and a repository of its own on a Towline.

use serde_json::Value;

use crate::app::AppBuilder;
use crate::cluster::Cluster;
use crate::git::{Change, Repo};
use crate::installation::{Installation, Options};
use crate::stack::LocalStack;

/// A namespace, a repository, and the Towline that delivers from the one to the other.
pub struct Scene<'a> {
    /// Unique in this run; the destination namespace's name too.
    pub name: String,
    pub cluster: Cluster,
    pub repo: Repo,
    pub towline: &'a Installation,
}

impl Scene<'static> {
    /// On the Towline that all tests share.
    pub async fn new(name: &str) -> anyhow::Result<Self> {
        Scene::on(Installation::shared()?, name).await
    }
}

impl<'a> Scene<'a> {
    /// On a Towline of one's own.
    pub async fn on(towline: &'a Installation, name: &str) -> anyhow::Result<Self> {
        let name = format!("{name}-{:06x}", rand::random::<u32>() & 0xff_ffff);
        let stack = towline.stack();
        let cluster = Cluster::connect(stack.kubeconfig()).await?;
        cluster.namespace(&name).await?;
        let repo = stack.git.create(&name)?;
        Ok(Self {
            name,
            cluster,
            repo,
            towline,
        })
    }

    /// The same scene once more, after its Towline was changed.
    pub async fn again(towline: &'a Installation, name: &str) -> anyhow::Result<Self> {
        let stack = towline.stack();
        Ok(Self {
            name: name.to_owned(),
            cluster: Cluster::connect(stack.kubeconfig()).await?,
            repo: stack.git.existing(name),
            towline,
        })
    }

    /// The namespace that objects go to.
    pub fn namespace(&self) -> &str {
        &self.name
    }

    /// An Application of this scene, `<scene>-<name>`, from its repository to its namespace.
    pub fn app(&self, name: &str) -> AppBuilder<'_> {
        AppBuilder::new(self, name)
    }

    /// Commits files and tells of it; the commit.
    pub async fn push(&self, message: &str, files: &[(&str, &str)]) -> anyhow::Result<String> {
        let commit = self.repo.commit(message, files)?;
        self.tell(&commit).await?;
        Ok(commit)
    }

    /// Commits changes and tells of it; the commit.
    pub async fn push_changes(&self, message: &str, changes: &[Change]) -> anyhow::Result<String> {
        let commit = self.repo.change(message, changes)?;
        self.tell(&commit).await?;
        Ok(commit)
    }

    /// Tells Towline of a commit.
    pub async fn tell(&self, commit: &str) -> anyhow::Result<()> {
        self.towline.webhook()?.push(&self.repo, commit).await
    }

    /// A live object in the scene's namespace.
    pub async fn live(&self, kind: &str, name: &str) -> anyhow::Result<Value> {
        self.cluster.get(kind, &self.name, name).await
    }

    /// Waits until a ConfigMap has this value at a key.
    pub async fn config(&self, name: &str, key: &str, value: &str) -> anyhow::Result<Value> {
        let field = format!("/data/{}", key.replace('/', "~1"));
        self.cluster
            .has("ConfigMap", &self.name, name, (&field, &Value::from(value)))
            .await
    }

    pub async fn gone(&self, kind: &str, name: &str) -> anyhow::Result<()> {
        self.cluster.gone(kind, &self.name, name).await
    }
}

/// A Towline of its own for a test that breaks things.
pub async fn own(name: &str) -> anyhow::Result<Installation> {
    Installation::start(LocalStack::shared()?, Options::own(name)).await
}
