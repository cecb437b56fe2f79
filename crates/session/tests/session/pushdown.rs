//! What goes to stores that are any TiKV.

use tidewater_session::{AnswerEncoding, PushdownTarget, StoreProtocol};

use crate::harness::{Answer, Regions, open_with, root, run};

/// The lines of EXPLAIN that run on the store.
async fn on_store(target: PushdownTarget, sql: &str) -> String {
    let protocol = StoreProtocol { target, answers: AnswerEncoding::Chunk };
    let database = open_with(Regions::One, protocol, None).await;
    let mut session = root(&database);
    let create = "CREATE TABLE t (a INT PRIMARY KEY, b VARCHAR(20), c DECIMAL(10, 2), d DATETIME, \
                  e ENUM('x', 'y'), f DOUBLE)";
    run(&mut session, create).await.expect("creates");
    let Answer::Rows(rows) = run(&mut session, &format!("EXPLAIN {sql}")).await.expect("explains") else {
        panic!("EXPLAIN gives rows");
    };
    database.close().await;
    let lines = rows.iter().filter(|row| row[2].starts_with("cop"));
    lines
        .map(|row| format!("{} {}", row[0].trim_start_matches(['│', '├', '└', '─', ' ']), row[4]))
        .collect::<Vec<_>>()
        .join("\n")
}

/// (statement, what the store does for us, whether any TiKV does it).
const CASES: &[(&str, &str, bool)] = &[
    ("SELECT * FROM t WHERE c > 5 AND b LIKE 'x%'", "Selection", true),
    ("SELECT * FROM t WHERE YEAR(d) = 2020 OR f IS NOT NULL", "Selection", true),
    ("SELECT * FROM t WHERE f IN (1, 2, 3) AND b IN ('x', NULL)", "Selection", true),
    ("SELECT * FROM t WHERE CASE WHEN f > 1 THEN b ELSE 'n' END = 'x'", "Selection", true),
    ("SELECT COUNT(*), SUM(c), AVG(f), MAX(d) FROM t GROUP BY b", "Agg", true),
    ("SELECT * FROM t ORDER BY c * 2 LIMIT 3", "TopN", true),
    ("SELECT * FROM t WHERE b REGEXP 'x.*'", "Selection", false),
    ("SELECT * FROM t WHERE e = 'x'", "Selection", false),
    ("SELECT VAR_POP(f) FROM t", "Agg", false),
    ("SELECT COUNT(*) FROM t GROUP BY e", "Agg", false),
    ("SELECT * FROM t ORDER BY e LIMIT 3", "TopN", false),
];

#[tokio::test]
async fn any_tikv_does_what_has_a_number() {
    for (sql, step, is_public) in CASES {
        let own = on_store(PushdownTarget::Tidewater, sql).await;
        assert!(own.contains(step), "{sql}\n{own}");
        let public = on_store(PushdownTarget::Tikv, sql).await;
        assert_eq!(public.contains(step), *is_public, "{sql}\n{public}");
    }
}
