//! socat as the scanner: what we write is what it sends, what it prints is what it was answered.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::{PATIENCE, Process, wait_for};

/// `O_NOCTTY` of Linux: a pseudo terminal must not become the tests' own.
const NO_CONTROLLING_TERMINAL: i32 = 0o400;

/// A scanner's end of a TCP connection or a serial line.
pub(crate) struct Line {
    to: Box<dyn Write>,
    from: Receiver<u8>,
    process: Option<Process>,
}

impl Line {
    fn new(to: Box<dyn Write>, mut from: Box<dyn Read + Send>, process: Option<Process>) -> Self {
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let mut byte = [0];
            // Ends with the line, or when nobody listens any more.
            while matches!(from.read(&mut byte), Ok(1)) && sender.send(byte[0]).is_ok() {}
        });
        Self { to, from: receiver, process }
    }

    /// A scanner on TCP, by socat's words for its side: `TCP-LISTEN:…` or `TCP:…`.
    pub(crate) fn tcp(program: &str, address: &str) -> Self {
        let mut command = Command::new(program);
        command.args(["STDIO", address]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = Process(command.spawn().expect("socat starts"));
        let to = process.0.stdin.take().expect("its input is ours");
        let from = process.0.stdout.take().expect("its output is ours");
        Self::new(Box::new(to), Box::new(from), Some(process))
    }

    /// Sends bytes, all at once; `false` when the line is dead.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.to.write_all(bytes).and_then(|()| self.to.flush()).is_ok()
    }

    /// Sends each byte for itself.
    pub(crate) fn send_bytewise(&mut self, bytes: &[u8]) {
        for byte in bytes {
            assert!(self.send(&[*byte]), "the line is dead");
            std::thread::sleep(Duration::from_millis(2)); // so that they arrive for themselves
        }
    }

    /// The next byte of an answer.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> u8 {
        self.from.recv_timeout(PATIENCE).expect("an answer comes")
    }

    /// The next byte of an answer, if one comes so soon; `Err` when the line is dead.
    pub(crate) fn answer_within(&mut self, patience: Duration) -> Result<Option<u8>, ()> {
        match self.from.recv_timeout(patience) {
            Ok(byte) => Ok(Some(byte)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(()),
        }
    }

    /// The other side has hung up.
    pub(crate) fn wait_end(&mut self) {
        if let Some(process) = &mut self.process {
            process.end(PATIENCE);
        }
    }
}

/// A serial line: two ends that socat joins.
pub(crate) struct Serial {
    _process: Process,
    dir: tempfile::TempDir,
}

impl Serial {
    pub(crate) fn start(program: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temp folder");
        let end = |name: &str| format!("PTY,raw,echo=0,link={}", dir.path().join(name).display());
        let mut command = Command::new(program);
        command.args([end("gateway"), end("scanner")]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process(command.spawn().expect("socat starts"));
        let serial = Self { _process: process, dir };
        wait_for("socat's two ends", || serial.gateway().exists() && serial.dir.path().join("scanner").exists());
        serial
    }

    /// The port that the gateway opens.
    pub(crate) fn gateway(&self) -> PathBuf {
        self.dir.path().join("gateway")
    }

    /// The scanner's end.
    pub(crate) fn scanner(&self) -> Line {
        let open = |path: &Path| -> File {
            OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(NO_CONTROLLING_TERMINAL)
                .open(path)
                .expect("the line opens")
        };
        let file = open(&self.dir.path().join("scanner"));
        let from = file.try_clone().expect("a second handle");
        Line::new(Box::new(file), Box::new(from), None)
    }
}
