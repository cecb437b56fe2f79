//! A whole cluster in one process: store, placement driver and SQL layer on the memory engine.
//!
//! ```text
//! cargo run -p tidewater-session --example hello
//! ```

use tidewater_types::SqlError;

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/session/harness.rs"]
mod harness;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), SqlError> {
    let database = harness::open(harness::Regions::One).await;
    let mut session = harness::root(&database);
    for sql in [
        "CREATE TABLE fruit (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) UNIQUE, price DECIMAL(6,2))",
        "INSERT INTO fruit (name, price) VALUES ('apple', 1.20), ('pear', 1.50), ('plum', 0.80)",
        "UPDATE fruit SET price = price * 2 WHERE name = 'plum'",
        "SELECT name, price FROM fruit WHERE price > 1.3 ORDER BY price",
    ] {
        println!("> {sql}");
        match harness::run(&mut session, sql).await? {
            harness::Answer::Ok(affected) => println!("  {affected} rows affected"),
            harness::Answer::Rows(rows) => rows.iter().for_each(|row| println!("  {}", row.join("  "))),
        }
    }
    session.close().await;
    database.close().await;
    Ok(())
}
