//! `RespectIgnoreDifferences`: what is written where the fields that don't count are left to whoever set them.

use serde_json::{Map, Value};

use super::Mask;
use crate::drift::owned::{self, Values};
use crate::drift::place::{self, Part, Place};

/// Which of the fields that don't count a write has to repeat as they are, so that they stay.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep<'a> {
    /// Those that this manager applied: a server-side apply without them would take them out.
    AppliedBy(&'a str),
    /// All: a write of the whole object.
    All,
}

/// What is to be written.
pub(crate) struct Respected {
    pub(crate) object: Value,
    /// Whether values of the live object are in it, which may have changed since it was read.
    pub(crate) repeats: bool,
}

impl Mask {
    /// `wanted` without the fields that don't count; those that `keep` says as they are in `live`.
    pub(crate) fn respect(&self, wanted: &Value, live: &Value, keep: Keep<'_>) -> Respected {
        let ignored = self.of(live);
        let fields = match keep {
            Keep::AppliedBy(manager) => owned::fields(live, manager, Values::Metadata),
            Keep::All => owned::anyones(live, Values::Metadata),
        };
        let paths: Vec<&str> = fields.iter().map(|field| field.path.as_str()).collect();
        let has_parts = |path: &str| paths.iter().any(|other| owned::is_beneath(other, path));
        let mut repeated: Vec<(Place, Value)> = paths
            .iter()
            .filter(|path| ignored.covers(path) && !has_parts(path))
            .filter_map(|path| {
                let value = place::get(live, &place::found(live, path)?)?;
                Some((place::found(wanted, path)?, value.clone()))
            })
            .collect();
        let mut left = self.places(wanted);
        let theirs = ignored.owned.iter();
        left.extend(theirs.filter_map(|path| place::found(wanted, path)));
        if !self.counts_status {
            left.push(vec![Part::Field("status".into())]);
        }
        repeated.extend(within_one_value(live, &paths, &left));

        let mut object = wanted.clone();
        // Positions in lists must stay what they are until values are put in.
        let (items, named): (Vec<Place>, Vec<Place>) = left
            .into_iter()
            .partition(|place| matches!(place.last(), Some(Part::Item(_))));
        place::remove(&mut object, named);
        let repeats = !repeated.is_empty();
        let stays = |item: &Place| repeated.iter().any(|(place, _)| place.starts_with(item));
        let items = items.iter().filter(|item| !stays(item)).cloned().collect();
        for (place, value) in &repeated {
            put(&mut object, place, value.clone());
        }
        place::remove(&mut object, items);
        Respected { object, repeats }
    }
}

/// Of the places those within a value that is written as a whole, with what is there now: leaving them out would take them out.
fn within_one_value(live: &Value, paths: &[&str], places: &[Place]) -> Vec<(Place, Value)> {
    let wholes: Vec<Place> = paths
        .iter()
        .filter_map(|path| place::found(live, path))
        .filter(|place| {
            place::get(live, place).is_some_and(|value| value.is_array() || value.is_object())
        })
        .filter(|place| !paths_go_into(live, paths, place))
        .collect();
    places
        .iter()
        .filter(|place| {
            wholes
                .iter()
                .any(|whole| place.len() > whole.len() && place.starts_with(whole))
        })
        .filter_map(|place| Some((place.clone(), place::get(live, place)?.clone())))
        .collect()
}

fn paths_go_into(live: &Value, paths: &[&str], whole: &Place) -> bool {
    paths
        .iter()
        .filter_map(|path| place::found(live, path))
        .any(|place| place.len() > whole.len() && place.starts_with(whole))
}

/// Puts a value where it belongs, with the maps around it. Into lists nothing is put that isn't there.
fn put(object: &mut Value, place: &[Part], value: Value) {
    let mut here = object;
    for part in place {
        here = match part {
            Part::Field(name) => {
                if here.is_null() {
                    *here = Value::Object(Map::new());
                }
                let Some(fields) = here.as_object_mut() else {
                    return;
                };
                fields.entry(&**name).or_insert(Value::Null)
            }
            Part::Item(at) => match here.get_mut(*at) {
                Some(item) => item,
                None => return,
            },
        };
    }
    *here = value;
}
