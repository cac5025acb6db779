//! Objects against objects, in meaning: their order and that of their keys don't count, nor how a number is written.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Enough to know how much differs; the first is what a person starts with.
const MOST: usize = 10_000;

/// Where two lists differ, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Difference {
    /// The object, as the second list has it (as the first has it if the second lacks it).
    object: String,
    /// JSON pointer in it.
    path: String,
    said: String,
}

impl Difference {
    pub(crate) fn text(&self) -> String {
        format!("{} {}: {}", self.object, self.path, self.said)
    }

    /// Whether it is at or below a place of `noise`: that place is random.
    fn is_within(&self, noise: &BTreeSet<(&str, &str)>) -> bool {
        let mut path = self.path.as_str();
        loop {
            if noise.contains(&(self.object.as_str(), path)) {
                return true;
            }
            match path.rfind('/') {
                Some(at) => path = &path[..at],
                None => return false,
            }
        }
    }
}

/// The objects that a deployment would have of these: lists unpacked, of repeated ones the last.
pub(crate) fn effective(objects: Vec<Value>) -> Vec<Value> {
    let mut flat = Vec::new();
    for object in objects {
        unpack(object, &mut flat);
    }
    let mut last = BTreeMap::new();
    for (index, object) in flat.iter().enumerate() {
        if object.pointer("/metadata/name").is_some() {
            last.insert(key(object), index);
        }
    }
    let mut index = 0;
    flat.retain(|object| {
        index += 1;
        object.pointer("/metadata/name").is_none() || last.get(&key(object)) == Some(&(index - 1))
    });
    flat
}

fn unpack(object: Value, flat: &mut Vec<Value>) {
    let is_list = object["kind"]
        .as_str()
        .is_some_and(|kind| kind.ends_with("List"));
    match object {
        Value::Object(mut list) if is_list && list.get("items").is_some_and(Value::is_array) => {
            if let Some(Value::Array(items)) = list.remove("items") {
                for item in items {
                    unpack(item, flat);
                }
            }
        }
        Value::Null => {}
        other => flat.push(other),
    }
}

/// All differences between two lists; `theirs` gives the names.
pub(crate) fn differences(ours: &[Value], theirs: &[Value]) -> Vec<Difference> {
    let mut found = Vec::new();
    let (pairs, only_ours, only_theirs) = pair(ours, theirs);
    for (our, their) in pairs {
        let mut at = Place {
            object: &key(their),
            path: String::new(),
            found: &mut found,
        };
        at.values(our, their);
    }
    let mut lone = |object: &Value, said: &str| {
        found.push(Difference {
            object: key(object),
            path: String::new(),
            said: said.to_owned(),
        });
    };
    for object in only_ours {
        lone(object, "only Towline has it");
    }
    for object in only_theirs {
        lone(object, "only the tool has it");
    }
    found
}

/// Those differences that aren't where the tool differs from itself.
pub(crate) fn beyond_noise(differences: Vec<Difference>, noise: &[Difference]) -> Vec<Difference> {
    let places = noise
        .iter()
        .map(|noise| (noise.object.as_str(), noise.path.as_str()))
        .collect();
    differences
        .into_iter()
        .filter(|difference| !difference.is_within(&places))
        .collect()
}

type Pairs<'a> = (Vec<(&'a Value, &'a Value)>, Vec<&'a Value>, Vec<&'a Value>);

/// By name; what is left, as names can be random, by kind in order where both have as many of it.
fn pair<'a>(ours: &'a [Value], theirs: &'a [Value]) -> Pairs<'a> {
    let mut by_key: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for object in ours.iter().rev() {
        by_key.entry(key(object)).or_default().push(object);
    }
    let mut pairs = Vec::new();
    let mut only_theirs: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for their in theirs {
        match by_key.get_mut(&key(their)).and_then(Vec::pop) {
            Some(our) => pairs.push((our, their)),
            None => only_theirs.entry(kind(their)).or_default().push(their),
        }
    }
    let mut only_ours: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    let paired: BTreeSet<*const Value> = pairs.iter().map(|(our, _)| &raw const **our).collect();
    for our in ours {
        if !paired.contains(&(&raw const *our)) {
            only_ours.entry(kind(our)).or_default().push(our);
        }
    }
    let kinds: Vec<String> = only_theirs.keys().cloned().collect();
    for kind in kinds {
        let count = |list: &BTreeMap<String, Vec<&Value>>| list.get(&kind).map_or(0, Vec::len);
        if count(&only_ours) == count(&only_theirs) {
            let our = only_ours.remove(&kind).unwrap_or_default();
            let their = only_theirs.remove(&kind).unwrap_or_default();
            pairs.extend(our.into_iter().zip(their));
        }
    }
    (
        pairs,
        only_ours.into_values().flatten().collect(),
        only_theirs.into_values().flatten().collect(),
    )
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn kind(object: &Value) -> String {
    let group = text(object, "/apiVersion")
        .rsplit_once('/')
        .map_or("", |(group, _)| group);
    format!("{group}/{}", text(object, "/kind"))
}

fn key(object: &Value) -> String {
    format!(
        "{}/{}/{}{}",
        kind(object),
        text(object, "/metadata/namespace"),
        text(object, "/metadata/name"),
        text(object, "/metadata/generateName"),
    )
}

/// Where a comparison is.
struct Place<'a> {
    object: &'a str,
    path: String,
    found: &'a mut Vec<Difference>,
}

impl Place<'_> {
    fn values(&mut self, our: &Value, their: &Value) {
        match (our, their) {
            (Value::Object(a), Value::Object(b)) => {
                let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                for key in keys {
                    self.below(&key.replace('~', "~0").replace('/', "~1"), |place| {
                        match (a.get(key), b.get(key)) {
                            (Some(a), Some(b)) => place.values(a, b),
                            (our, their) => place.differ(our, their),
                        }
                    });
                }
            }
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                for (index, (a, b)) in a.iter().zip(b).enumerate() {
                    self.below(&index.to_string(), |place| place.values(a, b));
                }
            }
            (a, b) if same(a, b) => {}
            (a, b) => self.differ(Some(a), Some(b)),
        }
    }

    fn below(&mut self, name: &str, then: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push('/');
        self.path.push_str(name);
        then(self);
        self.path.truncate(length);
    }

    fn differ(&mut self, our: Option<&Value>, their: Option<&Value>) {
        if self.found.len() < MOST {
            let (ours, theirs) = around(&show(our), &show(their));
            self.found.push(Difference {
                object: self.object.to_owned(),
                path: self.path.clone(),
                said: format!("Towline has {ours}, the tool {theirs}"),
            });
        }
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
            a.as_f64() == b.as_f64()
        }
        (a, b) => a == b,
    }
}

fn show(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}

/// The parts of two texts around the first letter that differs.
fn around(a: &str, b: &str) -> (String, String) {
    const BEFORE: usize = 30;
    const LENGTH: usize = 120;
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| {
        let skip = same.saturating_sub(BEFORE);
        let mut part: String = text.chars().skip(skip).take(LENGTH).collect();
        if skip > 0 {
            part.insert(0, '…');
        }
        if text.chars().count() > skip + LENGTH {
            part.push('…');
        }
        part
    };
    (part(a), part(b))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mk(name: &str, data: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data})
    }

    #[test]
    fn order_and_the_way_a_number_is_written_do_not_count() {
        let ours = [mk("b", &json!({"x": 1.0})), mk("a", &json!({}))];
        let theirs = [mk("a", &json!({})), mk("b", &json!({"x": 1}))];
        assert_eq!(differences(&ours, &theirs), []);
    }

    #[test]
    fn a_difference_names_the_object_and_the_place() {
        let found = differences(
            &[mk("a", &json!({"x": [1, 2]}))],
            &[mk("a", &json!({"x": [1, "2"]}))],
        );
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].text(),
            "/Secret//a /data/x/1: Towline has 2, the tool \"2\""
        );
    }

    #[test]
    fn what_differs_between_two_runs_of_the_tool_is_noise_and_nothing_else_is() {
        let run = |name: &str, password: &str, user: &str| {
            vec![mk(name, &json!({"p": password, "u": user}))]
        };
        let noise = differences(&run("n-1", "x", "u"), &run("n-2", "y", "u"));
        let noise_of_second = beyond_noise(
            differences(&run("n-3", "z", "u"), &run("n-2", "y", "u")),
            &noise,
        );
        assert_eq!(noise_of_second, []);
        let real = beyond_noise(
            differences(&run("n-3", "z", "v"), &run("n-2", "y", "u")),
            &noise,
        );
        assert_eq!(real.len(), 1, "{real:?}");
    }

    #[test]
    fn lists_are_unpacked_and_the_last_of_repeated_objects_counts() {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [mk("a", &json!({"x": 1})), mk("a", &json!({"x": 2}))]});
        assert_eq!(
            effective(vec![Value::Null, list]),
            [mk("a", &json!({"x": 2}))]
        );
    }
}
