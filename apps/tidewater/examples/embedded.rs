//! A database inside a program: `cargo run --example embedded`.

use tidewater::Database;

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = Database::open_in_memory().await?;
    let mut session = database.session()?;
    session.execute("CREATE DATABASE harbour").await?;
    session.execute("USE harbour").await?;
    session.execute("CREATE TABLE ship (id INT PRIMARY KEY, name VARCHAR(20), draught DECIMAL(4,1))").await?;
    session
        .execute("INSERT INTO ship VALUES (1, 'Pelican', 3.5), (2, 'Heron', 4.2), (3, 'Gull', 2.9)")
        .await?;
    let (fields, chunks) =
        session.query("SELECT COUNT(*) AS ships, MAX(draught) AS deepest FROM ship").await?;
    for chunk in &chunks {
        for (index, field) in fields.iter().enumerate() {
            println!("{}: {:?}", field.name, chunk.datum(0, index, &field.field_type));
        }
    }
    database.close().await;
    Ok(())
}
