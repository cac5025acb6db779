//! Which secrets an application reads, and whether it may and they are there, for whoever asks: what it would ask its secrets-agent
//! for, object by object, told without a value.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::placeholder::SecretReference;
use bus::message::check::{Answer, Checked, Question, Report};
use bus::{AppId, Generation, subject};
use futures::FutureExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::app::Note;
use crate::context::Context;
use crate::live::Chain;
use crate::questions::{self, QuestionsError};

/// The largest answer, in bytes: what surrounds it has to fit into a message, too.
const MAX_ANSWER: usize = 700 * 1024;

/// Everything that checking needs, taken from an application in one moment.
pub(crate) struct Inquiry {
    pub(crate) app: AppId,
    /// The generation that secrets are asked for with.
    pub(crate) asking_as: Generation,
    /// The generation whose manifests these are of.
    pub(crate) generation: Generation,
    /// With the objects that each stands in.
    pub(crate) references: BTreeMap<SecretReference, BTreeSet<String>>,
    pub(crate) problems: Vec<String>,
}

/// An application's answer: what it reads, or why that can't be told.
pub(crate) type Inquired = Result<Box<Inquiry>, String>;

pub(crate) async fn run(
    ctx: Arc<Context>,
    to: mpsc::Sender<(AppId, Note)>,
    token: CancellationToken,
) -> Result<(), QuestionsError> {
    let subject = subject::check(&ctx.id);
    let bus = ctx.bus.clone();
    let answer = move |question: Question| {
        let (ctx, to) = (ctx.clone(), to.clone());
        async move {
            let manifests = question.manifests.as_deref();
            let (cluster, app) = (&question.cluster, &question.app);
            let asked = questions::of_app(&ctx, &to, cluster, app, manifests, Note::Check).await?;
            checked(&ctx, *asked).await
        }
        .boxed()
    };
    let refused = |message| Answer::Refused { message };
    questions::answer(bus, subject, token, answer, refused).await
}

async fn checked(ctx: &Context, inquiry: Inquiry) -> Result<Answer, String> {
    let Inquiry {
        app,
        asking_as,
        generation,
        references,
        mut problems,
    } = inquiry;
    let wanted: BTreeSet<SecretReference> = references.keys().cloned().collect();
    let outcome = ctx.secrets.check(&app, asking_as, &wanted).await;
    let found = outcome.map_err(|error| Chain(&error).to_string())?;
    problems.extend(found.problems);
    let references = found
        .found
        .into_iter()
        .map(|(wanted, reference, found)| Checked {
            reference,
            objects: references
                .get(&wanted)
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
            found,
        })
        .collect();
    let answer = Answer::Checked(Report {
        generation,
        references,
        problems,
    });
    match serde_json::to_vec(&answer) {
        Ok(bytes) if bytes.len() <= MAX_ANSWER => Ok(answer),
        Ok(_) => Err(format!(
            "what was found is over {} KiB: check fewer objects at once",
            MAX_ANSWER / 1024
        )),
        Err(error) => Err(error.to_string()),
    }
}
