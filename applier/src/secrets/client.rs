//! Asking the secrets-agent.

use std::collections::BTreeSet;
use std::time::Duration;

use api::placeholder::SecretReference;
use bus::message::secret::{Answer, Found, Reference, Refusal, RefusalReason, Statement};
use bus::seal::{self, AnswererPublic, AskerKey, Form, SealError, SecretValue};
use bus::{AppId, Bus, BusError, ClusterId, Generation, clock, subject};
use serde_json::value::RawValue;

use super::value::{Given, SecretText, Versions};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a check may take: a person waits for it.
const CHECKED_WITHIN: Duration = Duration::from_secs(20);

pub(crate) struct Secrets {
    bus: Bus,
    cluster: ClusterId,
    keys: Option<(AskerKey, Vec<AnswererPublic>)>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretsError {
    #[error(
        "the applier has no key to ask for secrets with: start it with --seal-key and --secrets-agent-key, or take the placeholders out"
    )]
    NoKeys,
    #[error("the version of {0} is not a number")]
    Version(SecretReference),
    #[error("asking the secrets-agent of cluster {cluster}")]
    Ask {
        cluster: ClusterId,
        source: BusError,
    },
    #[error("the secrets-agent answers something else than it was asked: is it an older one?")]
    NotAsked,
    #[error("{}", describe(.0))]
    Refused(Refusal),
    #[error(
        "something that doesn't prove to be the secrets-agent refused the request{}",
        suspicion(*.0)
    )]
    Unproven(RefusalReason),
    #[error("a request to the secrets-agent can't be made, or its answer can't be used")]
    Seal(#[from] SealError),
    #[error("the value of {0} is not UTF-8 text")]
    NotText(SecretReference),
    #[error("the answer of the secrets-agent lacks {0}")]
    Missing(SecretReference),
}

impl Secrets {
    pub(crate) fn new(
        bus: Bus,
        cluster: ClusterId,
        keys: Option<(AskerKey, Vec<AnswererPublic>)>,
    ) -> Self {
        Self { bus, cluster, keys }
    }

    /// The values of all references, in one request.
    pub(crate) async fn resolve(
        &self,
        app: &AppId,
        generation: Generation,
        wanted: &BTreeSet<SecretReference>,
    ) -> Result<Given, SecretsError> {
        let (key, agents) = self.keys.as_ref().ok_or(SecretsError::NoKeys)?;
        let pairs = wanted
            .iter()
            .map(|wanted| Ok((wanted, reference(wanted)?)))
            .collect::<Result<Vec<_>, SecretsError>>()?;
        let references: Vec<Reference> = pairs
            .iter()
            .map(|(_, reference)| reference.clone())
            .collect();
        let (request, one_time) = seal::ask(
            key,
            &self.cluster,
            app,
            generation,
            &references,
            clock::now_ms(),
        )?;
        let asked = self
            .bus
            .ask::<_, Answer>(&subject::resolve(&self.cluster), &request, TIMEOUT)
            .await;
        let sealed = match asked.map_err(|source| SecretsError::Ask {
            cluster: self.cluster.clone(),
            source,
        })? {
            Answer::Sealed(sealed) => sealed,
            Answer::Stated(stated) => match one_time.read(&stated, agents)? {
                Statement::Refused(refusal) => return Err(SecretsError::Refused(refusal)),
                Statement::Checked(_) => return Err(SecretsError::NotAsked),
            },
            Answer::Refused(refusal) => return Err(SecretsError::Unproven(refusal.reason)),
        };
        let secrets = one_time.open(&sealed, agents)?;
        let versions: Versions = pairs
            .iter()
            .filter(|(wanted, _)| wanted.version.is_none())
            .filter_map(|(wanted, reference)| {
                Some((wanted.path.clone(), secrets.version(reference)?))
            })
            .collect();
        let values = pairs
            .into_iter()
            .map(|(wanted, reference)| {
                let value = match secrets.get(&reference) {
                    Some(value) => {
                        Some(text(value).ok_or_else(|| SecretsError::NotText(wanted.clone()))?)
                    }
                    None if wanted.optional => None,
                    None => return Err(SecretsError::Missing(wanted.clone())),
                };
                Ok((wanted.clone(), value))
            })
            .collect::<Result<_, SecretsError>>()?;
        Ok(Given { values, versions })
    }
}

/// What came of a check, by reference; those that can't be asked for are problems.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) found: Vec<(SecretReference, Reference, Found)>,
    pub(crate) problems: Vec<String>,
}

impl Secrets {
    /// What is at each reference; nothing is read for whoever asks.
    pub(crate) async fn check(
        &self,
        app: &AppId,
        generation: Generation,
        wanted: &BTreeSet<SecretReference>,
    ) -> Result<Findings, SecretsError> {
        let (mut pairs, mut problems) = (Vec::new(), Vec::new());
        for wanted in wanted {
            match reference(wanted) {
                Ok(reference) => pairs.push((reference, wanted.clone())),
                Err(error) => problems.push(error.to_string()),
            }
        }
        if pairs.is_empty() {
            let found = Vec::new();
            return Ok(Findings { found, problems });
        }
        // Versions that are written differently are one reference.
        pairs.sort();
        pairs.dedup_by(|one, two| one.0 == two.0);
        let (key, agents) = self.keys.as_ref().ok_or(SecretsError::NoKeys)?;
        let references = pairs
            .iter()
            .map(|(reference, _)| reference.clone())
            .collect();
        let (request, one_time) = seal::ask_whether(
            key,
            &self.cluster,
            app,
            generation,
            references,
            clock::now_ms(),
        )?;
        let asked = self
            .bus
            .ask::<_, Answer>(&subject::resolve(&self.cluster), &request, CHECKED_WITHIN)
            .await;
        let stated = match asked.map_err(|source| SecretsError::Ask {
            cluster: self.cluster.clone(),
            source,
        })? {
            Answer::Stated(stated) => stated,
            Answer::Refused(refusal) => return Err(SecretsError::Unproven(refusal.reason)),
            Answer::Sealed(_) => return Err(SecretsError::NotAsked),
        };
        match one_time.read(&stated, agents)? {
            Statement::Checked(found) if found.len() == pairs.len() => Ok(Findings {
                found: pairs
                    .into_iter()
                    .zip(found)
                    .map(|((reference, wanted), found)| (wanted, reference, found))
                    .collect(),
                problems,
            }),
            Statement::Refused(refusal) => Err(SecretsError::Refused(refusal)),
            Statement::Checked(_) => Err(SecretsError::NotAsked),
        }
    }
}

fn text(value: &SecretValue) -> Option<SecretText> {
    let text = std::str::from_utf8(value.expose()).ok()?;
    match value.form() {
        Form::Text => Some(SecretText::text(text)),
        Form::Json => {
            let json: &RawValue = serde_json::from_str(text).ok()?;
            SecretText::of_json(json.get())
        }
    }
}

pub(super) fn reference(wanted: &SecretReference) -> Result<Reference, SecretsError> {
    let version = wanted.version.as_deref().map(str::parse).transpose();
    Ok(Reference {
        path: wanted.path.clone(),
        key: wanted.key.clone(),
        optional: wanted.optional,
        form: wanted.form,
        version: version.map_err(|_| SecretsError::Version(wanted.clone()))?,
    })
}

/// What may be behind a refusal that anybody on the bus could have made. Its own words aren't passed on.
fn suspicion(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::Signature => {
            ", as not signed by its applier: does the secrets-agent's --applier-key fit the applier's --seal-key?"
        }
        RefusalReason::Malformed => {
            ", as unreadable: are applier and secrets-agent of one version?"
        }
        RefusalReason::Replayed
        | RefusalReason::NotDesired
        | RefusalReason::Forbidden
        | RefusalReason::NotFound
        | RefusalReason::Unavailable => ": is the secrets-agent an older one?",
    }
}

fn describe(refusal: &Refusal) -> String {
    let names: Vec<String> = refusal.references.iter().map(ToString::to_string).collect();
    if names.is_empty() {
        format!("the secrets-agent refused: {}", refusal.message)
    } else {
        format!(
            "the secrets-agent refused {}: {}",
            names.join(", "),
            refusal.message
        )
    }
}
