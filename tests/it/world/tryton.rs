//! A real ERP: Tryton as `tests/erp` serves it, in a folder of its own, with another user beside the gateway.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Process, peer};

/// A served Tryton; it keeps its port and its database over a kill.
pub(crate) struct Tryton {
    home: PathBuf,
    work: tempfile::TempDir,
    process: Process,
    /// `http://127.0.0.1:PORT/erp`
    pub(crate) url: String,
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/erp").join(name)
}

impl Tryton {
    /// Serves a fresh copy; `None`, told as SKIPPED, where none was built.
    pub(crate) fn start() -> Option<Self> {
        let home = PathBuf::from(peer("FLOORGATE_TEST_TRYTON", "the Tryton of tests/erp/build.py")?);
        let work = tempfile::tempdir().expect("a temp folder");
        let (process, url) = serve(&home, work.path());
        Some(Self { home, work, process, url })
    }

    /// The file with the gateway's key.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.home.join("apikey")
    }

    pub(crate) fn port(&self) -> u16 {
        let port = self.url.split(['/', ':']).find_map(|part| part.parse().ok());
        port.expect("the server tells its port")
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.0.try_wait().expect("our own child can be asked").is_none()
    }

    /// kill -9, whatever it is doing.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Again with the same database, on the same port.
    pub(crate) fn start_again(&mut self) {
        (self.process, self.url) = serve(&self.home, self.work.path());
    }

    /// Faults from now on; `{}`: none.
    pub(crate) fn switch(&self, faults: &Value) {
        let (file, new) = (self.switches(), self.work.path().join("switches.next"));
        fs::write(&new, faults.to_string()).expect("the switches can be written");
        fs::rename(new, file).expect("the switches can be replaced");
    }

    /// The fault of that moment has struck as often as it was to.
    pub(crate) fn has_struck(&self, moment: &str) -> bool {
        fs::read_to_string(self.switches()).is_ok_and(|text| !text.contains(moment))
    }

    fn switches(&self) -> PathBuf {
        self.work.path().join("switches.json")
    }

    /// What another user does, or sees.
    #[track_caller]
    pub(crate) fn act(&self, words: &[&str]) -> Value {
        let output = Command::new(script("act.py")).arg(&self.home).arg(&self.url).args(words).output();
        let output = output.expect("act.py runs");
        assert!(output.status.success(), "act.py {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// The end of its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.work.path().join("log")).unwrap_or_default()
    }
}

fn serve(home: &Path, work: &Path) -> (Process, String) {
    let mut command = Command::new(script("server.py"));
    command.arg(home).arg(work).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = Process(command.spawn().expect("server.py starts"));
    let mut told = String::new();
    let output = process.0.stdout.take().expect("its output is a pipe");
    BufReader::new(output).read_line(&mut told).expect("its output is text");
    let url = told.trim().strip_prefix("ready ");
    let url = url.unwrap_or_else(|| panic!("Tryton did not start: {}", work.join("log").display())).to_owned();
    (process, url)
}
