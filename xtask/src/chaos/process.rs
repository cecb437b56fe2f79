//! One process of the cluster, which is killed, halted, asked to stop and started again as it was.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;
use tokio::time::Instant;

use super::interpose::{CONTROL_VARIABLE, Control};
use super::network::Host;

/// How long a process may take to get ready, once those that it needs are there, and to stop.
const START_PATIENCE: Duration = Duration::from_secs(90);
const STOP_PATIENCE: Duration = Duration::from_secs(40);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A member of the placement driver.
    Pd,
    /// A store.
    Store,
    /// A SQL node.
    Sql,
}

/// One process.
pub struct Process {
    /// As `store-1`.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Where it lives.
    pub host: Host,
    /// Its disk and clock, where these can be changed.
    pub control: Option<Control>,
    program: PathBuf,
    arguments: Vec<String>,
    interpose: Option<PathBuf>,
    log: PathBuf,
    child: Option<Child>,
    is_ready: watch::Receiver<bool>,
    complaints: Arc<Mutex<Vec<String>>>,
}

/// What all processes of a run have in common.
pub struct Common {
    /// The program.
    pub program: PathBuf,
    /// The library of [`super::interpose`].
    pub interpose: Option<PathBuf>,
    /// Folder of data, logs and settings.
    pub folder: PathBuf,
}

impl Process {
    /// A process that does not run yet.
    pub fn new(
        common: &Common,
        role: Role,
        name: &str,
        host: Host,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let control = match &common.interpose {
            Some(_) => Some(Control::new(common.folder.join(format!("{name}.control")))?),
            None => None,
        };
        let arguments = arguments.iter().chain(&["--stop-with-stdin", "--log-level", "info"]);
        Ok(Self {
            name: name.to_owned(),
            role,
            host,
            control,
            program: common.program.clone(),
            arguments: arguments.map(|&each| each.to_owned()).collect(),
            interpose: common.interpose.clone(),
            log: common.folder.join(format!("{name}.log")),
            child: None,
            is_ready: watch::channel(false).1,
            complaints: Arc::default(),
        })
    }

    /// Starts it, on the data and the ports it had before.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let mut command = self.host.command(&self.program);
        command.args(&self.arguments).env("NO_COLOR", "1");
        if let (Some(library), Some(control)) = (&self.interpose, &self.control) {
            command.env("LD_PRELOAD", library).env(CONTROL_VARIABLE, &control.path);
        }
        // Not of the terminal's group: at Ctrl-C this process stops the others.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.name))?;
        let output = child.stderr.take().context("standard error is not piped")?;
        let (told, is_ready) = watch::channel(false);
        self.is_ready = is_ready;
        self.child = Some(child);
        let log = std::fs::File::options().create(true).append(true).open(&self.log)?;
        let complaints = self.complaints.clone();
        std::thread::spawn(move || follow(output, log, &told, &complaints));
        Ok(())
    }

    /// Waits until it says that it is ready.
    pub async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        match tokio::time::timeout(START_PATIENCE, self.is_ready.wait_for(|is_ready| *is_ready)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => bail!("{} ended before it was ready; see {}", self.name, self.log.display()),
            Err(_) => bail!(
                "{} was not ready after {} s; see {}",
                self.name,
                START_PATIENCE.as_secs(),
                self.log.display()
            ),
        }
    }

    /// Ends it as a power cut of the program would: it does nothing more.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().with_context(|| format!("cannot kill {}", self.name))?;
            child.wait()?;
        }
        Ok(())
    }

    /// Asks it to stop, and waits until it has.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)?;
        let Some(mut child) = self.child.take() else { return Ok(()) };
        match wait(&mut child, STOP_PATIENCE).await? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("{} was asked to stop and ended with {status}", self.name),
            None => bail!("{} still ran {} s after SIGTERM", self.name, STOP_PATIENCE.as_secs()),
        }
    }

    /// Halts it, or lets it go on.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = self.child.as_ref().map(Pid::from_child);
        let id = id.with_context(|| format!("{} does not run", self.name))?;
        Ok(kill_process(id, signal)?)
    }

    /// How it ended, if it did that of its own accord.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        if ended.is_some() {
            self.child = None;
        }
        ended
    }

    /// Lines of its log that tell of a panic.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.lock().clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Waits for the end of a process; one that outlasts the patience is killed (`None`).
pub async fn wait(child: &mut Child, patience: Duration) -> anyhow::Result<Option<ExitStatus>> {
    let began = Instant::now();
    while began.elapsed() < patience {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// Copies what a process says into its log; notices when it is ready, and when it panics.
fn follow(
    output: ChildStderr,
    mut log: std::fs::File,
    ready: &watch::Sender<bool>,
    complaints: &Mutex<Vec<String>>,
) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if line.contains(" is ready: ") {
            let _ = ready.send(true);
        }
        if line.contains("panicked at") || line.contains("stack overflow") {
            complaints.lock().push(line.clone());
        }
        let _ = writeln!(log, "{line}");
    }
}
