//! The Rust files of a tree, cut into code, docs and tests: what `metrics` and `tidy` look at.

use std::path::{Path, PathBuf};

/// One Rust file with its path relative to the root it was found under.
pub struct Source {
    pub path: PathBuf,
    pub text: String,
}

/// All Rust files below `root`, in path order; build output and hidden folders are left out.
pub fn rust_files(root: &Path) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') && name != "node_modules" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                let relative = path.strip_prefix(root).unwrap_or(&path).to_path_buf();
                sources.push(Source { path: relative, text });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

impl Source {
    /// Whether the whole file is test, bench or example code.
    pub fn is_test_file(&self) -> bool {
        let path = self.path.to_string_lossy().replace('\\', "/");
        let stem = self.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        path.contains("/tests/")
            || path.starts_with("tests/")
            || path.contains("/benches/")
            || path.contains("/examples/")
            || stem == "tests"
            || stem.ends_with("_tests")
    }

    /// The line (0-based) at which the trailing `#[cfg(test)] mod` begins, or the number of lines.
    pub fn first_test_line(&self) -> usize {
        if self.is_test_file() {
            return 0;
        }
        let lines: Vec<&str> = self.text.lines().collect();
        (0..lines.len())
            .find(|&line| {
                lines[line].trim() == "#[cfg(test)]"
                    && lines.get(line + 1).is_some_and(|next| {
                        next.trim_start().starts_with("mod ") && next.trim_end().ends_with('{')
                    })
            })
            .unwrap_or(lines.len())
    }

    /// The lines that ship: everything before the test module, nothing of a test file.
    pub fn shipped_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().take(self.first_test_line())
    }
}
