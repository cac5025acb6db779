//! What is to be rendered: an application's parameters and the trees of its sources. Knows no bus.

use std::sync::Arc;

use api::application::source::ApplicationSource;
use bus::Digest;
use bus::message::cluster::Capabilities;
use bus::message::desired::Rendering;
use bus::message::need::Need;
use bus::message::render::Input;
use serde::Serialize;

use crate::need::Dependencies;
use crate::tree::Tree;

/// The rules of this crate: a change in what they make of the same input must change this, so that nothing made by older
/// rules is taken for still right.
const RULES: u32 = 1;

/// One application to render.
pub struct Job {
    /// Name of the `Application`, Helm's release unless the source says otherwise.
    pub app: String,
    /// Its name in tracking ids and in `$ARGOCD_APP_NAME`.
    pub instance: String,
    pub project: String,
    /// Namespace of the destination.
    pub namespace: String,
    /// The annotation `towline.dev/last-mile`.
    pub last_mile: Option<String>,
    /// What the destination cluster offers; none while nobody knows.
    pub capabilities: Option<Capabilities>,
    /// What `argocd-cm` says about rendering.
    pub rendering: Rendering,
    /// What there is beside the sources.
    pub dependencies: Dependencies,
    /// In the order of the specification.
    pub sources: Vec<Source>,
}

/// One source at its revision.
pub struct Source {
    pub spec: ApplicationSource,
    /// The commit's id.
    pub revision: String,
    pub tree: Arc<Tree>,
}

impl Job {
    /// Digest of everything but the files, the revision, the cluster and the settings: those are inputs of their own. Of
    /// dependencies there is no finer record: their trees are a part of it.
    pub fn parameters(&self, engine: &Digest) -> Result<Digest, serde_json::Error> {
        #[derive(Serialize)]
        struct Parameters<'a> {
            rules: u32,
            engine: &'a Digest,
            app: &'a str,
            instance: &'a str,
            project: &'a str,
            namespace: &'a str,
            last_mile: Option<&'a str>,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            dependencies: Vec<(&'a Need, String)>,
            sources: Vec<&'a ApplicationSource>,
        }
        let parameters = Parameters {
            rules: RULES,
            engine,
            app: &self.app,
            instance: &self.instance,
            project: &self.project,
            namespace: &self.namespace,
            last_mile: self.last_mile.as_deref(),
            dependencies: self.dependencies.trees(),
            sources: self.sources.iter().map(|source| &source.spec).collect(),
        };
        Ok(Digest::of(&serde_json::to_vec(&parameters)?))
    }

    /// The source that has this `ref`.
    pub(crate) fn referenced(&self, name: &str) -> Option<&Source> {
        self.sources
            .iter()
            .find(|source| source.spec.reference.as_deref() == Some(name))
    }

    /// Takes over what an earlier render read, after it was found to be still the same.
    pub(crate) fn read_again(&self, inputs: &[Input], needs: &[Need]) {
        self.dependencies.ask_again(needs);
        for (index, source) in (0_u32..).zip(&self.sources) {
            source
                .tree
                .remember_all(inputs.iter().filter(|input| input.source == index));
        }
    }

    /// The coarsest inputs: whole trees.
    pub(crate) fn whole_trees(&self) -> Vec<Input> {
        (0_u32..)
            .zip(&self.sources)
            .map(|(source, of)| Input {
                source,
                path: String::new(),
                object: Some(of.tree.root()),
            })
            .collect()
    }

    /// Every answer that the render got from its trees so far, sorted by source and path.
    pub fn inputs(&self) -> Vec<Input> {
        (0_u32..)
            .zip(&self.sources)
            .flat_map(|(index, source)| source.tree.inputs(index))
            .collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::tree::ReadLimits;
    use crate::tree::tests::mk_database;

    /// All sources have the same files.
    pub(crate) fn mk_job(sources: serde_json::Value, files: &[(&str, &str)]) -> Job {
        let (database, root) = mk_database(files);
        let database = Arc::new(database);
        let specs: Vec<ApplicationSource> = serde_json::from_value(sources).unwrap();
        Job {
            app: "dome".to_owned(),
            instance: "dome".to_owned(),
            project: "default".to_owned(),
            namespace: "telescopes".to_owned(),
            last_mile: None,
            capabilities: None,
            rendering: Rendering::default(),
            dependencies: Dependencies::default(),
            sources: specs
                .into_iter()
                .map(|spec| Source {
                    spec,
                    revision: "0123456789abcdef0123456789abcdef01234567".to_owned(),
                    tree: Arc::new(
                        Tree::new(Arc::clone(&database), &root, ReadLimits::DEFAULT).unwrap(),
                    ),
                })
                .collect(),
        }
    }

    #[test]
    fn parameters_differ_with_the_source_and_the_engine_but_not_with_the_files() {
        let engine = Digest::of(b"engine");
        let source = || serde_json::json!([{"repoURL": "r", "path": "a"}]);
        let of = |job: Job, engine: &Digest| job.parameters(engine).unwrap();
        let one = of(mk_job(source(), &[("a/b", "1")]), &engine);
        assert_eq!(one, of(mk_job(source(), &[("a/b", "2")]), &engine));
        assert_ne!(one, of(mk_job(source(), &[]), &Digest::of(b"other")));
        assert_ne!(
            one,
            of(
                mk_job(serde_json::json!([{"repoURL": "r", "path": "b"}]), &[]),
                &engine
            )
        );
    }
}
