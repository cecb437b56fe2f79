//! `LOAD DATA`.

use tidewater_parser::ast::LoadData;
use tidewater_types::SqlError;

use crate::result::{OkResult, StatementResult};
use crate::session::Session;

/// Parses the file's bytes and writes rows.
pub(crate) struct Loader {}

impl Session {
    pub(crate) async fn run_load_data(&mut self, load: &LoadData) -> Result<StatementResult, SqlError> {
        let _ = load;
        Err(crate::error::unsupported("LOAD DATA"))
    }

    pub(crate) async fn load_feed(&mut self, loader: &mut Loader, data: &[u8]) -> Result<(), SqlError> {
        let _ = (loader, data);
        Ok(())
    }

    pub(crate) async fn load_finish(&mut self, loader: Loader) -> Result<OkResult, SqlError> {
        let _ = loader;
        Ok(self.ok())
    }
}
