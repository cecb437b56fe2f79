//! `cargo xtask tidy`: what a machine can see of our habits, a machine reports.

mod calls;
mod floors;
mod links;

use std::path::Path;

use anyhow::bail;

use crate::command;
use crate::sources;

/// Runs every check and lists all findings, each with its place and what to do.
pub fn run() -> anyhow::Result<()> {
    let root = command::workspace_root();
    let mut findings = Vec::new();
    findings.extend(floors::check(&root)?);
    findings.extend(crate_papers(&root)?);
    findings.extend(calls::check(&sources::rust_files(&root)));
    findings.extend(links::check(&root)?);
    if findings.is_empty() {
        eprintln!("tidy: nothing to mend");
        return Ok(());
    }
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    bail!("tidy found {} things to mend", findings.len())
}

/// Every crate has a README, module docs on its `lib.rs`, and an example.
fn crate_papers(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    for krate in floors::member_folders(root)? {
        let name = krate.strip_prefix(root).unwrap_or(&krate).display().to_string();
        if !krate.join("README.md").is_file() {
            findings.push(format!("{name}: no README.md; say what the crate is and show five lines of use"));
        }
        let lib = std::fs::read_to_string(krate.join("src/lib.rs")).unwrap_or_default();
        if !lib.starts_with("//!") {
            findings.push(format!("{name}/src/lib.rs: no module docs at the top"));
        }
        let has_example = std::fs::read_dir(krate.join("examples")).is_ok_and(|entries| entries.count() > 0);
        if !has_example {
            findings.push(format!("{name}: no program in examples/"));
        }
    }
    Ok(findings)
}
