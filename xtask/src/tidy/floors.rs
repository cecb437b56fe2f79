//! The floor plan: a crate uses crates on lower floors only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Every crate and its floor; `ARCHITECTURE.md` shows the same table with reasons.
const FLOORS: &[(&str, u8)] = &[
    ("tidewater-types", 0),
    ("tidewater-proto", 0),
    ("tidewater-rpc", 1),
    ("tidewater-daemon", 1),
    ("tidewater-raft", 1),
    ("tidewater-codec", 1),
    ("tidewater-parser", 1),
    ("tidewater-chunk", 2),
    ("tidewater-expr", 3),
    ("tidewater-catalog", 4),
    ("tidewater-stats", 4),
    ("tidewater-executor", 4),
    ("tidewater-kv", 5),
    ("tidewater-pd", 5),
    ("tidewater-txn", 5),
    ("tidewater-planner", 5),
    ("tidewater-backup", 6),
    ("tidewater-pd-http", 6),
    ("tidewater-table", 6),
    ("tidewater-distsql", 6),
    ("tidewater-ddl", 7),
    ("tidewater-session", 8),
    ("tidewater-server", 9),
    ("tidewater-sim", 9),
    ("tidewater-pd-server", 10),
    ("tidewater-store-server", 10),
    ("tidewater-sql-server", 10),
    ("tidewater", 11),
];

/// The folders of all crates that ship (`crates/*` and `apps/*`), in name order.
pub fn member_folders(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for parent in ["crates", "apps"] {
        for entry in std::fs::read_dir(root.join(parent)).with_context(|| format!("cannot list {parent}"))? {
            let path = entry?.path();
            if path.join("Cargo.toml").is_file() {
                folders.push(path);
            }
        }
    }
    folders.sort();
    Ok(folders)
}

/// Reads the manifests and reports crates without a floor, and edges that do not point down.
pub fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let floors: BTreeMap<&str, u8> = FLOORS.iter().copied().collect();
    let mut findings = Vec::new();
    for folder in member_folders(root)? {
        let text = std::fs::read_to_string(folder.join("Cargo.toml"))?;
        let manifest: toml::Table =
            text.parse().with_context(|| format!("{} is not TOML", folder.display()))?;
        let name =
            manifest.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
        let name = name.with_context(|| format!("{} has no package name", folder.display()))?;
        findings.extend(upward_edges(&floors, name, &manifest));
    }
    Ok(findings)
}

fn upward_edges(floors: &BTreeMap<&str, u8>, name: &str, manifest: &toml::Table) -> Vec<String> {
    let Some(&floor) = floors.get(name) else {
        return vec![format!("{name} has no floor; add it to xtask/src/tidy/floors.rs and ARCHITECTURE.md")];
    };
    let mut findings = Vec::new();
    for section in ["dependencies", "build-dependencies"] {
        let Some(dependencies) = manifest.get(section).and_then(toml::Value::as_table) else { continue };
        for dependency in
            dependencies.keys().filter(|key| *key == "tidewater" || key.starts_with("tidewater-"))
        {
            match floors.get(dependency.as_str()) {
                Some(&below) if below < floor => {}
                Some(&other) => {
                    findings.push(format!(
                        "{name} (floor {floor}) may not use {dependency} (floor {other}): edges point down"
                    ));
                }
                None => findings.push(format!("{name} uses {dependency}, which has no floor")),
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(name: &str, manifest: &str) -> Vec<String> {
        upward_edges(&FLOORS.iter().copied().collect(), name, &manifest.parse().expect("a TOML text"))
    }

    #[test]
    fn downward_edges_pass_and_sideways_or_upward_ones_do_not() {
        assert!(edges("tidewater-expr", "[dependencies]\ntidewater-chunk = \"1\"\nserde = \"1\"").is_empty());
        assert_eq!(edges("tidewater-kv", "[dependencies]\ntidewater-pd = \"1\"").len(), 1);
        assert_eq!(edges("tidewater-types", "[build-dependencies]\ntidewater-session = \"1\"").len(), 1);
        assert_eq!(edges("tidewater-unheard", "").len(), 1);
    }

    #[test]
    fn tests_may_look_up() {
        assert!(edges("tidewater-txn", "[dev-dependencies]\ntidewater-kv = \"1\"").is_empty());
    }
}
