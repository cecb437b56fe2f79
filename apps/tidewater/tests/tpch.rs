//! Eleven TPC-H queries on generated data against answers of MariaDB 10.11, kept in `tests/tpch/answers`.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row, Value};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};

use crate::server_process::ServerProcess;

const QUERIES: [u32; 11] = [1, 3, 4, 5, 6, 10, 12, 13, 14, 18, 19];

/// The scale; the slow suite sets `TIDEWATER_TPCH_SCALE=0.1`.
fn scale() -> String {
    std::env::var("TIDEWATER_TPCH_SCALE").unwrap_or_else(|_| "0.01".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_equal_those_of_another_engine() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = ServerProcess::start(&folder.path().join("data"));
    let scale = scale();
    let queries =
        Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("tests/tpch");
    let mut conn = connect_with_files(&server, folder.path()).await;
    conn.query_drop("CREATE DATABASE tpch").await.expect("a database");
    conn.query_drop("USE tpch").await.expect("the database is there");
    let schema = std::fs::read_to_string(queries.join("schema.sql")).expect("the schema");
    conn.query_drop(schema).await.expect("the tables are made");
    load(&mut conn, folder.path(), scale.parse().expect("a scale")).await;

    let mut wrong = Vec::new();
    for query in QUERIES {
        let text = std::fs::read_to_string(queries.join(format!("q{query}.sql"))).expect("the query");
        let answers = queries.join(format!("answers/scale_{scale}/q{query}.tsv"));
        let expected = std::fs::read_to_string(answers).expect("the expected answer");
        let rows: Vec<Row> = match conn.query(text).await {
            Ok(rows) => rows,
            Err(error) => {
                wrong.push(format!("query {query}: {error}"));
                continue;
            }
        };
        let answer: String = rows.into_iter().map(|row| line(row) + "\n").collect();
        if answer != expected {
            wrong.push(format!("query {query}:\n{answer}-- expected:\n{expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn line(row: Row) -> String {
    let text = |value: Value| match value {
        Value::NULL => "NULL".to_owned(),
        Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        other => panic!("{other:?} in a text row"),
    };
    row.unwrap().into_iter().map(text).collect::<Vec<_>>().join("\t")
}

async fn connect_with_files(server: &ServerProcess, folder: &Path) -> Conn {
    let names = ["region", "nation", "part", "supplier", "partsupp", "customer", "orders", "lineitem"];
    let files: Vec<_> = names.iter().map(|name| folder.join(format!("{name}.tbl"))).collect();
    let options = OptsBuilder::from_opts(server.options())
        .local_infile_handler(Some(mysql_async::WhiteListFsHandler::new(files)));
    Conn::new(options).await.expect("the server accepts root")
}

async fn load(conn: &mut Conn, folder: &Path, scale: f64) {
    write(folder, "region", RegionGenerator::new(scale, 1, 1).iter());
    write(folder, "nation", NationGenerator::new(scale, 1, 1).iter());
    write(folder, "part", PartGenerator::new(scale, 1, 1).iter());
    write(folder, "supplier", SupplierGenerator::new(scale, 1, 1).iter());
    write(folder, "partsupp", PartSuppGenerator::new(scale, 1, 1).iter());
    write(folder, "customer", CustomerGenerator::new(scale, 1, 1).iter());
    write(folder, "orders", OrderGenerator::new(scale, 1, 1).iter());
    write(folder, "lineitem", LineItemGenerator::new(scale, 1, 1).iter());
    for table in ["region", "nation", "part", "supplier", "partsupp", "customer", "orders", "lineitem"] {
        let file = folder.join(format!("{table}.tbl"));
        let load = format!(
            "LOAD DATA LOCAL INFILE '{}' INTO TABLE {table} FIELDS TERMINATED BY '|'",
            file.display()
        );
        conn.query_drop(load).await.unwrap_or_else(|error| panic!("{table}: {error}"));
    }
}

fn write(folder: &Path, table: &str, rows: impl Iterator<Item = impl Display>) {
    let file = std::fs::File::create(folder.join(format!("{table}.tbl"))).expect("a file");
    let mut out = std::io::BufWriter::new(file);
    rows.for_each(|row| writeln!(out, "{row}").expect("the file takes a row"));
    out.flush().expect("the file takes the rest");
}
