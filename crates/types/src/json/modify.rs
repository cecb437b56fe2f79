//! Changing documents: JSON_SET and its kin, JSON_REMOVE, JSON_ARRAY_APPEND, JSON_ARRAY_INSERT, the two merges.

use super::path::{ArrayIndex, JsonPath, PathLeg};
use super::{JsonError, JsonValue};

/// Which places a change may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModifyMode {
    /// JSON_SET: existing and new ones.
    Set,
    /// JSON_INSERT: new ones only.
    Insert,
    /// JSON_REPLACE: existing ones only.
    Replace,
}

impl JsonValue {
    /// JSON_SET, JSON_INSERT, JSON_REPLACE: puts a value at a path. Only the last step of the path may lead to something new.
    pub fn modify(&mut self, path: &JsonPath, value: Self, mode: ModifyMode) -> Result<(), JsonError> {
        let legs = single(path)?;
        let Some((last, parents)) = legs.split_last() else {
            if mode != ModifyMode::Insert {
                *self = value;
            }
            return Ok(());
        };
        let Some(parent) = self.descend(parents) else { return Ok(()) };
        match (last, parent) {
            (PathLeg::Key(key), Self::Object(members)) => match members.get_mut(key) {
                Some(place) if mode != ModifyMode::Insert => *place = value,
                None if mode != ModifyMode::Replace => drop(members.insert(key.clone(), value)),
                _ => {}
            },
            (PathLeg::Index(index), Self::Array(elements)) => match index.position(elements.len()) {
                Some(position) if mode != ModifyMode::Insert => elements[position] = value,
                None if mode != ModifyMode::Replace => match index {
                    ArrayIndex::FromStart(_) => elements.push(value),
                    ArrayIndex::FromEnd(_) => elements.insert(0, value),
                },
                _ => {}
            },
            // What is no array counts as an array of itself.
            (PathLeg::Index(index), scalar) => match index.position(1) {
                Some(_) if mode != ModifyMode::Insert => *scalar = value,
                None if mode != ModifyMode::Replace => {
                    let old = std::mem::replace(scalar, Self::Null);
                    *scalar = Self::Array(match index {
                        ArrayIndex::FromStart(_) => vec![old, value],
                        ArrayIndex::FromEnd(_) => vec![value, old],
                    });
                }
                _ => {}
            },
            _ => {}
        }
        self.check_depth()
    }

    /// JSON_REMOVE: takes away what is at a path, if there is anything.
    pub fn remove(&mut self, path: &JsonPath) -> Result<(), JsonError> {
        let (last, parents) = single(path)?.split_last().ok_or(JsonError::RootPath)?;
        match (last, self.descend(parents)) {
            (PathLeg::Key(key), Some(Self::Object(members))) => {
                members.remove(key);
            }
            (PathLeg::Index(index), Some(Self::Array(elements))) => {
                if let Some(position) = index.position(elements.len()) {
                    elements.remove(position);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// JSON_ARRAY_APPEND: appends to the array at a path; what is no array becomes one.
    pub fn array_append(&mut self, path: &JsonPath, value: Self) -> Result<(), JsonError> {
        if let Some(place) = self.descend(single(path)?) {
            place.wrap().push(value);
        }
        self.check_depth()
    }

    /// JSON_ARRAY_INSERT: inserts before the element at a path (at the end if there is none).
    pub fn array_insert(&mut self, path: &JsonPath, value: Self) -> Result<(), JsonError> {
        let Some((PathLeg::Index(index), parents)) = single(path)?.split_last() else {
            return Err(JsonError::NotArrayCell);
        };
        if let Some(Self::Array(elements)) = self.descend(parents) {
            let position = match index {
                ArrayIndex::FromStart(position) => (*position).min(elements.len()),
                ArrayIndex::FromEnd(distance) => elements.len().saturating_sub(1).saturating_sub(*distance),
            };
            elements.insert(position, value);
        }
        self.check_depth()
    }

    /// JSON_MERGE_PRESERVE: objects merge by key, everything else becomes one array.
    pub fn merge_preserve(self, other: Self) -> Self {
        match (self, other) {
            (Self::Object(mut members), Self::Object(others)) => {
                for (key, value) in others {
                    let merged = match members.remove(&key) {
                        Some(old) => old.merge_preserve(value),
                        None => value,
                    };
                    members.insert(key, merged);
                }
                Self::Object(members)
            }
            (mut first, mut second) => {
                let mut elements = std::mem::take(first.wrap());
                elements.append(second.wrap());
                Self::Array(elements)
            }
        }
    }

    /// JSON_MERGE_PATCH (RFC 7396): members of the patch replace, `null` removes.
    pub fn merge_patch(self, patch: Self) -> Self {
        let Self::Object(changes) = patch else { return patch };
        let mut members = match self {
            Self::Object(members) => members,
            _ => Default::default(),
        };
        for (key, change) in changes {
            if change == Self::Null {
                members.remove(&key);
                continue;
            }
            let old = members.remove(&key).unwrap_or(Self::Null);
            members.insert(key, old.merge_patch(change));
        }
        Self::Object(members)
    }

    /// The place that steps without wildcards lead to.
    fn descend(&mut self, legs: &[PathLeg]) -> Option<&mut Self> {
        legs.iter().try_fold(self, |value, leg| match (leg, value) {
            (PathLeg::Key(key), Self::Object(members)) => members.get_mut(key),
            (PathLeg::Index(index), Self::Array(elements)) => {
                let position = index.position(elements.len())?;
                elements.get_mut(position)
            }
            (PathLeg::Index(index), scalar) => index.position(1).map(|_| scalar),
            _ => None,
        })
    }

    /// The elements of an array; what is none becomes one first.
    fn wrap(&mut self) -> &mut Vec<Self> {
        if !matches!(self, Self::Array(_)) {
            let scalar = std::mem::replace(self, Self::Null);
            *self = Self::Array(vec![scalar]);
        }
        match self {
            Self::Array(elements) => elements,
            _ => unreachable!("it was made an array above"),
        }
    }

    fn check_depth(&self) -> Result<(), JsonError> {
        if self.depth() > super::JSON_DEPTH_MAX { Err(JsonError::TooDeep) } else { Ok(()) }
    }
}

fn single(path: &JsonPath) -> Result<&[PathLeg], JsonError> {
    if path.is_wildcard() { Err(JsonError::WildcardPath) } else { Ok(path.legs()) }
}
