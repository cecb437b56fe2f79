//! Runs every `.slt` file, with tables in one region and in many.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};
use tidewater_session::{AnswerEncoding, Database, PushdownTarget, ResultCache, Session, StoreProtocol};
use tidewater_types::SqlError;

use crate::harness::{Answer, Regions, open_with, root, run};

struct Client(Session);

/// An error as the files expect it: `1062 Duplicate entry ..`.
#[derive(Debug, thiserror::Error)]
#[error("{} {}", .0.code, .0.message)]
struct Failure(SqlError);

#[async_trait]
impl AsyncDB for Client {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failure> {
        match run(&mut self.0, sql).await.map_err(Failure)? {
            Answer::Ok(affected) => Ok(DBOutput::StatementComplete(affected)),
            Answer::Rows(rows) => {
                let width = rows.first().map_or(0, Vec::len);
                Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; width], rows })
            }
        }
    }

    async fn shutdown(&mut self) {}
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("tests/slt");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder of SQL files")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "slt"))
        .collect();
    files.sort();
    files
}

/// `TIDEWATER_SLT=name` runs only files whose name holds it.
fn wanted(path: &Path) -> bool {
    let filter = std::env::var("TIDEWATER_SLT").unwrap_or_default();
    path.file_stem().is_some_and(|stem| stem.to_string_lossy().contains(&filter))
}

/// Which answers of the store are kept.
#[derive(Clone, Copy)]
enum Keep {
    /// Those that took their time.
    Usual,
    /// All that may be.
    All,
}

/// Runs all files, each on a database of its own; tells how many answers were given again.
fn check_all(regions: Regions, protocol: StoreProtocol, keep: Keep) -> u64 {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    match regions {
        Regions::Faulty => runtime.enable_time().start_paused(true),
        _ => runtime.enable_all(),
    };
    let runtime = runtime.build().expect("a runtime");
    let (mut failed, mut hits) = (Vec::new(), 0);
    for file in files().into_iter().filter(|file| wanted(file)) {
        let cache = match keep {
            Keep::Usual => None,
            Keep::All => Some(Arc::new(ResultCache::keeping_from(Duration::ZERO))),
        };
        let result = runtime.block_on(async {
            let database: Arc<Database> = open_with(regions, protocol, cache.clone()).await;
            let connect = Arc::clone(&database);
            let mut runner = Runner::new(move || {
                let session = root(&connect);
                async move { Ok(Client(session)) }
            });
            let result = runner.run_file_async(&file).await;
            database.close().await;
            result
        });
        hits += cache.map_or(0, |cache| cache.hits());
        if let Err(error) = result {
            failed.push(format!("{}\n{error}", file.display()));
        }
    }
    assert!(
        failed.is_empty(),
        "{} files failed with {regions:?} region(s), {protocol:?}:\n{}",
        failed.len(),
        failed.join("\n\n")
    );
    hits
}

#[test]
fn sql_files_give_the_same_answers_in_one_region() {
    check_all(Regions::One, StoreProtocol::default(), Keep::Usual);
}

#[test]
fn sql_files_give_the_same_answers_in_many_regions() {
    check_all(Regions::Many, StoreProtocol::default(), Keep::Usual);
}

#[test]
fn sql_files_give_the_same_answers_when_the_store_is_any_tikv() {
    let protocol = StoreProtocol { target: PushdownTarget::Tikv, answers: AnswerEncoding::Chunk };
    check_all(Regions::Many, protocol, Keep::Usual);
}

#[test]
fn sql_files_give_the_same_answers_row_by_row() {
    let protocol = StoreProtocol { target: PushdownTarget::Tikv, answers: AnswerEncoding::Datums };
    check_all(Regions::One, protocol, Keep::Usual);
}

#[test]
fn sql_files_give_the_same_answers_when_all_of_them_are_kept() {
    assert!(check_all(Regions::One, StoreProtocol::default(), Keep::All) > 0);
}

#[test]
fn sql_files_give_the_same_answers_over_a_bad_network() {
    check_all(Regions::Faulty, StoreProtocol::default(), Keep::Usual);
}

#[test]
fn sql_files_give_the_same_answers_from_three_stores_by_grpc() {
    check_all(Regions::Remote, StoreProtocol::default(), Keep::Usual);
}
