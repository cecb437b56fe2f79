//! `LOAD DATA LOCAL INFILE`: the file comes from the client, through the server, in pieces.

use crate::load_data::Loader;

/// A load that waits for the client's file. The server asks the client for [`LocalInfile::file_name`], hands every
/// packet to [`Session::infile_data`](crate::Session::infile_data) and at the empty packet calls
/// [`Session::infile_finish`](crate::Session::infile_finish), which gives the OK. When feeding fails the server must
/// still read the client's packets to the end, and then sends the error.
pub struct LocalInfile {
    pub(crate) file_name: String,
    pub(crate) loader: Box<Loader>,
}

impl LocalInfile {
    /// The name as written in the statement.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }
}
