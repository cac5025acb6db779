//! What a release would change, for whoever asks: by the server's own dry run, object by object, secrets masked.
//!
//! The application says what is to be compared, and comparing goes on beside it. `compare` asks the server, `mask` hides what is secret, `answer` keeps within what a message holds.

mod answer;
mod compare;
mod mask;

use std::sync::Arc;

use bus::message::diff::{Answer, Question};
use bus::{AppId, Generation, subject};
use futures::FutureExt;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) use self::compare::differences;
pub(crate) use self::mask::Masking;
use crate::app::{Note, Target};
use crate::cluster::Cluster;
use crate::context::Context;
use crate::drift::Mask;
use crate::object::Key;
use crate::questions::{self, QuestionsError};

/// Everything that comparing needs, taken from an application in one moment.
pub(crate) struct Comparison {
    pub(crate) app: AppId,
    /// The generation that secrets are asked for with.
    pub(crate) asking_as: Generation,
    /// Writes in the application's name, if only for a dry run.
    pub(crate) writer: Cluster,
    pub(crate) target: Arc<Target>,
    /// Those of the target's manifests that may differ, by position.
    pub(crate) wanted: Vec<(usize, Rules)>,
    /// Objects that would be pruned, with the version of their kind.
    pub(crate) leaving: Vec<(Key, Box<str>, Rules)>,
}

/// What of an object doesn't count, and what isn't shown.
pub(crate) struct Rules {
    pub(crate) mask: Mask,
    pub(crate) masking: Masking,
}

/// An application's answer: what is to be compared, or why nothing can be.
pub(crate) type Prepared = Result<Box<Comparison>, String>;

pub(crate) async fn run(
    ctx: Arc<Context>,
    to: mpsc::Sender<(AppId, Note)>,
    token: CancellationToken,
) -> Result<(), QuestionsError> {
    let subject = subject::diff(&ctx.id);
    let bus = ctx.bus.clone();
    let answer = move |question: Question| {
        let (ctx, to) = (ctx.clone(), to.clone());
        async move {
            let manifests = question.manifests.as_deref();
            let (cluster, app) = (&question.cluster, &question.app);
            let asked = questions::of_app(&ctx, &to, cluster, app, manifests, Note::Diff).await?;
            compare::differences(&ctx, &asked).await
        }
        .boxed()
    };
    let refused = |message| Answer::Refused { message };
    questions::answer(bus, subject, token, answer, refused).await
}

/// An object without what every write changes, the marks that are only ours, and copies of itself.
fn essence(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in [
            "managedFields",
            "resourceVersion",
            "generation",
            "uid",
            "selfLink",
            "creationTimestamp",
        ] {
            metadata.remove(field);
        }
        for (map, of_ours) in [
            ("labels", api::annotations::APPLICATION),
            // kubectl's copy of the whole manifest.
            (
                "annotations",
                "kubectl.kubernetes.io/last-applied-configuration",
            ),
        ] {
            if let Some(entries) = metadata.get_mut(map).and_then(Value::as_object_mut) {
                entries.remove(of_ours);
                if entries.is_empty() {
                    metadata.remove(map);
                }
            }
        }
    }
    object
}
