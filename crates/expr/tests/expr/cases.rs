//! Golden tables: `expression => result`, one file per family in `cases/`. A result is the value's text as a client sees
//! it, followed by the numbers of the warnings; or an error's number and message. Each expression is evaluated as
//! one value and again over a chunk of three rows, which has to agree.
//!
//! `UPDATE_GOLDEN=1 cargo test -p tidewater-expr` writes the results into the files; read the difference.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use tidewater_chunk::Chunk;
use tidewater_expr::{EvalContext, Expr, ExprError, RandomSource, datum_text};
use tidewater_types::TimeZone;

use crate::notation;

fn context() -> EvalContext {
    EvalContext {
        random: RandomSource::new(1),
        time_zone: TimeZone::parse("+00:00").expect("an offset"),
        // 2024-02-29 12:34:56.789012 UTC
        ..EvalContext::new(1_709_210_096_789_012)
    }
}

fn evaluate(text: &str) -> Result<String, ExprError> {
    let ctx = context();
    let expr = notation::parse(text, &ctx)?;
    let value = expr.eval_datum(&ctx)?;
    let mut out = datum_text(&value, expr.field_type_ref());
    out = out.replace('\\', "\\\\").replace('\n', "\\n");
    if String::from_utf8_lossy(out.as_bytes()).contains('\u{0}') {
        out = out.replace('\u{0}', "\\0");
    }
    for warning in ctx.warnings.take() {
        write!(out, " !{}", warning.code).expect("writing to a string");
    }
    check_chunk(&expr, &value);
    Ok(out)
}

/// The same over a chunk: three rows with the one value.
fn check_chunk(expr: &Expr, value: &tidewater_types::Datum) {
    if !expr.is_deterministic() {
        return;
    }
    let array = expr.eval(&context(), &Chunk::rows_only(3)).expect("what went for a row goes for a chunk");
    assert_eq!(array.len(), 3);
    for row in 0..3 {
        let datum = tidewater_chunk::datum_at(array.as_ref(), row, expr.field_type_ref());
        assert_eq!(
            datum_text(&datum, expr.field_type_ref()),
            datum_text(value, expr.field_type_ref()),
            "{expr}, row {row} of a chunk"
        );
    }
}

fn check_file(path: &Path) -> usize {
    let text = fs::read_to_string(path).expect("a readable file");
    let mut new = String::new();
    let mut failures = Vec::new();
    let mut cases = 0;
    for line in text.lines() {
        if line.trim().is_empty() || line.starts_with('#') {
            writeln!(new, "{line}").expect("writing to a string");
            continue;
        }
        let (expr, expected) = line.split_once(" => ").unwrap_or((line, ""));
        let actual = match evaluate(expr) {
            Ok(value) => value,
            Err(error) => format!("ERROR {} {error}", error.code()),
        };
        cases += 1;
        if actual != expected {
            failures.push(format!("{expr}\n  expected {expected}\n  got      {actual}"));
        }
        writeln!(new, "{expr} => {actual}").expect("writing to a string");
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, new).expect("a writable file");
    } else {
        assert!(failures.is_empty(), "{}:\n{}", path.display(), failures.join("\n"));
    }
    cases
}

#[test]
fn expressions_give_their_recorded_results() {
    let directory =
        Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("tests/expr/cases");
    let mut files: Vec<_> = fs::read_dir(&directory)
        .expect("the directory of cases")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let cases: usize = files.iter().map(|path| check_file(path)).sum();
    assert!(cases > 300, "only {cases} cases were found");
}
