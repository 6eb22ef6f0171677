//! The gateway as a child process: started, killed with -9 on order, started again; a death of its own is told.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Deaths of its own after which the demo stops starting it.
const MOST_CRASHES: usize = 5;
/// Exit code for a wrong configuration: starting again can't help.
const WRONG_CONFIG: i32 = 78;
/// Bytes at the end of the log that are shown after a death.
const TAIL: usize = 2000;

/// How the child is.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// The process runs.
    pub running: bool,
    /// Times it was killed on order.
    pub kills: u32,
    /// What it ended with each time it died by itself, with the end of its log.
    pub crashes: Vec<String>,
    /// It is not started any more.
    pub gave_up: bool,
}

/// The child, run by [`Gateway::run`], watched and ordered by others.
#[derive(Debug)]
pub struct Gateway {
    program: PathBuf,
    config: PathBuf,
    log: PathBuf,
    down_for: Duration,
    kill: Notify,
    status: Mutex<Status>,
}

impl Gateway {
    /// A gateway of that configuration: `program run`, writing to `log`; after a kill it stays down for `down_for`.
    pub fn new(program: PathBuf, config: PathBuf, log: PathBuf, down_for: Duration) -> Self {
        Self { program, config, log, down_for, kill: Notify::new(), status: Mutex::default() }
    }

    /// Orders a kill -9.
    pub fn kill(&self) {
        self.kill.notify_one();
    }

    /// How it is.
    pub fn status(&self) -> Status {
        self.lock().clone()
    }

    /// Keeps the gateway running until `stop`, then kills it.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut pause = Duration::from_millis(500);
        loop {
            let started = Instant::now();
            let ended = match self.start() {
                Ok(mut child) => {
                    self.lock().running = true;
                    tokio::select! {
                        () = stop.cancelled() => None,
                        () = self.kill.notified() => {
                            self.end(&mut child).await;
                            Some(Ok(()))
                        }
                        status = child.wait() => Some(Err(told(&status))),
                    }
                }
                Err(error) => {
                    // A program that isn't there won't be.
                    self.lock().gave_up |= error.kind() == io::ErrorKind::NotFound;
                    Some(Err(format!("{} can't be started: {error}", self.program.display())))
                }
            };
            self.lock().running = false;
            let down_for = match ended {
                None => return, // the child is killed as it is dropped
                Some(Ok(())) => self.down_for,
                Some(Err(how)) => {
                    self.crashed(&how);
                    if started.elapsed() > Duration::from_secs(10) {
                        pause = Duration::from_millis(500);
                    }
                    let this = pause;
                    pause = (pause * 2).min(Duration::from_secs(5));
                    this
                }
            };
            if self.lock().gave_up {
                return stop.cancelled().await;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(down_for) => {}
            }
        }
    }

    fn start(&self) -> io::Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        Command::new(&self.program)
            .arg("run")
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(File::try_clone(&log)?)
            .stderr(log)
            .process_group(0) // the terminal's Ctrl-C is for the demo alone
            .kill_on_drop(true)
            .spawn()
    }

    async fn end(&self, child: &mut Child) {
        // SIGKILL; it fails only where the child is gone already.
        drop(child.kill().await);
        self.lock().kills += 1;
    }

    fn crashed(&self, how: &str) {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let tail = String::from_utf8_lossy(&log[log.len().saturating_sub(TAIL)..]).trim().to_owned();
        let mut status = self.lock();
        status.crashes.push(format!("{how}; the end of its log:\n{tail}"));
        status.gave_up |= status.crashes.len() >= MOST_CRASHES || how == code(WRONG_CONFIG);
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(status: &io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.code().map_or_else(|| status.to_string(), code),
        Err(error) => error.to_string(),
    }
}

fn code(code: i32) -> String {
    format!("ended with exit code {code}")
}
