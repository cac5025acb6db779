//! Where something is in one object.

use serde_json::Value;

/// From the object's root inwards. The first parts may be there and the rest not.
pub(super) type Place = Vec<Part>;

/// One step inwards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Field(Box<str>),
    /// By position in a list.
    Item(usize),
}

impl Part {
    pub(super) fn of<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        match self {
            Self::Field(name) => value.get(&**name),
            Self::Item(at) => value.get(*at),
        }
    }

    fn of_mut<'v>(&self, value: &'v mut Value) -> Option<&'v mut Value> {
        match self {
            Self::Field(name) => value.get_mut(&**name),
            Self::Item(at) => value.get_mut(*at),
        }
    }
}

/// What is there.
pub(super) fn get<'v>(object: &'v Value, place: &[Part]) -> Option<&'v Value> {
    place.iter().try_fold(object, |value, part| part.of(value))
}

pub(super) fn get_mut<'v>(object: &'v mut Value, place: &[Part]) -> Option<&'v mut Value> {
    place
        .iter()
        .try_fold(object, |value, part| part.of_mut(value))
}

/// Takes out what is at the places, whichever of them are there.
pub(super) fn remove(object: &mut Value, mut places: Vec<Place>) {
    // From the end of a list to its beginning, so that positions stay what they are.
    places.sort_unstable();
    places.dedup();
    for place in places.iter().rev() {
        let Some((last, parents)) = place.split_last() else {
            continue;
        };
        match (get_mut(object, parents), last) {
            (Some(Value::Object(fields)), Part::Field(name)) => _ = fields.remove(&**name),
            (Some(Value::Array(items)), Part::Item(at)) if *at < items.len() => {
                items.remove(*at);
            }
            _ => {}
        }
    }
}

/// The place that a JSON pointer names. A number is a position where the object has a list.
pub(super) fn pointed(object: &Value, pointer: &[Box<str>]) -> Option<Place> {
    let mut place = Place::new();
    let mut here = Some(object);
    for token in pointer {
        let part = match here {
            Some(Value::Array(_)) => Part::Item(token.parse().ok()?),
            _ => Part::Field(token.clone()),
        };
        here = here.and_then(|value| part.of(value));
        place.push(part);
    }
    Some(place)
}

/// The tokens of a JSON pointer; none if it isn't one, or names the object as a whole.
pub(super) fn pointer(text: &str) -> Option<Vec<Box<str>>> {
    let tokens = text.strip_prefix('/')?.split('/');
    Some(
        tokens
            .map(|token| token.replace("~1", "/").replace("~0", "~").into())
            .collect(),
    )
}

/// Where the field that a path such as `spec.containers[name="app"].image` names is in the object: as far as that can be told,
/// which is up to a list item that isn't there.
pub(super) fn named(object: &Value, path: &str) -> Place {
    follow(object, path).0
}

/// As [`named`]; none where it can't be told to its end.
pub(super) fn found(object: &Value, path: &str) -> Option<Place> {
    let (place, rest) = follow(object, path);
    rest.is_empty().then_some(place)
}

/// The place, and what of the path couldn't be followed.
fn follow<'p>(object: &Value, path: &'p str) -> (Place, &'p str) {
    let mut place = Place::new();
    let mut here = Some(object);
    let mut rest = path;
    while let Some((step, after)) = step(rest) {
        let part = match step {
            Step::Field(name) => Part::Field(name.into()),
            Step::Item(is) => {
                let items = here.and_then(Value::as_array);
                match items.and_then(|items| items.iter().position(|item| is.is(item))) {
                    Some(at) => Part::Item(at),
                    None => break,
                }
            }
            Step::Position(at) => Part::Item(at),
        };
        here = here.and_then(|value| part.of(value));
        place.push(part);
        rest = after;
    }
    (place, rest)
}

/// One step of a path, as `owned` writes them.
enum Step {
    Field(String),
    Item(Is),
    Position(usize),
}

/// Which item of a list.
enum Is {
    /// That has these values in these fields.
    With(Vec<(String, Value)>),
    /// This value itself.
    Value(Value),
}

impl Is {
    fn is(&self, item: &Value) -> bool {
        match self {
            Self::With(keys) => keys.iter().all(|(key, value)| item.get(key) == Some(value)),
            Self::Value(value) => item == value,
        }
    }
}

/// The first step, and what follows it.
fn step(path: &str) -> Option<(Step, &str)> {
    let path = path.strip_prefix('.').unwrap_or(path);
    let Some(inner) = path.strip_prefix('[') else {
        let end = path.find(['.', '[']).unwrap_or(path.len());
        let (name, rest) = path.split_at(end);
        return (!name.is_empty()).then(|| (Step::Field(name.to_owned()), rest));
    };
    if inner.starts_with('"') {
        let (name, rest) = value(inner)?;
        let name = name.as_str()?.to_owned();
        return Some((Step::Field(name), rest.strip_prefix(']')?));
    }
    if let Some(member) = inner.strip_prefix('=') {
        let (member, rest) = value(member)?;
        return Some((Step::Item(Is::Value(member)), rest.strip_prefix(']')?));
    }
    if inner.starts_with(|first: char| first.is_ascii_digit()) {
        let (at, rest) = inner.split_once(']')?;
        return Some((Step::Position(at.parse().ok()?), rest));
    }
    let mut keys = Vec::new();
    let mut rest = inner;
    loop {
        let (key, after) = rest.split_once('=')?;
        let (is, after) = value(after)?;
        keys.push((key.to_owned(), is));
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Some((Step::Item(Is::With(keys)), after.strip_prefix(']')?)),
        }
    }
}

/// The JSON value that a text begins with, and what follows it.
fn value(text: &str) -> Option<(Value, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next()?.ok()?;
    Some((value, text.get(values.byte_offset()..)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object() -> Value {
        json!({
            "metadata": {"labels": {"a.b/c": "1"}, "finalizers": ["x", "y"]},
            "spec": {"ports": [{"port": 80, "protocol": "TCP"}, {"port": 80, "protocol": "UDP"}], "args": ["a", "b"]},
        })
    }

    fn text(place: &[Part]) -> String {
        place
            .iter()
            .map(|part| match part {
                Part::Field(name) => format!("/{name}"),
                Part::Item(at) => format!("/{at}"),
            })
            .collect()
    }

    #[test]
    fn a_path_is_found_in_the_object() {
        for (path, place) in [
            ("spec.replicas", "/spec/replicas"),
            ("metadata.labels[\"a.b/c\"]", "/metadata/labels/a.b/c"),
            ("metadata.finalizers[=\"y\"]", "/metadata/finalizers/1"),
            (
                "spec.ports[port=80,protocol=\"UDP\"].name",
                "/spec/ports/1/name",
            ),
            ("spec.args[1]", "/spec/args/1"),
            ("spec.ports[port=81,protocol=\"UDP\"].name", "/spec/ports"),
        ] {
            assert_eq!(text(&named(&object(), path)), place, "{path}");
        }
    }

    #[test]
    fn a_pointer_names_a_position_where_there_is_a_list() {
        let at = |text: &str| pointed(&object(), &pointer(text).unwrap());
        assert_eq!(
            text(&at("/metadata/labels/a.b~1c").unwrap()),
            "/metadata/labels/a.b/c"
        );
        assert_eq!(at("/spec/args/1").unwrap()[2], Part::Item(1));
        assert_eq!(at("/spec/args/-"), None);
        assert_eq!(text(&at("/spec/0/x").unwrap()), "/spec/0/x");
        assert_eq!(pointer("spec"), None);
    }

    #[test]
    fn several_items_of_a_list_are_taken_out_at_once() {
        let mut object = json!({"list": [0, 1, 2, 3], "a": {"b": 1}});
        let item = |at| vec![Part::Field("list".into()), Part::Item(at)];
        let field = |name: &str| vec![Part::Field("a".into()), Part::Field(name.into())];
        remove(
            &mut object,
            vec![item(0), item(2), item(9), field("b"), field("none")],
        );
        assert_eq!(object, json!({"list": [1, 3], "a": {}}));
    }
}
