//! `cargo xtask metrics`: size, function lengths, test share and documentation share of a code base.

use std::path::PathBuf;

use clap::Args;

use crate::command;
use crate::sources::{self, Source};

/// Which tree to measure.
#[derive(Args)]
pub struct Options {
    /// Root of the code base.
    #[arg(default_value_os_t = command::workspace_root())]
    root: PathBuf,
    /// How many of the longest files and functions to list.
    #[arg(long, default_value_t = 8)]
    longest: usize,
}

/// A function body and how many lines it takes.
struct Function {
    place: String,
    lines: usize,
}

#[derive(Default)]
struct Totals {
    files: usize,
    code: usize,
    comment: usize,
    docs: usize,
    test: usize,
    tests: usize,
}

/// Prints the table.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let sources = sources::rust_files(&options.root);
    let mut totals = Totals::default();
    let mut functions = Vec::new();
    let mut sizes: Vec<(usize, String)> = Vec::new();
    for source in &sources {
        measure(source, &mut totals);
        functions.extend(functions_of(source));
        sizes.push((source.text.lines().count(), source.path.display().to_string()));
    }
    sizes.sort_by(|a, b| b.cmp(a));
    functions.sort_by(|a, b| b.lines.cmp(&a.lines).then_with(|| a.place.cmp(&b.place)));

    let shipped = totals.code + totals.comment + totals.docs;
    println!("files                        {:>9}", totals.files);
    println!("lines that ship, not blank   {shipped:>9}");
    println!("  of these documentation     {:>9}  {:>5.1} %", totals.docs, share(totals.docs, shipped));
    println!("  of these other comments    {:>9}  {:>5.1} %", totals.comment, share(totals.comment, shipped));
    println!(
        "lines of tests, not blank    {:>9}  {:>5.1} % of all",
        totals.test,
        share(totals.test, totals.test + shipped)
    );
    println!("test functions               {:>9}", totals.tests);
    println!("files over 1,000 lines       {:>9}", sizes.iter().filter(|(lines, _)| *lines > 1000).count());
    println!("functions that ship          {:>9}", functions.len());
    for percent in [50, 90, 95, 99] {
        println!("  length at {percent} of 100        {:>9}", percentile(&functions, percent));
    }
    println!("longest files");
    for (lines, path) in sizes.iter().take(options.longest) {
        println!("  {lines:>6}  {path}");
    }
    println!("longest functions");
    for function in functions.iter().take(options.longest) {
        println!("  {:>6}  {}", function.lines, function.place);
    }
    Ok(())
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

/// `functions` is sorted from long to short.
fn percentile(functions: &[Function], percent: usize) -> usize {
    if functions.is_empty() {
        return 0;
    }
    let from_the_short_end = (functions.len() * percent / 100).min(functions.len() - 1);
    functions[functions.len() - 1 - from_the_short_end].lines
}

fn measure(source: &Source, totals: &mut Totals) {
    totals.files += 1;
    let first_test_line = source.first_test_line();
    for (number, line) in source.text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            totals.tests += 1;
        }
        if number >= first_test_line {
            totals.test += 1;
        } else if line.starts_with("///") || line.starts_with("//!") {
            totals.docs += 1;
        } else if line.starts_with("//") {
            totals.comment += 1;
        } else {
            totals.code += 1;
        }
    }
}

/// Finds functions by their indentation, which rustfmt guarantees: the closing brace stands under the `fn` line's start.
fn functions_of(source: &Source) -> Vec<Function> {
    let lines: Vec<&str> = source.shipped_lines().map(|(_, line)| line).collect();
    let mut functions = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        if !is_function_head(trimmed) {
            continue;
        }
        let indentation = line.len() - trimmed.len();
        let closing = format!("{}}}", " ".repeat(indentation));
        let Some(end) = (start..lines.len())
            .find(|&at| lines[at] == closing || (at > start && lines[at].trim_end() == closing))
        else {
            continue;
        };
        // A one-line body, or a declaration without one, ends before another function begins.
        if (start + 1..end)
            .any(|at| is_function_head(lines[at].trim_start()) && leading(lines[at]) == indentation)
        {
            continue;
        }
        functions.push(Function {
            place: format!("{}:{}", source.path.display(), start + 1),
            lines: end - start + 1,
        });
    }
    functions
}

fn leading(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn is_function_head(line: &str) -> bool {
    let mut rest = line;
    for prefix in ["pub(crate) ", "pub(super) ", "pub ", "const ", "async ", "unsafe ", "extern \"C\" "] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    rest.starts_with("fn ")
}
