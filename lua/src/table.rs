//! A table: a list from 1 on, and whatever other keys in the order in which they came.

use std::collections::HashMap;

use crate::number;
use crate::value::{Key, TableId, Value};

/// What an entry costs, in bytes.
pub(crate) const ENTRY: usize = 96;

#[derive(Default)]
pub(crate) struct Table {
    list: Vec<Value>,
    places: HashMap<Key, usize>,
    /// What was removed stays as nil, so that a walk that removes things comes to all others.
    entries: Vec<(Value, Value)>,
    pub(crate) metatable: Option<TableId>,
}

/// Where a walk has no such key to go on from.
pub(crate) struct UnknownKey;

impl Table {
    pub(crate) fn get(&self, key: &Value) -> Value {
        if let Some(place) = self.place_in_list(key) {
            return self.list[place].clone();
        }
        let place = key.as_key().and_then(|key| self.places.get(&key));
        place.map_or(Value::Nil, |place| self.entries[*place].1.clone())
    }

    pub(crate) fn get_text(&self, key: &str) -> Value {
        let place = self.places.get(&Key::Text(key.as_bytes().into()));
        place.map_or(Value::Nil, |place| self.entries[*place].1.clone())
    }

    /// Nothing happens for a key that no table has (nil, NaN).
    pub(crate) fn set(&mut self, key: Value, value: Value) {
        if let Some(place) = self.place_in_list(&key) {
            self.list[place] = value;
            while self.list.last().is_some_and(Value::is_nil) {
                self.list.pop();
            }
            return;
        }
        let Some(name) = key.as_key() else { return };
        if let Some(place) = self.places.get(&name) {
            self.entries[*place].1 = value;
            return;
        }
        if value.is_nil() {
            return;
        }
        if is_number(&key, self.list.len() + 1) {
            self.push(value);
            return;
        }
        self.places.insert(name, self.entries.len());
        self.entries.push((key, value));
    }

    /// Puts it at the end of the list.
    pub(crate) fn push(&mut self, value: Value) {
        if value.is_nil() {
            return;
        }
        self.list.push(value);
        // What was set beyond the end may be next to it now.
        while let Some(place) = self.places.get(&of_index(self.list.len() + 1)) {
            let next = std::mem::take(&mut self.entries[*place].1);
            if next.is_nil() {
                break;
            }
            self.list.push(next);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn list(&self) -> &[Value] {
        &self.list
    }

    pub(crate) fn list_mut(&mut self) -> &mut Vec<Value> {
        &mut self.list
    }

    /// The key and value after this key, none after the last, and how many places were looked at; from nil on.
    pub(crate) fn next(&self, key: &Value) -> Result<(Option<(Value, Value)>, usize), UnknownKey> {
        let mut from_entry = 0;
        let mut looked = 1;
        let from_list = match key {
            Value::Nil => Some(0),
            key => match self.place_in_list(key) {
                Some(place) => Some(place + 1),
                None => match key.as_key().and_then(|key| self.places.get(&key)) {
                    Some(place) => {
                        from_entry = place + 1;
                        None
                    }
                    // The list's end may have been cut off since.
                    None if key.as_number().is_some() => None,
                    None => return Err(UnknownKey),
                },
            },
        };
        if let Some(from) = from_list {
            for (place, value) in self.list.iter().enumerate().skip(from) {
                looked += 1;
                if !value.is_nil() {
                    let key = Value::Number(number::of_count(place + 1));
                    return Ok((Some((key, value.clone())), looked));
                }
            }
        }
        for (key, value) in &self.entries[from_entry..] {
            looked += 1;
            if !value.is_nil() {
                return Ok((Some((key.clone(), value.clone())), looked));
            }
        }
        Ok((None, looked))
    }

    fn place_in_list(&self, key: &Value) -> Option<usize> {
        let Value::Number(number) = key else {
            return None;
        };
        let index = usize::try_from(number::as_integer(*number)?).ok()?;
        (1..=self.list.len()).contains(&index).then(|| index - 1)
    }
}

fn is_number(key: &Value, number: usize) -> bool {
    matches!(key, Value::Number(is) if number::as_integer(*is).and_then(|is| usize::try_from(is).ok()) == Some(number))
}

fn of_index(index: usize) -> Key {
    Key::Number(number::of_count(index).to_bits())
}
