//! The contract as documents: a JSON Schema per message, and an `AsyncAPI` 3.0 document of who says what where.
//!
//! Both are checked in under `bus/`; `tests/documents.rs` compares them with what this module makes of the code.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::identity::{AppId, ClusterId};
use crate::message::command::Verb;
use crate::message::event::EventKind;
use crate::message::{
    Message, check, cluster, command, desired, diff, event, manifests, predecessors, project,
    render, secret, settings, state, tree, verified,
};
use crate::subject::{self, Bucket, Stream};

/// A message by the name of its schema's file.
struct Body {
    name: &'static str,
    /// `<noun>.<verb>`; none for what travels inside another message.
    kind: Option<&'static str>,
    schema: Value,
}

/// Where messages travel: a subject with its parameters in braces.
struct Channel {
    name: &'static str,
    address: String,
    /// The stream that keeps it, and how.
    kept: Option<(String, &'static str)>,
    messages: &'static [&'static str],
    publishers: &'static [&'static str],
    readers: &'static [&'static str],
}

/// Each message's JSON Schema, by name.
pub fn schemas() -> BTreeMap<&'static str, Value> {
    let named = bodies().into_iter().map(|body| (body.name, body.schema));
    named.collect()
}

/// The `AsyncAPI` document; refers to the schemas as `schema/<name>.json`.
pub fn asyncapi() -> Value {
    let places = channels();
    let mut channels = Map::new();
    let mut operations = Map::new();
    for place in &places {
        channels.insert(place.name.to_owned(), place.describe());
        for (action, does, services) in [
            ("send", "publishes", place.publishers),
            ("receive", "reads", place.readers),
        ] {
            for service in services {
                operations.insert(
                    format!("{service}-{does}-{}", place.name),
                    json!({
                        "action": action,
                        "channel": { "$ref": format!("#/channels/{}", place.name) },
                        "tags": [{ "name": service }],
                    }),
                );
            }
        }
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Towline",
            "version": "1",
            "description": "Everything that Towline's services say to each other, over NATS JetStream. Large payloads are \
                objects in the stores `snapshots` and `manifests-<cluster>`, named by their SHA-256. In a subject, a \
                dot of a Kubernetes name is an underscore.",
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages(),
            "messageTraits": { "cloudEvents": cloud_events(), "deadLetter": dead_letter() },
        },
    })
}

fn bodies() -> Vec<Body> {
    vec![
        body::<desired::Desired>("desired"),
        body::<manifests::Manifests>("manifests"),
        body::<command::Command>("command"),
        body::<event::Event>("event"),
        body::<secret::Request>("secret-request"),
        Body {
            name: "secret-question",
            kind: None,
            schema: schema::<secret::Question>(),
        },
        body::<secret::Answer>("secret-answer"),
        body::<diff::Question>("diff-question"),
        body::<diff::Answer>("diff-answer"),
        body::<check::Question>("check-question"),
        body::<check::Answer>("check-answer"),
        body::<tree::Question>("tree-question"),
        body::<tree::Answer>("tree-answer"),
        body::<state::WatcherState>("watcher-state"),
        body::<state::RendererState>("renderer-state"),
        body::<state::ApplierState>("applier-state"),
        body::<state::AgentState>("agent-state"),
        body::<cluster::ClusterInfo>("cluster"),
        body::<cluster::Head>("head"),
        body::<project::Project>("project"),
        body::<settings::Settings>("settings"),
        body::<predecessors::Predecessors>("predecessors"),
        body::<render::Render>("render"),
        body::<verified::Verified>("verified"),
    ]
}

fn body<T: Message + JsonSchema>(name: &'static str) -> Body {
    Body {
        name,
        kind: Some(T::KIND),
        schema: schema::<T>(),
    }
}

/// Draft 7, which every `AsyncAPI` tool reads.
fn schema<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    generator.into_root_schema_for::<T>().to_value()
}

fn channels() -> Vec<Channel> {
    let services = &["watcher", "renderer", "applier", "secrets-agent", "monitor"];
    let mut channels = vec![
        Channel {
            name: "desired",
            address: address(subject::desired),
            kept: Some((Stream::Desired.name().to_owned(), LAST)),
            messages: &["desired"],
            publishers: &["watcher"],
            readers: &["renderer", "applier", "secrets-agent"],
        },
        Channel {
            name: "manifests",
            address: address(subject::manifests),
            kept: Some((Stream::Manifests.name().to_owned(), LAST)),
            messages: &["manifests"],
            publishers: &["renderer"],
            readers: &["applier"],
        },
        Channel {
            name: "refresh",
            address: address(|cluster, app| subject::command(cluster, app, Verb::Refresh)),
            kept: Some((Stream::Commands.name().to_owned(), "work queue, one hour")),
            messages: &["command"],
            publishers: &["monitor"],
            readers: &["watcher"],
        },
        Channel {
            name: "command",
            address: address(|cluster, app| {
                let one = subject::command(cluster, app, Verb::Sync);
                one.replace(&format!(".{}", Verb::Sync.token()), ".{verb}")
            }),
            kept: Some((Stream::Commands.name().to_owned(), "work queue, one hour")),
            messages: &["command"],
            publishers: &["monitor"],
            readers: &["applier"],
        },
        Channel {
            name: "event",
            address: address(|cluster, app| {
                subject::events_of_application(cluster, app).replace('>', "{noun}.{verb}")
            }),
            kept: Some((Stream::Events.name().to_owned(), "30 days")),
            messages: &["event"],
            publishers: services,
            readers: &["monitor", "operator", "watcher", "applier"],
        },
        Channel {
            name: "dead",
            address: subject::dead(Stream::Desired).replace(Stream::Desired.name(), "{stream}"),
            kept: Some((Stream::Dead.name().to_owned(), "the newest 10 000")),
            messages: &["dead-desired", "dead-command"],
            publishers: &["renderer", "watcher", "applier"],
            readers: &["monitor"],
        },
        state("watcher", "watcher-state", &["watcher-state"], &["watcher"]),
        state(
            "renderer",
            "renderer-state",
            &["renderer-state"],
            &["renderer"],
        ),
        state("applier", "applier-state", &["applier-state"], &["applier"]),
        Channel {
            readers: &["applier", "monitor"],
            ..state(
                "secrets-agent",
                "agent-state",
                &["agent-state"],
                &["secrets-agent"],
            )
        },
        bucket(
            Bucket::Clusters,
            &["cluster"],
            &["applier"],
            &["watcher", "renderer"],
        ),
        bucket(Bucket::Heads, &["head"], &["applier"], &["watcher"]),
        bucket(
            Bucket::Projects,
            &["project"],
            &["watcher"],
            &["applier", "secrets-agent"],
        ),
        bucket(
            Bucket::Predecessors,
            &["predecessors"],
            &["watcher"],
            &["applier"],
        ),
        bucket(Bucket::Settings, &["settings"], &["watcher"], &["applier"]),
        bucket(Bucket::Renders, &["render"], &["renderer"], &["watcher"]),
        bucket(Bucket::Verified, &["verified"], &["watcher"], &["monitor"]),
    ];
    channels.extend(questions());
    channels
}

fn questions() -> [Channel; 4] {
    [
        asked(
            ("resolve", subject::resolve),
            &["secret-request", "secret-answer"],
            (&["applier"], &["secrets-agent"]),
        ),
        asked(
            ("diff", subject::diff),
            &["diff-question", "diff-answer"],
            (&["monitor"], &["applier"]),
        ),
        asked(
            ("check", subject::check),
            &["check-question", "check-answer"],
            (&["monitor"], &["applier"]),
        ),
        asked(
            ("tree", subject::tree),
            &["tree-question", "tree-answer"],
            (&["monitor"], &["applier"]),
        ),
    ]
}

const LAST: &str = "the last of each subject";

/// Requests and their answers, which nothing keeps.
fn asked(
    (name, subject): (&'static str, fn(&ClusterId) -> String),
    messages: &'static [&'static str],
    (publishers, readers): (&'static [&'static str], &'static [&'static str]),
) -> Channel {
    Channel {
        name,
        address: address(|cluster, _| subject(cluster)),
        kept: None,
        messages,
        publishers,
        readers,
    }
}

fn state(
    service: &'static str,
    name: &'static str,
    messages: &'static [&'static str],
    publishers: &'static [&'static str],
) -> Channel {
    Channel {
        name,
        address: address(|cluster, app| {
            Bucket::State.subject(&subject::state(service, Some(cluster), app))
        }),
        kept: Some((Bucket::State.stream(), LAST)),
        messages,
        publishers,
        readers: &["monitor"],
    }
}

fn bucket(
    bucket: Bucket,
    messages: &'static [&'static str],
    publishers: &'static [&'static str],
    readers: &'static [&'static str],
) -> Channel {
    let address = match bucket {
        Bucket::Clusters => bucket.subject("{cluster}"),
        Bucket::Projects => bucket.subject("{project}"),
        Bucket::Settings => bucket.subject(settings::Settings::KEY),
        Bucket::Verified => bucket.subject("{branch}"),
        Bucket::State | Bucket::Heads | Bucket::Renders | Bucket::Predecessors => {
            address(|cluster, app| bucket.subject(&subject::application(cluster, app)))
        }
    };
    Channel {
        name: bucket.name(),
        address,
        kept: Some((bucket.stream(), LAST)),
        messages,
        publishers,
        readers,
    }
}

/// The subject of every application at once.
fn address(subject: impl Fn(&ClusterId, &AppId) -> String) -> String {
    let parts = ClusterId::new("cluster").and_then(|cluster| {
        let app = AppId::new("namespace", "application")?;
        Ok(subject(&cluster, &app))
    });
    let braced = |token| match token {
        "cluster" | "namespace" | "application" => format!("{{{token}}}"),
        other => other.to_owned(),
    };
    let tokens: Vec<String> = parts
        .iter()
        .flat_map(|text| text.split('.').map(braced))
        .collect();
    tokens.join(".")
}

impl Channel {
    fn describe(&self) -> Value {
        let reference = |name: &&str| {
            let target = format!("#/components/messages/{name}");
            ((*name).to_owned(), json!({ "$ref": target }))
        };
        let messages: Map<String, Value> = self.messages.iter().map(reference).collect();
        let inside = self.address.split('.').filter_map(|token| {
            let name = token.strip_prefix('{')?.strip_suffix('}')?;
            Some((name.to_owned(), self.parameter(name)))
        });
        let parameters: Map<String, Value> = inside.collect();
        let mut channel = json!({
            "address": self.address,
            "messages": messages,
            "parameters": parameters,
        });
        match &self.kept {
            Some((stream, how)) => {
                channel["x-stream"] = json!(stream);
                channel["x-kept"] = json!(how);
            }
            None => channel["description"] = json!("Request and reply; kept nowhere."),
        }
        channel
    }

    fn parameter(&self, name: &str) -> Value {
        match name {
            "cluster" => {
                json!({ "description": "Id of the cluster; `_` where an application has none." })
            }
            "namespace" => json!({ "description": "Namespace of the Application object." }),
            "application" => json!({ "description": "Name of the Application object." }),
            "project" => json!({ "description": "Name of the AppProject, escaped." }),
            "branch" => json!({ "description": "Digest of repository and target revision." }),
            "stream" => json!({
                "description": "Where it could not be delivered.",
                "enum": [Stream::Desired.name(), Stream::Commands.name()],
            }),
            "verb" if self.name == "command" => json!({
                "enum": Verb::APPLIER.map(Verb::token),
            }),
            part => {
                let position = usize::from(part == "verb");
                let parts = EventKind::ALL
                    .iter()
                    .filter_map(|kind| kind.token().split('.').nth(position));
                let mut known: Vec<&str> = parts.collect();
                known.sort_unstable();
                known.dedup();
                json!({ "enum": known })
            }
        }
    }
}

fn messages() -> Map<String, Value> {
    let mut messages = Map::new();
    for body in bodies() {
        let Some(kind) = body.kind else { continue };
        let message = |traits: &[&str]| {
            let traits: Vec<Value> = traits
                .iter()
                .map(|name| json!({ "$ref": format!("#/components/messageTraits/{name}") }))
                .collect();
            json!({
                "name": format!("dev.towline.{kind}.v1"),
                "contentType": "application/json",
                "traits": traits,
                "payload": {
                    "schemaFormat": "application/schema+json;version=draft-07",
                    "schema": { "$ref": format!("schema/{}.json", body.name) },
                },
            })
        };
        // Answers travel on the inbox of who asked, as bare bodies.
        let traits: &[&str] = if body.name == "secret-answer" {
            &[]
        } else {
            &["cloudEvents"]
        };
        messages.insert(body.name.to_owned(), message(traits));
        if matches!(body.name, "desired" | "command") {
            messages.insert(
                format!("dead-{}", body.name),
                message(&["cloudEvents", "deadLetter"]),
            );
        }
    }
    messages
}

/// The headers of every published message. See [`crate::trace`] for `traceparent`.
fn cloud_events() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "headers": {
            "type": "object",
            "required": [
                "ce-specversion", "ce-id", "ce-type", "ce-source", "ce-time", "ce-datacontenttype", "traceparent"
            ],
            "properties": {
                "ce-specversion": { "const": "1.0" },
                "ce-id": { "type": "string", "format": "uuid" },
                "ce-type": { "type": "string", "pattern": "^dev\\.towline\\.[a-z]+\\.[a-z]+\\.v1$" },
                "ce-source": { "type": "string", "pattern": "^towline/" },
                "ce-subject": { "type": "string", "description": "The application, as <namespace>/<name>." },
                "ce-time": { "type": "string", "format": "date-time" },
                "ce-datacontenttype": { "const": "application/json" },
                "traceparent": { "type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$" },
                "Nats-Msg-Id": text,
                "Nats-Expected-Last-Subject-Sequence": text,
            },
        },
    })
}

fn dead_letter() -> Value {
    json!({
        "headers": {
            "type": "object",
            "required": ["towline-subject", "towline-reason"],
            "properties": {
                "towline-subject": { "type": "string", "description": "Where it was published." },
                "towline-reason": { "type": "string", "description": "Why it is never delivered again." },
            },
        },
    })
}
