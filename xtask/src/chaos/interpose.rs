//! Slow disks and wrong calendars: a small library of C, compiled on the spot and loaded into each process, which obeys numbers in a
//! file. The programs know nothing of it, and what they do with their files and clocks is what they do elsewhere.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::command;

const SOURCE: &str = include_str!("interpose.c");
/// The environment variable in which the library looks for the file.
pub const CONTROL_VARIABLE: &str = "TIDEWATER_CHAOS_CONTROL";

/// Compiles the library into `folder`; `None` where there is no C compiler.
pub fn build(folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    if !command::exists("cc") {
        return Ok(None);
    }
    let (source, library) = (folder.join("interpose.c"), folder.join("interpose.so"));
    std::fs::write(&source, SOURCE)?;
    let mut compile = Command::new("cc");
    compile.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
    command::output(&mut compile)?;
    Ok(Some(library))
}

/// What one process is told about its disk and its clock.
pub struct Control {
    file: File,
    /// Where it is read.
    pub path: PathBuf,
}

impl Control {
    /// A file that says that nothing is wrong.
    pub fn new(path: PathBuf) -> anyhow::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).open(&path);
        let file = file.with_context(|| format!("cannot make {}", path.display()))?;
        let control = Self { file, path };
        control.write(0, 0)?;
        control.write(8, 0)?;
        Ok(control)
    }

    /// Every sync of a file takes so much longer from now on.
    pub fn set_sync_delay(&self, delay: Duration) -> anyhow::Result<()> {
        self.write(0, i64::try_from(delay.as_micros())?)
    }

    /// The calendar is ahead by so many milliseconds from now on, or behind.
    pub fn set_clock_offset(&self, offset_ms: i64) -> anyhow::Result<()> {
        self.write(8, offset_ms)
    }

    // In place: the processes have the file mapped, and a shorter one would end them.
    fn write(&self, at: u64, number: i64) -> anyhow::Result<()> {
        Ok(self.file.write_all_at(&number.to_ne_bytes(), at)?)
    }
}
