//! Databases.

use serde::{Deserialize, Serialize};
use tidewater_codec::DbId;
use tidewater_types::{Charset, Collation};

use crate::{CiName, SchemaState};

/// A database (schema) as it is stored under `DB:<id>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DbInfo {
    /// Its id.
    pub id: DbId,
    /// Its name.
    #[serde(rename = "db_name")]
    pub name: CiName,
    /// Name of its default character set.
    #[serde(default)]
    pub charset: String,
    /// Name of its default collation.
    #[serde(rename = "collate", default)]
    pub collation: String,
    /// State of an online change.
    pub state: SchemaState,
    /// Whether its tables are computed, not stored (`information_schema` and the like).
    #[serde(skip)]
    pub is_virtual: bool,
}

impl DbInfo {
    /// A public database with the default character set.
    pub fn new(id: DbId, name: impl Into<CiName>) -> Self {
        let collation = Charset::Utf8mb4.default_collation();
        DbInfo {
            id,
            name: name.into(),
            charset: collation.charset().name().to_owned(),
            collation: collation.name().to_owned(),
            state: SchemaState::Public,
            is_virtual: false,
        }
    }

    /// The default collation of tables made in this database.
    pub fn default_collation(&self) -> Collation {
        Collation::from_name(&self.collation)
            .or_else(|| Charset::from_name(&self.charset).map(Charset::default_collation))
            .unwrap_or_else(|| Charset::Utf8mb4.default_collation())
    }
}
