//! A disk that fills up under load: a tmpfs of the gateway's own, filled by somebody else to its last byte.
//!
//! Scans are large, so that a commit does not fit into SQLite's cache and meets the full disk while it captures; small
//! ones meet it in their commit, as settling does. The supervisor starts the gateway again when it ends with 74, as
//! systemd does. What was acknowledged must be there afterwards, and go on when there is room.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::world::{Behaviour, Database, Floor, Gateway, Settings, note, wait_for};

/// A tmpfs, unmounted when it is dropped.
struct Disk {
    mount: PathBuf,
    _dir: tempfile::TempDir,
}

impl Disk {
    /// `Err` says why it can't be had here.
    fn make(size: &str) -> Result<Self, String> {
        let dir = tempfile::tempdir().expect("a temp folder");
        let mount = dir.path().join("disk");
        std::fs::create_dir(&mount).expect("a folder");
        let place = mount.display().to_string();
        let options = format!("size={size},mode=0755");
        let output =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs", &place]).output();
        let output = output.map_err(|e| e.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() { Ok(Self { mount, _dir: dir }) } else { Err(said) }
    }

    /// Takes all but `leave` bytes until the filler is dropped; a greedy one takes what is freed, too.
    fn fill(&self, leave: u64, greedy: bool) -> Filler {
        let most = self.free().saturating_sub(leave);
        let (path, going) = (self.mount.join("somebody-elses"), Arc::new(AtomicBool::new(true)));
        let (file, flag) = (path.clone(), Arc::clone(&going));
        let thread = std::thread::spawn(move || {
            let mut file = File::create(file).expect("a name still fits");
            let block = [7; 4_096];
            let mut written = 0;
            while flag.load(Ordering::SeqCst) {
                if !greedy && written >= most {
                    return;
                }
                written += block.len() as u64;
                if file.write_all(&block).is_err() {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        Filler { path, going, thread: Some(thread) }
    }

    fn free(&self) -> u64 {
        rustix::fs::statvfs(&self.mount).map_or(0, |stat| stat.f_bavail * stat.f_frsize)
    }

    /// Bytes below which the gateway takes a disk for full.
    fn reserve(&self) -> u64 {
        rustix::fs::statvfs(&self.mount).map_or(0, |stat| (16 << 20).min(stat.f_blocks * stat.f_frsize / 8))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The gateway may still hold it: it goes when that ends.
        drop(std::process::Command::new("umount").arg("-l").arg(&self.mount).status());
    }
}

/// Somebody who fills the disk; what was written goes with it.
struct Filler {
    path: PathBuf,
    going: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.going.store(false, Ordering::SeqCst);
        drop(self.thread.take().map(std::thread::JoinHandle::join));
        std::fs::remove_file(&self.path).expect("our own file");
    }
}

/// Starts the gateway again whenever it has ended, as systemd does.
struct Supervisor {
    going: Arc<AtomicBool>,
    starts: Arc<AtomicUsize>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Supervisor {
    fn over(gateway: &Gateway) -> Self {
        let (going, starts) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let (flag, count, gateway) = (Arc::clone(&going), Arc::clone(&starts), gateway.clone());
        let thread = std::thread::spawn(move || {
            while flag.load(Ordering::SeqCst) {
                if !gateway.is_running() {
                    let code = gateway.end(Duration::from_secs(1)).code();
                    assert_eq!(code, Some(74), "it ends for the storage alone: {}", gateway.log());
                    gateway.start_again();
                    count.fetch_add(1, Ordering::SeqCst);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { going, starts, thread: Some(thread) }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.going.store(false, Ordering::SeqCst);
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        assert!(std::thread::panicking() || !matches!(ended, Some(Err(_))), "the gateway ended in a way it must not");
    }
}

/// A disk of `size` and a floor whose gateway keeps its data there; `None`, told as SKIPPED, where it can't be had.
fn floor_on(size: &str) -> Option<(Disk, Floor)> {
    let disk = match Disk::make(size) {
        Ok(disk) => disk,
        Err(why) => {
            note("SKIPPED", &format!("needs root for a tmpfs of its own: {why}"));
            return None;
        }
    };
    let floor = Floor::start(5, Settings::Shipped, |site| site.in_flight(2_000).data_at(&disk.mount.join("data")))?;
    Some((disk, floor))
}

fn told(gateway: &Gateway, what: &str) -> usize {
    gateway.log().matches(what).count()
}

const FULL: &str = "the disk is full";
/// What a capture meets that finds no room in its middle …
const CAPTURING: &str = "while capturing";
/// … and what the gateway says when a commit does, of captured events or of settled ones.
const COMMITTING: &str = "the storage failed: the process ends";
/// What a start says that finds none.
const STARTING: &str = "failed to start: the disk is full";
/// Bytes that make scans large; the hand scanner's map takes 4,096 in all.
const LARGE: usize = 3_800;

#[test]
fn a_full_disk_stops_acknowledging_and_goes_on_draining() {
    let Some((disk, mut floor)) = floor_on("96M") else { return };
    let supervisor = Supervisor::over(&floor.gateway);
    for round in 1..=2 {
        floor.erp.behave(|_| Behaviour::Status(503, None));
        floor.scan(500);
        wait_for("a backlog", || floor.gateway.status()["lanes"][0]["ready"].as_i64() > Some(300));
        let full = told(&floor.gateway, FULL);
        let filler = disk.fill(0, false);
        floor.scan(100);
        wait_for("the gateway to see it", || told(&floor.gateway, FULL) > full);
        for verb in [&["status"][..], &["outbox", "status"]] {
            wait_for("it to be told", || floor.gateway.say(verb).1.contains("FULL, the disk has no room"));
        }
        for act in ["hold", "release"] {
            let (code, said) = floor.gateway.say(&[act, "subject", "carton", "--reason", "is it here?"]);
            assert_eq!(code, Some(0), "a person is heard: {said}");
        }
        floor.scan(100);
        let (count, free) = (floor.erp.count(), disk.free());
        floor.erp.behave_well();
        wait_for("the backlog to drain", || floor.erp.count() >= count + 400);
        wait_for("all that is stored to settle", || Database::read(floor.site.data()).pending.is_empty());
        let (drained, left) = (floor.erp.count() - count, floor.produced().len() - floor.erp.count());
        note("FIGURE", &format!("full disk, {free} bytes free: {drained} drained, {left} left with the broker"));
        assert!(left >= 100, "what comes to a full disk stays with the broker");
        drop(filler);
        let judgement = floor.judge();
        assert!(judgement.is_clean(), "round {round}: {judgement}");
        wait_for_room(&floor.gateway);
    }
    drop(supervisor);
}

/// A group of some megabytes meets the end of the disk in its middle.
#[test]
fn a_capture_that_finds_no_room_is_undone_and_comes_again() {
    for _ in 0..5 {
        let Some((disk, mut floor)) = floor_on("32M") else { return };
        let supervisor = Supervisor::over(&floor.gateway);
        assert_eq!(told(&floor.gateway, "no ballast is set aside"), 1, "there is too little room for it");
        floor.large_scans(LARGE);
        floor.gateway.freeze(true);
        floor.scan(2_000);
        let filler = disk.fill(disk.reserve() + (1 << 20), false);
        floor.gateway.freeze(false);
        wait_for("the gateway to see it", || told(&floor.gateway, FULL) > 0);
        drop(filler);
        let judgement = floor.judge();
        assert!(judgement.is_clean(), "{judgement}");
        if told(&floor.gateway, CAPTURING) > 0 {
            let starts = supervisor.starts.load(Ordering::SeqCst);
            note("FIGURE", &format!("no room while capturing: {judgement}, {starts} starts after a failed commit"));
            return;
        }
    }
    panic!("blind: no capture met the full disk");
}

/// Not even what the gateway frees for itself stays free: what settles finds no room, and a start neither.
#[test]
fn a_disk_that_somebody_keeps_full_loses_nothing() {
    for _ in 0..2 {
        let Some((disk, mut floor)) = floor_on("96M") else { return };
        let supervisor = Supervisor::over(&floor.gateway);
        floor.erp.behave(|_| Behaviour::Status(503, None));
        floor.plc.tell("rate 40");
        floor.scan(3_000);
        wait_for("a backlog", || floor.gateway.status()["lanes"][0]["ready"].as_i64() > Some(2_000));
        let filler = disk.fill(0, true);
        floor.erp.behave_well();
        wait_for("a commit without room", || told(&floor.gateway, COMMITTING) > 0);
        wait_for("a start without room", || told(&floor.gateway, STARTING) > 0);
        drop(filler);
        floor.quiet();
        let judgement = floor.judge();
        assert!(judgement.is_clean(), "{judgement}");
        wait_for_room(&floor.gateway);
        let (failed, starts) = (told(&floor.gateway, COMMITTING), supervisor.starts.load(Ordering::SeqCst));
        note("FIGURE", &format!("disk kept full: {failed} failed commits, {starts} starts, {judgement}"));
    }
}

fn wait_for_room(gateway: &Gateway) {
    wait_for("room", || {
        let status: serde_json::Value = serde_json::from_str(&gateway.say(&["status", "--json"]).1).expect("JSON");
        status["gateway"]["room"] == true
    });
}
