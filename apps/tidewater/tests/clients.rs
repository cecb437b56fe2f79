//! A real client library over a real socket.

use mysql_async::prelude::Queryable;
use mysql_async::{Error, Params, TxOpts, Value};

use crate::server_process::ServerProcess;

fn code(error: &Error) -> u16 {
    match error {
        Error::Server(error) => error.code,
        other => panic!("not an error of the server: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn create_load_query_and_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = ServerProcess::start(folder.path());
    let mut conn = server.connect().await;
    conn.query_drop("CREATE DATABASE shop; USE shop; CREATE TABLE item (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) NOT NULL, price DECIMAL(10,2), made DATETIME, UNIQUE KEY (name))")
        .await
        .expect("three statements in one text");
    conn.exec_drop(
        "INSERT INTO item (name, price, made) VALUES (?, ?, ?)",
        ("anchor", "12.50", "2024-02-29 12:00:00"),
    )
    .await
    .expect("an insert with bound values");
    assert_eq!(conn.last_insert_id(), Some(1));
    let rows: Vec<(i32, String, String)> =
        conn.exec("SELECT id, name, price FROM item WHERE id = ?", (1,)).await.expect("a prepared select");
    assert_eq!(rows, [(1, "anchor".to_owned(), "12.50".to_owned())]);
    let made: Option<Value> =
        conn.exec_first("SELECT made FROM item WHERE id = ?", (1,)).await.expect("a date");
    assert_eq!(made, Some(Value::Date(2024, 2, 29, 12, 0, 0, 0)));

    let duplicate =
        conn.query_drop("INSERT INTO item (name) VALUES ('anchor')").await.expect_err("a duplicate key");
    assert_eq!(code(&duplicate), 1062);
    assert_eq!(code(&conn.query_drop("SELEC 1").await.expect_err("no SQL")), 1064);
    assert_eq!(code(&conn.query_drop("SELECT * FROM nowhere").await.expect_err("no table")), 1146);
    assert_eq!(code(&conn.query_drop("SELECT nothing FROM item").await.expect_err("no column")), 1054);
    assert_eq!(code(&conn.query_drop("USE nowhere").await.expect_err("no database")), 1049);

    let mut txn = conn.start_transaction(TxOpts::default()).await.expect("a transaction");
    txn.query_drop("INSERT INTO item (name) VALUES ('buoy')").await.expect("an insert");
    txn.rollback().await.expect("a rollback");
    let count: Option<u64> = conn.query_first("SELECT COUNT(*) FROM item").await.expect("a count");
    assert_eq!(count, Some(1));
    drop(conn);

    assert!(server.stop(), "SIGTERM ends the server well");
    let server = ServerProcess::start(folder.path());
    let mut conn = server.connect().await;
    let names: Vec<String> = conn.query("SELECT name FROM shop.item").await.expect("the data is still there");
    assert_eq!(names, ["anchor"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_all_types_come_back_in_both_protocols() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = ServerProcess::start(folder.path());
    let mut conn = server.connect().await;
    conn.query_drop("CREATE DATABASE t; USE t; CREATE TABLE v (a TINYINT, b SMALLINT UNSIGNED, c MEDIUMINT, d INT, e BIGINT UNSIGNED, f FLOAT, g DOUBLE, h DECIMAL(30,5), i DATE, j DATETIME(6), k TIME(3), l YEAR, m CHAR(5), n VARBINARY(5), o TEXT, p BIT(10), q ENUM('x','y'), r SET('u','v','w'))")
        .await
        .expect("a table of all types");
    conn.query_drop("INSERT INTO v VALUES (-128, 65535, -8388608, 2147483647, 18446744073709551615, 1.5, -2.25e100, '-1234567890123456789012345.12345', '0001-01-01', '9999-12-31 23:59:59.999999', '-838:59:59.000', 2155, 'äöü', x'00ff', 'text', b'1000000001', 'y', 'u,w')")
        .await
        .expect("the extreme values");
    let text: Vec<Option<String>> = {
        let row: mysql_async::Row = conn
            .query_first("SELECT a, b, c, d, e, f, g, h, i, j, k, l, m, HEX(n), o, p + 0, q, r FROM v")
            .await
            .expect("a row")
            .expect("one row");
        row.unwrap().into_iter().map(mysql_async::from_value).collect()
    };
    let text: Vec<&str> = text.iter().map(|value| value.as_deref().unwrap_or("NULL")).collect();
    assert_eq!(
        text,
        [
            "-128",
            "65535",
            "-8388608",
            "2147483647",
            "18446744073709551615",
            "1.5",
            "-2.25e100",
            "-1234567890123456789012345.12345",
            "0001-01-01",
            "9999-12-31 23:59:59.999999",
            "-838:59:59.000",
            "2155",
            "äöü",
            "00FF",
            "text",
            "513",
            "y",
            "u,w",
        ]
    );
    let binary: mysql_async::Row = conn
        .exec_first("SELECT a, b, d, e, g, i, j, k, n FROM v", Params::Empty)
        .await
        .expect("a row")
        .expect("one row");
    assert_eq!(
        binary.unwrap(),
        [
            Value::Int(-128),
            Value::Int(65535),
            Value::Int(2147483647),
            Value::UInt(18446744073709551615),
            Value::Double(-2.25e100),
            Value::Date(1, 1, 1, 0, 0, 0, 0),
            Value::Date(9999, 12, 31, 23, 59, 59, 999_999),
            Value::Time(true, 34, 22, 59, 59, 0),
            Value::Bytes(vec![0, 255]),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_connection_keeps_its_database_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = ServerProcess::start(folder.path());
    let mut conn = server.connect().await;
    conn.query_drop("CREATE DATABASE kept; USE kept; SET @a = 5, SESSION sql_mode = ''; BEGIN")
        .await
        .expect("a session's state");
    assert!(conn.reset().await.expect("COM_RESET_CONNECTION"), "the driver resets without a new login");
    let state: Option<(String, Option<i64>, bool)> =
        conn.query_first("SELECT DATABASE(), @a, @@sql_mode = ''").await.expect("the state");
    assert_eq!(state, Some(("kept".to_owned(), None, false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_values_and_long_expressions_come_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = ServerProcess::start(folder.path());
    let mut conn = server.connect().await;
    conn.query_drop("CREATE DATABASE big; USE big; CREATE TABLE t (id INT PRIMARY KEY, b LONGBLOB)")
        .await
        .expect("a table");
    let value: Vec<u8> = (0..18 << 20).map(|n: u32| (n % 251) as u8).collect();
    conn.exec_drop("INSERT INTO t VALUES (1, ?)", (&value,)).await.expect("a row beyond 16 MiB");
    let stored: Option<Vec<u8>> = conn.query_first("SELECT b FROM t").await.expect("the row");
    assert!(stored.as_ref() == Some(&value), "the row came back changed");
    let text = format!("SELECT LENGTH('{}')", "x".repeat(1000));
    let result = conn.query_iter(text).await.expect("an expression of a thousand letters");
    assert_eq!(result.columns_ref()[0].name_str().len(), 256);
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_within_statements_fit_the_stack() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = ServerProcess::start(folder.path());
    let mut conn = server.connect().await;
    // These write the tables of accounts with statements of their own.
    conn.query_drop(
        "CREATE USER deep; GRANT ALL ON deep.* TO deep; REVOKE SELECT ON deep.* FROM deep; DROP USER deep",
    )
    .await
    .expect("an account's life");
}
