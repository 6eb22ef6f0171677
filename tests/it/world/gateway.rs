//! The gateway as it is shipped: the built binary, as a child.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;

use super::{Process, Site};

const PROGRAM: &str = env!("CARGO_BIN_EXE_floorgate");

/// A gateway that may be killed and started again; clones are the same one.
#[derive(Clone)]
pub(crate) struct Gateway {
    config: PathBuf,
    log: PathBuf,
    environment: Vec<(String, String)>,
    process: Arc<Mutex<Option<Process>>>,
    _dir: Arc<tempfile::TempDir>,
}

impl Gateway {
    /// Writes the site's configuration and starts `floorgate run` with it.
    pub(crate) fn start(site: &Site) -> Self {
        Self::start_with(site, &[])
    }

    /// The same with environment variables.
    pub(crate) fn start_with(site: &Site, environment: &[(&str, &str)]) -> Self {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let (config, log) = (site.write(), site.dir().join("gateway.log"));
        let gateway = Self { config, log, environment, process: Arc::default(), _dir: site.hold() };
        gateway.start_again();
        gateway
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().expect("nobody panics with the process in hand")
    }

    pub(crate) fn start_again(&self) {
        let log = open_log(&self.log);
        let mut command = Command::new(PROGRAM);
        command.arg("run").arg("--config").arg(&self.config).envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        *self.process() = Some(Process(command.spawn().expect("the gateway starts")));
    }

    /// kill -9; nothing if it is not running.
    pub(crate) fn kill(&self) {
        if let Some(mut process) = self.process().take() {
            process.kill();
        }
    }

    /// Stands still from now on, as on a machine that swaps; or goes on.
    pub(crate) fn freeze(&self, still: bool) {
        let process = self.process();
        process.as_ref().expect("it is running").signal(if still { "STOP" } else { "CONT" });
    }

    /// SIGTERM, and its end.
    #[track_caller]
    pub(crate) fn stop(&self, patience: Duration) -> ExitStatus {
        let mut process = self.process().take().expect("it is running");
        process.terminate();
        process.end(patience)
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub(crate) fn end(&self, patience: Duration) -> ExitStatus {
        self.process().take().expect("it was started").end(patience)
    }

    /// The configuration's path.
    pub(crate) fn config(&self) -> String {
        self.config.display().to_string()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process().as_mut().is_some_and(|p| p.0.try_wait().expect("our own child can be asked").is_none())
    }

    /// `floorgate outbox status --json`.
    pub(crate) fn status(&self) -> Value {
        let output = run_to_end(&["outbox", "status", "--json", "--config", &self.config.display().to_string()]);
        assert!(output.status.success(), "outbox status failed: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("outbox status --json writes JSON")
    }

    /// Any verb on its configuration: exit code and what it wrote to stdout.
    pub(crate) fn say(&self, verb: &[&str]) -> (Option<i32>, String) {
        let config = self.config();
        let output = run_to_end(&[verb, &["--config", &config]].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A second one on the same configuration, to its end.
    pub(crate) fn second(&self) -> Output {
        run_to_end(&["run", "--config", &self.config.display().to_string()])
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() && Arc::strong_count(&self.process) == 1 {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let status = run_to_end(&["outbox", "status", "--json", "--config", &self.config.display().to_string()]);
            println!("outbox status: {}", String::from_utf8_lossy(&status.stdout));
            println!("the end of the gateway's log:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}

fn open_log(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).expect("the log can be written")
}

/// Runs a verb to its end.
pub(crate) fn run_to_end(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).output().expect("the gateway's binary runs")
}
