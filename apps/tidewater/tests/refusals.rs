//! Starts that must fail: with a word that says why, an exit code, and the data as it was.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use mysql_async::prelude::Queryable;

use crate::server_process::ServerProcess;

/// Runs a server that cannot start; what it said on its way out.
fn refused(data: &Path, port: u16) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tidewater"))
        .args(["serve", "--status-port", "0", "--log", "error", "--port", &port.to_string(), "--data"])
        .arg(data)
        .output()
        .expect("the built program runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "it should have ended with an error:\n{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn files_with(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is readable");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

/// The files that hold data; lists of them and diaries are written anew at each start.
fn tables(kv: &Path) -> BTreeSet<PathBuf> {
    files_with(kv, ".sst").into_iter().collect()
}

/// A data directory with a table in a table file, not only in the log.
async fn make_data(folder: &Path) {
    for _ in 0..2 {
        let mut server = ServerProcess::start(folder);
        let mut conn = server.connect().await;
        conn.query_drop("CREATE DATABASE IF NOT EXISTS kept").await.expect("a database");
        drop(conn);
        assert!(server.stop(), "SIGTERM ends the server well");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_data_is_refused_with_the_reason_and_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    make_data(folder.path()).await;
    let kv = folder.path().join("kv");
    let mut cases = vec![kv.join("CURRENT"), folder.path().join("pd/pd.log")];
    cases.extend(files_with(&kv, ".sst").pop());
    assert_eq!(cases.len(), 3, "there is a table file to damage");
    for damaged in cases {
        let sound = std::fs::read(&damaged).expect("the file is readable");
        std::fs::write(&damaged, b"not what was here\n").expect("the file is writable");
        let before = tables(&kv);
        let said = refused(folder.path(), 0);
        assert!(said.contains("was left as it is"), "{said}");
        assert!(before.is_subset(&tables(&kv)), "files are gone after {}", damaged.display());
        std::fs::write(&damaged, sound).expect("the file is writable");
    }
    let server = ServerProcess::start(folder.path());
    let mut conn = server.connect().await;
    conn.query_drop("USE kept").await.expect("the repaired data is all there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_and_taken_data_are_named() {
    let (folder, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let server = ServerProcess::start(folder.path());
    let said = refused(other.path(), server.port);
    let address = format!("cannot listen on 127.0.0.1:{}: Address already in use", server.port);
    assert_eq!(said.matches(&address).count(), 1, "{said}");
    assert_eq!(said.matches("Address already in use").count(), 1, "{said}");
    let said = refused(folder.path(), 0);
    assert!(said.contains("LOCK"), "{said}");
}
