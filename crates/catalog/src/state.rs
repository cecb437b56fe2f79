//! The online schema-change states (F1, "Online, Asynchronous Schema Change in F1", VLDB 2013).

use serde::{Deserialize, Serialize};

/// How far a schema object has come on its way between absent and public.
///
/// Two neighbouring states may be in use by different nodes at the same time without harm; states two steps apart
/// may not, which is why a job makes one step per schema version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum SchemaState {
    /// The object does not exist.
    #[default]
    None,
    /// Deletes maintain it; inserts and updates do not write it; reads do not see it.
    DeleteOnly,
    /// Every write maintains it; reads do not see it.
    WriteOnly,
    /// As `WriteOnly`, while existing rows are backfilled.
    WriteReorg,
    /// As `DeleteOnly`, while existing data is removed.
    DeleteReorg,
    /// Seen by everybody.
    Public,
}

impl SchemaState {
    /// Whether queries may use the object.
    pub fn is_public(self) -> bool {
        self == SchemaState::Public
    }

    /// Whether inserts and updates must write the object.
    pub fn is_writable(self) -> bool {
        matches!(self, SchemaState::WriteOnly | SchemaState::WriteReorg | SchemaState::Public)
    }

    /// Whether deletes must remove the object's entries.
    pub fn is_deletable(self) -> bool {
        self != SchemaState::None
    }

    /// The words `ADMIN SHOW DDL JOBS` prints.
    pub fn name(self) -> &'static str {
        match self {
            SchemaState::None => "none",
            SchemaState::DeleteOnly => "delete only",
            SchemaState::WriteOnly => "write only",
            SchemaState::WriteReorg => "write reorganization",
            SchemaState::DeleteReorg => "delete reorganization",
            SchemaState::Public => "public",
        }
    }
}

impl From<SchemaState> for u8 {
    fn from(state: SchemaState) -> u8 {
        match state {
            SchemaState::None => 0,
            SchemaState::DeleteOnly => 1,
            SchemaState::WriteOnly => 2,
            SchemaState::WriteReorg => 3,
            SchemaState::DeleteReorg => 4,
            SchemaState::Public => 5,
        }
    }
}

impl TryFrom<u8> for SchemaState {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        Ok(match number {
            0 => SchemaState::None,
            1 => SchemaState::DeleteOnly,
            2 => SchemaState::WriteOnly,
            3 => SchemaState::WriteReorg,
            4 => SchemaState::DeleteReorg,
            5 => SchemaState::Public,
            other => return Err(format!("schema state {other} is unknown")),
        })
    }
}
