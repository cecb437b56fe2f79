//! Tidewater in one process: SQL layer, transactional store and placement driver wired by function calls.
//!
//! This is the embedding library behind the `tidewater` program, and the top floor of the house: it wires crates and
//! holds no logic of its own.
//!
//! ```
//! # #[tokio::main(flavor = "multi_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let database = tidewater::Database::open_in_memory().await?;
//! let mut session = database.session()?;
//! session.execute("CREATE DATABASE shop").await?;
//! session.execute("CREATE TABLE shop.item (id INT PRIMARY KEY, name VARCHAR(20))").await?;
//! session.execute("INSERT INTO shop.item VALUES (1, 'anchor'), (2, 'buoy')").await?;
//! let (fields, chunks) = session.query("SELECT name FROM shop.item ORDER BY id").await?;
//! assert_eq!(fields[0].name, "name");
//! assert_eq!(chunks.iter().map(|chunk| chunk.num_rows()).sum::<usize>(), 2);
//! database.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Invariants
//! * **A database on disk is opened by one process at a time**; a second one is refused.
//! * **The data directory is never deleted or rewritten because it cannot be read**: opening fails with the reason.

mod direct;
mod open;

pub use open::{Database, KeyValueStore, OpenError, OpenOptions};
pub use tidewater_session::{OkResult, RecordSet, ResultField, Session, StatementResult};
