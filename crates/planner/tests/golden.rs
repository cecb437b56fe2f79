//! Golden plans: `tests/golden/*.test`, each a list of cases
//!
//! ```text
//! # a comment
//! plan
//! SELECT ...
//! ----
//! the expected text
//! ```
//!
//! What comes first says what is printed: `plan` (EXPLAIN), `output` (result columns), `point` (what the short cut makes
//! of it), `cached` (the plan with parameters kept), `dirty` (EXPLAIN while the transaction has written to the tables),
//! `tpch N` (query N of the fixture). An error prints its number and text. `UPDATE_GOLDEN=1` re-records all files; read the
//! difference.

mod fixture;

use std::fmt::Write;
use std::path::Path;

use fixture::Fixture;
use tidewater_codec::TableId;
use tidewater_planner::{Plan, PlanError, explain};
use tidewater_types::{Datum, FieldType};

#[test]
fn golden_plans() {
    let directory =
        Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("tests/golden");
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .expect("the directory of golden files is there")
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "test"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let record = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut failures = String::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a golden file is text");
        let renewed = renew(&text);
        if renewed != text && record {
            std::fs::write(&file, renewed).expect("a golden file can be written");
        } else if renewed != text {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for (line, (old, new)) in text.lines().zip(renewed.lines()).enumerate() {
                if old != new {
                    let _ = writeln!(failures, "{name}:{}\n  expected {old}\n  found    {new}", line + 1);
                    break;
                }
            }
            if text.lines().count() != renewed.lines().count() {
                let _ = writeln!(failures, "{name}: the number of lines differs");
            }
        }
    }
    assert!(failures.is_empty(), "plans changed (UPDATE_GOLDEN=1 records them):\n{failures}");
}

/// The file with every case's result computed again.
fn renew(text: &str) -> String {
    let mut out = String::new();
    for (number, case) in text.split("\n\n").enumerate() {
        if number > 0 {
            out.push_str("\n\n");
        }
        let (input, _) = case.split_once("\n----").unwrap_or((case, ""));
        let input = input.trim_end();
        out.push_str(input);
        let body: Vec<&str> = input.lines().filter(|line| !line.starts_with('#')).collect();
        let Some((command, sql)) = body.split_first() else {
            continue;
        };
        let result = run(command, &sql.join(" "));
        let _ = write!(out, "\n----\n{}", result.trim_end());
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn run(command: &str, sql: &str) -> String {
    let mut fixture = Fixture::new();
    match command.split_once(' ').unwrap_or((command, "")) {
        ("plan", _) => show(fixture.plan("test", sql), print_plan),
        ("output", _) => show(fixture.plan("test", sql), |plan| {
            let mut text = String::new();
            for column in &plan.output {
                let _ = writeln!(
                    text,
                    "{} = {}.{}.{} ({}) {}{}",
                    column.name,
                    column.db,
                    column.org_table,
                    column.org_name,
                    column.table,
                    column.field_type.to_sql(),
                    if column.field_type.is_not_null() { " not null" } else { "" }
                );
            }
            text
        }),
        ("point", _) => {
            let plan = fixture
                .with_context("test", |context| tidewater_planner::point_plan(&fixture::parse(sql), context));
            match plan {
                Ok(None) => "no point plan".to_owned(),
                Ok(Some(plan)) => print_plan(&plan),
                Err(error) => print_error(&error),
            }
        }
        ("cached", _) => {
            fixture.vars.keep_parameters = true;
            fixture.param_types = vec![FieldType::int(); 8];
            fixture.eval.params = vec![Datum::Int(1); 8].into();
            show(fixture.plan("test", sql), |plan| {
                format!("cacheable: {}\n{}", plan.cacheable, print_plan(plan))
            })
        }
        ("dirty", _) => {
            fixture.dirty = (100..120).map(TableId).collect();
            show(fixture.plan("test", sql), print_plan)
        }
        ("tpch", number) => {
            let number: usize = number.parse().expect("a number of a query");
            show(fixture.plan("tpch", fixture::TPCH[number - 1]), print_plan)
        }
        (other, _) => panic!("a golden case begins with {other}"),
    }
}

fn show(plan: Result<Plan, PlanError>, print: impl FnOnce(&Plan) -> String) -> String {
    match plan {
        Ok(plan) => print(&plan),
        Err(error) => print_error(&error),
    }
}

fn print_error(error: &PlanError) -> String {
    format!("error {}: {error}", error.code())
}

fn print_plan(plan: &Plan) -> String {
    let mut text = String::new();
    for row in explain(&plan.root) {
        let parts = [
            row.id,
            format!("{:.2}", row.est_rows),
            row.task.to_owned(),
            row.access_object,
            row.operator_info,
        ];
        let parts: Vec<&str> = parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect();
        let _ = writeln!(text, "{}", parts.join("  "));
    }
    text
}

/// Every query of TPC-H has a plan without a repeated subquery and without a Cartesian product of more than one row.
#[test]
fn tpch_queries_plan_well() {
    let fixture = Fixture::new();
    for (number, sql) in fixture::TPCH.iter().enumerate() {
        let plan = fixture.plan("tpch", sql).unwrap_or_else(|error| panic!("Q{}: {error}", number + 1));
        let text = print_plan(&plan);
        assert!(!text.contains("Apply"), "Q{}:\n{text}", number + 1);
        let product = text.lines().any(|line| line.ends_with("CARTESIAN inner join"));
        assert!(!product, "Q{}:\n{text}", number + 1);
    }
}
