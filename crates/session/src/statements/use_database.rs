//! USE and COM_INIT_DB.

use std::sync::Arc;

use tidewater_types::SqlError;

use crate::error::unknown_database;
use crate::result::OkResult;
use crate::session::Session;

impl Session {
    pub(crate) fn run_use(&mut self, name: &str) -> Result<OkResult, SqlError> {
        let schema = self.db.schema();
        let database = schema.database(name).ok_or_else(|| unknown_database(name))?;
        self.require_database(database.name.lower())?;
        self.current_db = Some(Arc::from(database.name.as_str()));
        let collation = database.default_collation();
        self.vars.set_known("collation_database", collation.name());
        let shown = Some(database.name.as_str().to_owned());
        self.process.update(|info| info.db = shown);
        Ok(self.ok())
    }
}
