//! The Modbus links of a site in this process, with a real outbox, so that their health can be looked at; and a pair of
//! serial ports that are each other's other end.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use floorgate::outbox::Outbox;
use floorgate::source::health::{Health, Status};
use floorgate::source::modbus;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Process, Site, wait_for};

/// Links that run until they are let go of.
pub(crate) struct Links {
    health: Health,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Links {
    /// Runs the Modbus links of the site's configuration.
    pub(crate) fn start(site: &Site) -> Self {
        let config = match floorgate::config::load(&site.write()) {
            Ok(config) => config,
            Err(faults) => panic!("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        };
        // Without lanes: what is committed stays where the tests look at it.
        let (outbox, mut ended) = Outbox::open(config.outbox, Vec::new(), Vec::new()).expect("the outbox opens");
        let (health, stop) = (Health::default(), CancellationToken::new());
        let devices: usize = config.modbus.iter().map(|link| link.devices.len()).sum();
        let held = (health.clone(), outbox, stop.clone());
        let thread = std::thread::spawn(move || {
            let (health, outbox, stop) = held;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut tasks = JoinSet::new();
                for link in config.modbus {
                    tasks.spawn(modbus::run(link, outbox.clone(), health.clone(), stop.clone()));
                }
                tasks.join_all().await;
                outbox.stop();
                drop(ended.wait().await); // nobody else opens the outbox before its writer has ended
            });
        });
        wait_for("the links to begin", || health.snapshot().devices.len() == devices);
        Self { health, stop, thread: Some(thread) }
    }

    /// The device as people are shown it.
    pub(crate) fn device(&self, id: &str) -> Status {
        let found = self.health.snapshot().devices.into_iter().find(|device| device.id == id);
        found.unwrap_or_else(|| panic!("there is no device {id}"))
    }

    /// The only link as people are shown it.
    pub(crate) fn link(&self) -> Status {
        self.health.snapshot().links.remove(0)
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            drop(thread.join()); // its panic was printed where it happened
        }
    }
}

/// Two serial ports, joined: what is written to one is read from the other.
pub(crate) struct Pty {
    pub(crate) ours: PathBuf,
    pub(crate) theirs: PathBuf,
    _process: Process,
}

impl Pty {
    pub(crate) fn start(socat: &str, dir: &Path) -> Self {
        let (ours, theirs) = (dir.join("ours"), dir.join("theirs"));
        let end = |path: &Path| format!("pty,raw,echo=0,link={}", path.display());
        let mut command = Command::new(socat);
        command.args([end(&ours), end(&theirs)]).stdin(Stdio::null()).stderr(Stdio::null());
        let process = Process(command.spawn().expect("socat starts"));
        wait_for("the two ports", || ours.exists() && theirs.exists());
        Self { ours, theirs, _process: process }
    }
}
