//! SQL clients while members of the placement driver are killed: they are told nothing, and wait a little.

use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::cluster_process::ClusterProcess;

const MEMBERS: usize = 3;
const ROUNDS: u64 = 4;

/// Asks all members who leads; `None` if nobody can tell.
async fn leader(cluster: &ClusterProcess) -> Option<usize> {
    for index in 0..MEMBERS {
        let Ok(mut stream) = TcpStream::connect(cluster.pd_address_of(index)).await else { continue };
        let request = "GET /pd/api/v1/leader HTTP/1.1\r\nHost: pd\r\nConnection: close\r\n\r\n";
        let mut answer = String::new();
        if stream.write_all(request.as_bytes()).await.is_err()
            || stream.read_to_string(&mut answer).await.is_err()
        {
            continue;
        }
        if let Some(found) = (0..MEMBERS).find(|index| answer.contains(&format!("\"name\":\"pd-{index}\""))) {
            return Some(found);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_goes_on_when_the_leading_placement_driver_is_killed() {
    let mut cluster = ClusterProcess::start_with(1, MEMBERS);
    let mut conn = Conn::new(cluster.options()).await.expect("the server accepts root");
    conn.query_drop("CREATE DATABASE pd_kill").await.expect("a database");
    conn.query_drop("CREATE TABLE pd_kill.t (id BIGINT PRIMARY KEY)").await.expect("a table");
    let mut rows = 0u64;
    for round in 0..ROUNDS {
        let victim = leader(&cluster).await.expect("somebody leads");
        cluster.pds[victim].kill();
        let killed = Instant::now();
        let mut slowest = Duration::ZERO;
        while killed.elapsed() < Duration::from_secs(3) {
            let asked = Instant::now();
            conn.exec_drop("INSERT INTO pd_kill.t VALUES (?)", (rows,)).await.expect("an insert");
            rows += 1;
            slowest = slowest.max(asked.elapsed());
        }
        eprintln!("round {round}: pd-{victim} was killed, the slowest statement took {slowest:?}");
        assert!(slowest < Duration::from_secs(10), "{slowest:?}");
        cluster.pds[victim].restart();
    }
    let found: Option<u64> = conn.query_first("SELECT COUNT(*) FROM pd_kill.t").await.expect("a count");
    assert_eq!(found, Some(rows));
}
