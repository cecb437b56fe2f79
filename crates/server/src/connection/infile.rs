//! `LOAD DATA LOCAL INFILE`: the client sends its file in packets, an empty one ends it.

use bytes::Bytes;
use tidewater_session::LocalInfile;
use tidewater_types::SqlError;

use super::{Connection, attended, results};
use crate::error::ConnectionError;
use crate::packets;

impl Connection {
    /// Fetches the file and feeds it to the load; `false` when that failed, which the client has been told then.
    pub(super) async fn load_infile(
        &mut self,
        mut infile: LocalInfile,
        more: bool,
    ) -> Result<bool, ConnectionError> {
        packets::local_infile(&mut self.payload, infile.file_name());
        self.stream.queue(&self.payload)?;
        self.stream.flush().await?;
        let mut fault: Option<SqlError> = None;
        loop {
            let data = self.stream.read_owned().await?;
            if data.is_empty() {
                break;
            }
            // After a fault the rest is still read: the client does not listen before it has sent everything.
            if fault.is_none() {
                fault = self.session.infile_data(&mut infile, Bytes::from(data)).await.err();
            }
        }
        let result = match fault {
            Some(error) => Err(error),
            None => {
                let process = self.session.process().clone();
                attended(&mut self.stream, &process, self.session.infile_finish(infile)).await
            }
        };
        match result {
            Ok(mut ok) => {
                results::set_more(&mut ok.status, more);
                self.send_ok(&ok)?;
                Ok(true)
            }
            Err(error) => {
                self.send_error(&error)?;
                Ok(false)
            }
        }
    }
}
