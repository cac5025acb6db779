//! The last step: lists unpacked, identities checked, repetitions dropped.

use std::collections::HashMap;

use serde_json::Value;

use super::{Limits, Located, Object, ObjectError};

/// The objects of an application, and which of them were written more than once.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    pub(crate) objects: Vec<Object>,
    pub(crate) repeated: Vec<Repeated>,
}

/// An object that several documents hold; the last one counts, as in Argo CD.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Repeated {
    /// `<group>/<kind>/<namespace>/<name>`, as Argo CD names it.
    pub(crate) object: String,
    /// How often it was written.
    pub(crate) times: usize,
    /// Where the last one was.
    pub(crate) last: String,
}

#[derive(PartialEq, Eq, Hash)]
struct Identity {
    group: String,
    kind: String,
    namespace: String,
    name: String,
}

pub(crate) fn finish(found: Vec<Located>, limits: Limits) -> Result<Finished, ObjectError> {
    let mut unpacked = Vec::with_capacity(found.len());
    for object in found {
        unpack(object, &mut unpacked, limits)?;
    }

    let mut places: HashMap<Identity, Vec<usize>> = HashMap::new();
    for (index, object) in unpacked.iter().enumerate() {
        if let Some(identity) = identify(object)? {
            places.entry(identity).or_default().push(index);
        }
    }
    let mut superseded = vec![false; unpacked.len()];
    let mut repeated: Vec<(usize, Repeated)> = Vec::new();
    for (identity, indexes) in places {
        let Some((last, earlier)) = indexes
            .split_last()
            .filter(|(_, earlier)| !earlier.is_empty())
        else {
            continue;
        };
        for index in earlier {
            superseded[*index] = true;
        }
        let Identity {
            group,
            kind,
            namespace,
            name,
        } = identity;
        repeated.push((
            *last,
            Repeated {
                object: format!("{group}/{kind}/{namespace}/{name}"),
                times: indexes.len(),
                last: unpacked[*last].origin.to_string(),
            },
        ));
    }
    repeated.sort_by_key(|(index, _)| *index);
    Ok(Finished {
        objects: unpacked
            .into_iter()
            .zip(superseded)
            .filter_map(|(object, superseded)| (!superseded).then_some(object.object))
            .collect(),
        repeated: repeated.into_iter().map(|(_, repeated)| repeated).collect(),
    })
}

/// A list by Kubernetes' own rule: whatever its kind, it has `items` that are an array. One with `items: null` is empty.
fn unpack(object: Located, into: &mut Vec<Located>, limits: Limits) -> Result<(), ObjectError> {
    let Located { mut object, origin } = object;
    let value = object.head_mut();
    match value.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => {
            for item in items {
                let item = super::mapping(Object::new(item), origin.clone())?;
                push(item, into, limits)?;
            }
            return Ok(());
        }
        Some(Value::Null) if value.get("spec").is_none() && value.get("status").is_none() => {
            return Ok(());
        }
        Some(other) => value["items"] = other,
        None => {}
    }
    push(Located { object, origin }, into, limits)
}

fn push(object: Located, into: &mut Vec<Located>, limits: Limits) -> Result<(), ObjectError> {
    if into.len() >= limits.objects {
        return Err(ObjectError::TooMany {
            limit: limits.objects,
        });
    }
    into.push(object);
    Ok(())
}

/// What names an object; `None` for one that the API server will name.
fn identify(object: &Located) -> Result<Option<Identity>, ObjectError> {
    let text = |path: &str| {
        object
            .object
            .head()
            .pointer(path)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let api_version = text("/apiVersion").ok_or_else(|| missing(object, "apiVersion"))?;
    let kind = text("/kind").ok_or_else(|| missing(object, "kind"))?;
    let Some(name) = text("/metadata/name") else {
        return match text("/metadata/generateName") {
            Some(_) => Ok(None),
            None => Err(missing(object, "metadata.name")),
        };
    };
    Ok(Some(Identity {
        group: api_version
            .split_once('/')
            .map_or("", |(group, _)| group)
            .to_owned(),
        kind: kind.to_owned(),
        namespace: text("/metadata/namespace").unwrap_or_default().to_owned(),
        name: name.to_owned(),
    }))
}

pub(super) fn missing(object: &Located, field: &'static str) -> ObjectError {
    let known: Vec<String> = [("kind", "/kind"), ("name", "/metadata/name")]
        .iter()
        .filter_map(|(word, path)| {
            Some(format!(
                "{word} {}",
                object.object.head().pointer(path)?.as_str()?
            ))
        })
        .collect();
    let hint = if known.is_empty() {
        String::new()
    } else {
        format!(" ({})", known.join(", "))
    };
    ObjectError::Missing {
        origin: object.origin.to_string(),
        field,
        hint,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::Origin;

    fn located(value: Value, line: usize) -> Located {
        Located {
            object: Object::new(value),
            origin: Origin {
                file: "a.yaml".to_owned(),
                line,
                rendered: false,
            },
        }
    }

    fn mk_config(name: &str, data: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": data}})
    }

    #[test]
    fn the_last_of_a_repeated_object_counts_and_is_reported() {
        let found = vec![
            located(mk_config("a", "1"), 1),
            located(mk_config("b", "1"), 2),
            located(mk_config("a", "2"), 3),
        ];
        let finished = finish(found, Limits::DEFAULT).unwrap();
        let objects: Vec<_> = finished.objects.iter().map(Object::head).collect();
        assert_eq!(objects, [&mk_config("b", "1"), &mk_config("a", "2")]);
        assert_eq!(finished.repeated.len(), 1);
        assert_eq!(finished.repeated[0].object, "/ConfigMap//a");
        assert_eq!(finished.repeated[0].last, "a.yaml:3");
    }

    #[test]
    fn lists_of_any_kind_are_unpacked_and_empty_ones_are_nothing() {
        let list = json!({"apiVersion": "v1", "kind": "ConfigMapList", "items": [mk_config("a", "1"), mk_config("b", "1")]});
        assert_eq!(
            finish(vec![located(list, 1)], Limits::DEFAULT)
                .unwrap()
                .objects
                .len(),
            2
        );
        let null = json!({"apiVersion": "v1", "kind": "ConfigMapList", "items": null});
        assert!(
            finish(vec![located(null, 1)], Limits::DEFAULT)
                .unwrap()
                .objects
                .is_empty()
        );
    }

    #[test]
    fn an_object_without_identity_is_refused_by_file_and_line() {
        let nameless = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}});
        let error = finish(vec![located(nameless, 7)], Limits::DEFAULT)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "a.yaml:7 has no metadata.name (kind ConfigMap)");
        let generated =
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "a-"}});
        let twice = vec![located(generated.clone(), 1), located(generated, 2)];
        assert_eq!(finish(twice, Limits::DEFAULT).unwrap().objects.len(), 2);
        let versionless = json!({"kind": "ConfigMap", "metadata": {"name": "a"}});
        assert!(finish(vec![located(versionless, 1)], Limits::DEFAULT).is_err());
    }

    #[test]
    fn the_number_of_objects_is_bounded() {
        let list = json!({"kind": "List", "items": vec![mk_config("a", "1"); 5]});
        let limits = Limits {
            objects: 4,
            ..Limits::DEFAULT
        };
        let error = finish(vec![located(list, 1)], limits).unwrap_err();
        assert!(matches!(error, ObjectError::TooMany { limit: 4 }));
    }
}
