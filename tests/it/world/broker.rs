//! mosquitto from the distribution, with its own settings or the ones that we ship.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Process, free_port, wait_for};

/// What the broker's file says beside listener and folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settings {
    /// Nothing: mosquitto's defaults.
    Stock,
    /// `config/mosquitto.conf` of this repository.
    Shipped,
}

/// A running mosquitto.
pub(crate) struct Broker {
    program: String,
    file: PathBuf,
    pub(crate) port: u16,
    process: Process,
    _dir: tempfile::TempDir,
}

/// Lines that the test sets itself, so that the broker runs in a folder of its own.
const OURS: [&str; 7] =
    ["listener", "allow_anonymous", "user", "persistence_location", "log_dest", "pid_file", "password_file"];

impl Broker {
    pub(crate) fn start(program: &str, settings: Settings) -> Self {
        Self::start_with(program, settings, "")
    }

    /// The same with more lines in its file: another listener, say.
    pub(crate) fn start_with(program: &str, settings: Settings, more: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temp folder");
        let port = free_port();
        let mut text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence_location {}/\nlog_dest stderr\n",
            dir.path().display()
        );
        if settings == Settings::Shipped {
            let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/mosquitto.conf");
            let shipped = fs::read_to_string(shipped).expect("config/mosquitto.conf is readable");
            let ours = |line: &str| OURS.iter().any(|key| line.split_whitespace().next() == Some(key));
            text.extend(shipped.lines().filter(|line| !ours(line)).flat_map(|line| [line, "\n"]));
        } else {
            text.push_str("persistence true\n");
        }
        text.push_str(more);
        let file = dir.path().join("mosquitto.conf");
        fs::write(&file, text).expect("the broker's file can be written");
        let process = Self::spawn(program, &file, port);
        Self { program: program.to_owned(), file, port, process, _dir: dir }
    }

    fn spawn(program: &str, file: &PathBuf, port: u16) -> Process {
        let mut command = Command::new(program);
        command.arg("-c").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Process(command.spawn().expect("mosquitto starts"));
        wait_for("mosquitto to listen", || {
            assert!(process.0.try_wait().expect("our own child").is_none(), "mosquitto ended: {}", file.display());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        process
    }

    /// Stops it as systemd does (its sessions and queues are saved) and starts it again on the same port.
    pub(crate) fn restart(&mut self) {
        self.process.terminate();
        self.process.end(super::PATIENCE);
        self.process = Self::spawn(&self.program, &self.file, self.port);
    }
}
