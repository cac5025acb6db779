//! Each object as it is and as a release would make it.

use std::collections::BTreeSet;

use bus::message::diff::{Answer, Difference};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use rand::Rng;
use serde_json::Value;
use zeroize::Zeroizing;

use super::mask::mask;
use super::{Comparison, Rules, answer, essence};
use crate::context::Context;
use crate::execute::{resolve_kind, would_be};
use crate::live::Chain;
use crate::object::{Key, Manifest};
use crate::secrets::{Cleared, Resolved, body};

/// Objects looked at at once: releases go before.
const AT_ONCE: usize = 8;

/// Tells values apart within one answer, and to nobody what they are.
struct Masks<'a> {
    ctx: &'a Context,
    salt: [u8; 16],
}

impl Masks<'_> {
    fn digest(&self, key: &Key, text: &str) -> String {
        let mut whole = Zeroizing::new(Vec::with_capacity(64 + text.len()));
        whole.extend_from_slice(&self.salt);
        whole.extend_from_slice(key.path().as_bytes());
        whole.extend_from_slice(text.as_bytes());
        self.ctx.digest_key.digest(&whole).chars().take(8).collect()
    }
}

pub(crate) async fn differences(ctx: &Context, comparison: &Comparison) -> Result<Answer, String> {
    let resolved = resolve(ctx, comparison).await?;
    let mut salt = [0; 16];
    rand::rng().fill_bytes(&mut salt);
    let masks = Masks { ctx, salt };
    let wanted = comparison.wanted.iter().map(|(at, rules)| {
        let manifest = &comparison.target.manifests[*at];
        one(ctx, comparison, manifest, rules, &resolved, &masks).boxed()
    });
    let leaving = comparison.leaving.iter();
    let leaving =
        leaving.map(|(key, version, rules)| gone(ctx, key, version, rules, &masks).boxed());
    let looks: Vec<BoxFuture<'_, Option<(Key, Difference)>>> = wanted.chain(leaving).collect();
    let looked = stream::iter(looks).buffer_unordered(AT_ONCE);
    let found = looked.filter_map(std::future::ready).collect().await;
    let generation = comparison.target.generation;
    Ok(Answer::Compared(answer::bounded(generation, found)))
}

async fn resolve(ctx: &Context, comparison: &Comparison) -> Result<Resolved, String> {
    let mut references = BTreeSet::new();
    for (at, _) in &comparison.wanted {
        let manifest = &comparison.target.manifests[*at];
        if manifest.has_references() {
            body::references(
                &manifest.body.value(),
                manifest.filled.as_deref(),
                &mut references,
            )
            .map_err(|error| format!("{}: {error}", manifest.key))?;
        }
    }
    if references.is_empty() {
        return Ok(Resolved::new());
    }
    let resolved = ctx
        .secrets
        .resolve(&comparison.app, comparison.asking_as, &references)
        .await;
    resolved
        .map(|given| given.values)
        .map_err(|error| Chain(&error).to_string())
}

/// The object, if it differs or can't be compared.
async fn one(
    ctx: &Context,
    comparison: &Comparison,
    manifest: &Manifest,
    rules: &Rules,
    resolved: &Resolved,
    masks: &Masks<'_>,
) -> Option<(Key, Difference)> {
    let key = &manifest.key;
    let mut difference = answer::difference(key, &manifest.version);
    let compared = would_be(ctx, &comparison.writer, manifest, resolved, &rules.mask).await;
    let (live, target) = match compared {
        Ok((live, target)) => (live, target),
        Err(error) => {
            difference.error = Some(error.describe());
            return Some((key.clone(), difference));
        }
    };
    let counted = |object: Cleared| Cleared::new(essence(rules.mask.without(&object)));
    let (live, mut target) = (live.map(counted), counted(target));
    if let Some(live) = &live {
        rules.mask.align(live, &mut target);
    }
    if live.as_deref() == Some(&*target) {
        return None;
    }
    difference.live = live.map(|live| shown(live, key, rules, masks));
    difference.target = Some(shown(target, key, rules, masks));
    Some((key.clone(), difference))
}

/// An object that would be pruned, as it is.
async fn gone(
    ctx: &Context,
    key: &Key,
    version: &str,
    rules: &Rules,
    masks: &Masks<'_>,
) -> Option<(Key, Difference)> {
    let kind = resolve_kind(ctx, key, Some(version))?;
    let mut difference = answer::difference(key, version);
    match ctx.cluster.get_whole(&kind, key).await {
        Ok(None) => return None,
        Ok(Some(live)) => {
            let live = Cleared::new(live);
            let live = Cleared::new(essence(rules.mask.without(&live)));
            difference.live = Some(shown(live, key, rules, masks));
        }
        Err(error) => difference.error = Some(error.describe(true)),
    }
    Some((key.clone(), difference))
}

/// With masks for all that is secret.
fn shown(mut object: Cleared, key: &Key, rules: &Rules, masks: &Masks<'_>) -> Value {
    mask(&mut object, &rules.masking, &|text| masks.digest(key, text));
    object.clone()
}
