//! LOAD DATA LOCAL: rows whose keys are there already, bad values, and the counts that are told.

use bytes::Bytes;
use tidewater_session::{OkResult, Session, StatementResult};
use tidewater_types::SqlError;

use crate::harness::{Answer, Regions, open, root, run};

/// Sends a file in two pieces.
async fn load(session: &mut Session, sql: &str, file: &str) -> Result<OkResult, SqlError> {
    let StatementResult::LocalInfile(mut infile) = session.execute(sql).await? else {
        panic!("the server asks for the file")
    };
    let (first, second) = file.split_at(file.len() / 2);
    for piece in [first, second] {
        session.infile_data(&mut infile, Bytes::copy_from_slice(piece.as_bytes())).await?;
    }
    session.infile_finish(infile).await
}

fn lines(rows: impl Iterator<Item = (u32, &'static str)>) -> String {
    rows.map(|(id, name)| format!("{id}\t{name}\n")).collect()
}

async fn table(session: &mut Session) {
    run(session, "DROP TABLE IF EXISTS t").await.unwrap();
    run(session, "CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(5), UNIQUE KEY (name, id))")
        .await
        .unwrap();
    run(session, "INSERT INTO t VALUES (7000, 'old')").await.unwrap();
}

async fn rows(session: &mut Session, sql: &str) -> Vec<Vec<String>> {
    match run(session, sql).await.unwrap() {
        Answer::Rows(rows) => rows,
        Answer::Ok(_) => panic!("no rows"),
    }
}

#[tokio::test]
async fn a_key_that_is_there_is_skipped_or_replaced() {
    let database = open(Regions::Many).await;
    let mut session = root(&database);
    // More than a batch, so that the duplicate is met after batches without one.
    let file = lines((1..=12_000).map(|id| (id, "new")));
    for (conflict, info, kept) in [
        ("", "Records: 12000  Deleted: 0  Skipped: 1  Warnings: 1", "old"),
        ("IGNORE", "Records: 12000  Deleted: 0  Skipped: 1  Warnings: 1", "old"),
        ("REPLACE", "Records: 12000  Deleted: 1  Skipped: 0  Warnings: 0", "new"),
    ] {
        table(&mut session).await;
        let sql = format!("LOAD DATA LOCAL INFILE 'f' {conflict} INTO TABLE t");
        let ok = load(&mut session, &sql, &file).await.unwrap();
        assert_eq!(ok.info, info, "{conflict}");
        assert_eq!(rows(&mut session, "SELECT COUNT(*), SUM(id) FROM t").await, [["12000", "72006000"]]);
        assert_eq!(rows(&mut session, "SELECT name FROM t WHERE id = 7000").await, [[kept]]);
        run(&mut session, "ADMIN CHECK TABLE t").await.expect("indexes agree with rows");
    }
    database.close().await;
}

#[tokio::test]
async fn warnings_of_a_batch_that_runs_again_are_told_once() {
    let database = open(Regions::One).await;
    let mut session = root(&database);
    table(&mut session).await;
    // The second line is too long for its column, the last is the first again.
    let file = "1\tone\n2\tmuch too long\n1\tagain\n";
    let ok = load(&mut session, "LOAD DATA LOCAL INFILE 'f' INTO TABLE t", file).await.unwrap();
    assert_eq!(ok.info, "Records: 3  Deleted: 0  Skipped: 1  Warnings: 2");
    let told = rows(&mut session, "SHOW WARNINGS").await;
    assert_eq!(
        told.iter().map(|row| row[1].as_str()).collect::<Vec<_>>(),
        ["1265", "1062"],
        "truncated, then the duplicate: {told:?}"
    );
    assert_eq!(
        rows(&mut session, "SELECT id, name FROM t ORDER BY id").await,
        [["1", "one"], ["2", "much "], ["7000", "old"]]
    );
    database.close().await;
}

#[tokio::test]
async fn rows_that_break_a_constraint_are_left_out() {
    let database = open(Regions::One).await;
    let mut session = root(&database);
    table(&mut session).await;
    run(&mut session, "ALTER TABLE t ADD CONSTRAINT short CHECK (id < 10) NOT ENFORCED").await.unwrap();
    run(&mut session, "DELETE FROM t").await.unwrap();
    run(&mut session, "ALTER TABLE t ALTER CONSTRAINT short ENFORCED").await.unwrap();
    let file = "1\ta\n10\tb\n2\tc\n";
    let ok = load(&mut session, "LOAD DATA LOCAL INFILE 'f' INTO TABLE t", file).await.unwrap();
    assert_eq!((ok.affected_rows, ok.warnings), (2, 1));
    assert_eq!(
        rows(&mut session, "SHOW WARNINGS").await,
        [["Warning", "3819", "Check constraint 'short' is violated."]]
    );
    assert_eq!(rows(&mut session, "SELECT id FROM t ORDER BY id").await, [["1"], ["2"]]);
    database.close().await;
}

#[tokio::test]
async fn within_a_transaction_rows_can_be_rolled_back() {
    let database = open(Regions::One).await;
    let mut session = root(&database);
    table(&mut session).await;
    run(&mut session, "BEGIN").await.unwrap();
    let file = lines([(1, "a"), (7000, "b"), (2, "c")].into_iter());
    let ok = load(&mut session, "LOAD DATA LOCAL INFILE 'f' INTO TABLE t", &file).await.unwrap();
    assert_eq!(ok.info, "Records: 3  Deleted: 0  Skipped: 1  Warnings: 1");
    assert_eq!(rows(&mut session, "SELECT COUNT(*) FROM t").await, [["3"]]);
    run(&mut session, "ROLLBACK").await.unwrap();
    assert_eq!(rows(&mut session, "SELECT id FROM t").await, [["7000"]]);
    database.close().await;
}
