//! Case-insensitive names.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

/// An identifier that keeps its spelling and compares without regard to case.
///
/// Stored as TiDB stores it: `{"O": "as written", "L": "in lower case"}`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CiName {
    /// The name as the user wrote it.
    #[serde(rename = "O")]
    original: String,
    /// The lower-case form, the one that compares.
    #[serde(rename = "L")]
    lower: String,
}

impl CiName {
    /// Makes a name from its spelling.
    pub fn new(name: impl Into<String>) -> Self {
        let original = name.into();
        let lower = original.to_lowercase();
        CiName { original, lower }
    }

    /// The spelling the user gave.
    pub fn as_str(&self) -> &str {
        &self.original
    }

    /// The lower-case form.
    pub fn lower(&self) -> &str {
        &self.lower
    }

    /// Whether `other`, in any case, is this name.
    pub fn matches(&self, other: &str) -> bool {
        self.lower == other
            || (self.lower.len() == other.len() && self.lower.eq_ignore_ascii_case(other))
            || self.lower == other.to_lowercase()
    }
}

impl<'de> Deserialize<'de> for CiName {
    /// Reads `{"O","L"}`, or a plain string; the lower form is always recomputed, so that it cannot disagree.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Stored {
            Pair {
                #[serde(rename = "O")]
                original: String,
            },
            Plain(String),
        }
        Ok(match Stored::deserialize(deserializer)? {
            Stored::Pair { original } | Stored::Plain(original) => CiName::new(original),
        })
    }
}

impl PartialEq for CiName {
    fn eq(&self, other: &Self) -> bool {
        self.lower == other.lower
    }
}

impl Eq for CiName {}

impl Hash for CiName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.lower.hash(state);
    }
}

impl PartialOrd for CiName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for CiName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.lower.cmp(&other.lower)
    }
}

/// Maps keyed by a `CiName` may be asked with the lower-case text.
impl Borrow<str> for CiName {
    fn borrow(&self) -> &str {
        &self.lower
    }
}

impl fmt::Display for CiName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.original)
    }
}

impl From<&str> for CiName {
    fn from(name: &str) -> Self {
        CiName::new(name)
    }
}

impl From<String> for CiName {
    fn from(name: String) -> Self {
        CiName::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_without_case_and_keep_their_spelling() {
        let name = CiName::new("Orders");
        assert_eq!(name, CiName::new("ORDERS"));
        assert_ne!(name, CiName::new("order"));
        assert!(name.matches("oRDERS") && !name.matches("orderz"));
        assert_eq!(name.to_string(), "Orders");
        assert_eq!(serde_json::to_string(&name).unwrap(), r#"{"O":"Orders","L":"orders"}"#);
    }

    #[test]
    fn the_lower_form_is_recomputed_on_reading() {
        let name: CiName = serde_json::from_str(r#"{"O":"Abc","L":"zzz"}"#).unwrap();
        assert_eq!(name.lower(), "abc");
        let plain: CiName = serde_json::from_str(r#""Abc""#).unwrap();
        assert_eq!(plain, name);
    }
}
