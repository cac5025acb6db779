//! Whether a window is one of an application's.

use api::project::SyncWindow;
use api::{ApplicationSpec, glob};

/// One list that names the application is enough; with `andOperator` each list that is there must.
pub(super) fn applies(window: &SyncWindow, name: &str, spec: &ApplicationSpec) -> bool {
    let destination = &spec.destination;
    let names = [Some(name)];
    let clusters = [destination.name(), destination.server()];
    let namespaces = [Some(destination.namespace())];
    let lists: Vec<bool> = [
        (window.applications.as_deref(), names.as_slice()),
        (window.clusters.as_deref(), clusters.as_slice()),
        (window.namespaces.as_deref(), namespaces.as_slice()),
    ]
    .into_iter()
    .filter_map(|(patterns, texts)| Some((patterns?, texts)))
    .filter(|(patterns, _)| !patterns.is_empty())
    .map(|(patterns, texts)| {
        let mut texts = texts.iter().flatten();
        texts.any(|text| patterns.iter().any(|pattern| is(pattern, text)))
    })
    .collect();
    if window.and_operator == Some(true) {
        !lists.is_empty() && lists.iter().all(|named| *named)
    } else {
        lists.iter().any(|named| *named)
    }
}

fn is(pattern: &str, text: &str) -> bool {
    glob::matches(pattern, text, None) == Some(true)
}
