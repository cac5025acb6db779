//! What to change in an `Application` object so that it shows what is known: a JSON Patch, or nothing. Pure.
//!
//! A JSON Patch, not a merge patch: it replaces a field of the status as a whole, so that nothing of an older value stays
//! behind in it, and its `test` guards what is removed.

use api::annotations;
use api::application::is_for_hooks;
use bus::Digest;
use serde_json::{Value, json};

use crate::declared::{Declared, RefreshRequest, Shown, escape, fingerprint, version};
use crate::status::{Fields, time};
use crate::store::Subject;

/// What the monitor remembers of its last successful look at an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The revisions that were compared then.
    pub compared: Vec<String>,
    /// Digest of the fields as they should be.
    pub wanted: u64,
    /// The last patch, if there was one.
    pub patch: Option<Patched>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patched {
    /// The object's version after it.
    pub version: Option<u64>,
    /// Unix milliseconds.
    pub at: u64,
}

/// After this time we ask again for what somebody else undid, in milliseconds.
pub const FOUGHT: u64 = 30_000;

/// The operations of a JSON Patch.
pub type Ops = Vec<Value>;

/// Whether the watch has not yet shown the object as our last patch left it: looking at it now would repeat that patch.
pub fn lags(declared: &Declared, written: Option<&Written>) -> bool {
    let after = written.and_then(|written| written.patch?.version);
    after.is_some() && after > version(&declared.resource_version)
}

/// Whether our last patch asked for the same, and the API server keeps something else: somebody else writes, or a schema drops
/// fields. Asking again at once would go on for ever.
pub fn is_fought(ops: &Ops, wanted: u64, written: Option<&Written>, now_ms: u64) -> bool {
    let asked = written.filter(|written| written.wanted == wanted);
    let lately = asked.and_then(|written| written.patch);
    !ops.is_empty() && lately.is_some_and(|patch| now_ms.saturating_sub(patch.at) < FOUGHT)
}

/// A digest of the fields as they should be.
pub fn wanted(fields: &Fields) -> u64 {
    let all = fields
        .iter()
        .map(|(name, value)| json!([name, value]))
        .collect();
    fingerprint(&Value::Array(all))
}

/// The status that should be, against the one that is shown. `reconciledAt` alone is no reason to write.
pub fn status(
    fields: &Fields,
    subject: &Subject,
    shown: &Shown,
    written: Option<&Written>,
    now_ms: u64,
) -> Ops {
    let mut ops = Ops::new();
    let mut revisions_only = None;
    for (name, value) in fields {
        let path = format!("/status/{name}");
        match (value, shown.fields.get(*name)) {
            (Some(value), Some(&known)) if fingerprint(value) == known => {}
            (Some(value), _) => {
                let op = json!({"op": "add", "path": path, "value": value});
                if *name == "sync" && only_checked(value, subject, shown, written) {
                    revisions_only = Some(op);
                } else {
                    ops.push(op);
                }
            }
            (None, Some(_)) => ops.push(json!({"op": "remove", "path": path})),
            (None, None) => {}
        }
    }
    if ops.is_empty() {
        return ops;
    }
    ops.extend(revisions_only);
    if let Some(now) = time(now_ms) {
        ops.push(json!({"op": "add", "path": "/status/reconciledAt", "value": now}));
    }
    if !shown.exists {
        ops.insert(0, json!({"op": "add", "path": "/status", "value": {}}));
    }
    ops
}

/// Whether the sync status differs only by commits that were checked and changed nothing. One commit in a repository of a
/// thousand applications must not write a thousand statuses.
fn only_checked(sync: &Value, subject: &Subject, shown: &Shown, written: Option<&Written>) -> bool {
    let mut as_shown = sync.clone();
    match (as_shown.get_mut("revisions"), shown.revisions.as_slice()) {
        (Some(revisions), shown) => *revisions = json!(shown),
        (None, [one]) => as_shown["revision"] = json!(one),
        (None, _) => return false,
    }
    let same_otherwise = shown.fields.get("sync") == Some(&fingerprint(&as_shown));
    let joined = subject.view.revisions != subject.compared;
    let compared_anew = written.is_some_and(|written| written.compared != subject.compared);
    same_otherwise && joined && !compared_anew
}

/// Takes the operation out of the object, now that it is on its way.
pub fn take_operation(operation: &Value) -> Ops {
    vec![
        json!({"op": "test", "path": "/operation", "value": operation}),
        json!({"op": "remove", "path": "/operation"}),
    ]
}

/// The id of the command that an operation becomes: the same for the same operation, however often we look at it.
pub fn request_id(declared: &Declared) -> String {
    let Declared {
        uid,
        resource_version,
        ..
    } = declared;
    let digest = Digest::of(format!("operation\n{uid}\n{resource_version}").as_bytes());
    digest.as_str()[..32].to_owned()
}

/// Takes the refresh annotation away, once the watcher carried out the one that stands there.
pub fn refresh(declared: &Declared, done: Option<&bus::message::state::Refreshed>) -> Ops {
    let (Some(asked), Some(done)) = (&declared.refresh, done) else {
        return Ops::new();
    };
    if !is_carried_out(declared, asked, done) {
        return Ops::new();
    }
    let path = |key| format!("/metadata/annotations/{}", escape(key));
    let mut ops = vec![
        json!({"op": "test", "path": path(annotations::REFRESH), "value": asked.value}),
        json!({"op": "remove", "path": path(annotations::REFRESH)}),
    ];
    if asked.stamp.is_some() {
        ops.push(json!({"op": "remove", "path": path(annotations::REFRESH_TIMESTAMP)}));
    }
    ops
}

fn is_carried_out(
    declared: &Declared,
    asked: &RefreshRequest,
    done: &bus::message::state::Refreshed,
) -> bool {
    if done.resource_version == declared.resource_version {
        return true;
    }
    match asked.seen {
        // The watcher saw this version of the annotation, or a later one of the object that still had it.
        Some(seen) => version(&done.resource_version) >= Some(seen),
        // It was there before we looked: only its time tells. It is in whole seconds, so a doubt counts as not yet.
        None => asked.set.is_some_and(|set| set + 1_000 <= done.time),
    }
}

/// Lets a deleted object go, once its clusters have carried out the deletion.
pub fn finalize(declared: &Declared, deleted: Option<&str>) -> Ops {
    let ours = |name: &String| {
        let of_objects = name
            .strip_prefix(annotations::RESOURCES_FINALIZER)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        of_objects || is_for_hooks(name)
    };
    let done = declared.deleting && deleted == Some(&declared.uid);
    if !done || !declared.finalizers.iter().any(ours) {
        return Ops::new();
    }
    let rest: Vec<_> = declared
        .finalizers
        .iter()
        .filter(|name| !ours(name))
        .collect();
    vec![
        json!({"op": "test", "path": "/metadata/finalizers", "value": declared.finalizers}),
        json!({"op": "add", "path": "/metadata/finalizers", "value": rest}),
    ]
}

#[cfg(test)]
mod tests;
