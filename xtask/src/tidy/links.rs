//! Relative links of our Markdown files lead somewhere.

use std::path::{Path, PathBuf};

/// Reports each relative link whose file does not exist.
pub fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    for page in markdown_files(root)? {
        let text = std::fs::read_to_string(&page)?;
        let folder = page.parent().unwrap_or(root);
        for target in links(&text) {
            let path = target.split('#').next().unwrap_or_default();
            if !path.is_empty() && !folder.join(path).exists() {
                findings.push(format!(
                    "{}: the link to {target} leads nowhere",
                    page.strip_prefix(root).unwrap_or(&page).display()
                ));
            }
        }
    }
    Ok(findings)
}

fn markdown_files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" && name != "tidewater-data" {
                    folders.push(path);
                }
            } else if name.ends_with(".md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    Ok(pages)
}

/// The targets of `[text](target)` outside code fences, but for addresses with a scheme.
fn links(text: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let mut rest = line;
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            let Some(end) = rest.find(')') else { break };
            let target = &rest[..end];
            if !target.contains("://") && !target.starts_with("mailto:") {
                targets.push(target);
            }
            rest = &rest[end..];
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::links;

    #[test]
    fn only_relative_targets_outside_code_count() {
        let text = "See [a](a.md) and [b](https://x.y/z).\n```\n[c](c.md)\n```\n[d](d.md#part)";
        assert_eq!(links(text), ["a.md", "d.md#part"]);
    }
}
