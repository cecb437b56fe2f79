//! CHECK constraints.

use serde::{Deserialize, Serialize};

use crate::{CiName, SchemaState};

/// A CHECK constraint: no row may make its condition false.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckInfo {
    /// Its name.
    #[serde(rename = "constraint_name")]
    pub name: CiName,
    /// The columns it reads.
    #[serde(rename = "constraint_cols", default)]
    pub columns: Vec<CiName>,
    /// Whether writers must obey it.
    pub enforced: bool,
    /// The condition as SQL text.
    #[serde(rename = "expr_string")]
    pub expr: String,
    /// State of an online change: writers obey before stored rows are looked at, so that none slips in between.
    pub state: SchemaState,
}

impl CheckInfo {
    /// The name of the `number`th constraint that its statement gives none.
    pub fn generated_name(table: &str, number: u64) -> CiName {
        CiName::new(format!("{table}_chk_{number}"))
    }

    /// The number of a name that [`generated_name`](Self::generated_name) made.
    pub fn generated_number(&self, table: &str) -> Option<u64> {
        self.name.lower().strip_prefix(&table.to_lowercase())?.strip_prefix("_chk_")?.parse().ok()
    }

    /// Whether a writer must see to it.
    pub fn is_enforced(&self) -> bool {
        self.enforced && self.state.is_writable()
    }
}
