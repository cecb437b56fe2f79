//! Running other programs: one way to start, echo and check them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// The root folder of the workspace: that of the cargo that runs us, which need not be the one that built us (two
/// checkouts may share a target directory).
pub fn workspace_root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here).parent().unwrap_or(Path::new(&here)).to_path_buf()
}

/// The cargo that started us, else the one on the path.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace_root());
    command
}

/// The folder cargo builds into.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace_root().join("target"), PathBuf::from)
}

/// The program to test: a given one, else a fresh release build.
pub fn release_program(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(program) = given {
        return std::path::absolute(program).context("the path of the program");
    }
    run(cargo().args(["build", "--release", "--package", "tidewater"]))?;
    Ok(target_dir().join("release/tidewater"))
}

/// Runs a command to its end with our own terminal; an exit status other than 0 is an error.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    eprintln!("$ {}", display(command));
    let status = command.status().with_context(|| format!("cannot start {}", display(command)))?;
    if !status.success() {
        bail!("{} failed: {status}", display(command));
    }
    Ok(())
}

/// Runs a command and returns what it printed on standard output, as text.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    output_bytes(command).map(|output| String::from_utf8_lossy(&output).into_owned())
}

/// Runs a command and returns what it printed on standard output.
pub fn output_bytes(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("cannot start {}", display(command)))?;
    if !output.status.success() {
        bail!("{} failed: {}\n{}", display(command), output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

/// Whether a program of this name can be started.
pub fn exists(program: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else { return false };
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The command as one would type it, without its environment.
pub fn display(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}
