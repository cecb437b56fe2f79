//! LOCK TABLES and UNLOCK TABLES: accepted, because dumps contain them; nobody is kept out.

use tidewater_parser::ast::LockTables;
use tidewater_types::SqlError;

use crate::result::OkResult;
use crate::session::Session;

impl Session {
    pub(crate) fn run_lock_tables(&mut self, lock: &LockTables) -> Result<OkResult, SqlError> {
        let schema = self.db.schema();
        for table in &lock.tables {
            self.known_table(&schema, &table.table)?;
        }
        Ok(self.ok())
    }

    pub(crate) async fn run_unlock_tables(&mut self) -> Result<OkResult, SqlError> {
        Ok(self.ok())
    }
}
