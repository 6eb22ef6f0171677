//! The power cut: a file system of its own is shut down under the running gateway, so that what was not synced is gone.
//!
//! What the PLC was acknowledged is known outside of that file system. With `synchronous=FULL` none of it may be
//! missing afterwards; a gateway with NORMAL must lose rows under the same script, or the test has seen nothing.
//!
//! Counted is what was acknowledged before the cut begins. An fsync under way during the shutdown may report success
//! though its transaction was dropped: that is the ioctl's doing, no gateway's. A bare loop of write, fsync, report on
//! Linux 6.18 lost the very last of its reports in 6 of 60 such cuts, and never another one.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::oracle::judge;
use crate::world::{Behaviour, Erp, Gateway, Plc, Site, note, python, wait_for};

/// Acknowledged before the power goes; the gateway was synced once before.
const ACKNOWLEDGED: usize = 1_500;
const SYNCED: usize = 64;
const GODOWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/powercut/godown.py");
/// The hard case: the journal is dropped too.
const DROP_JOURNAL: &str = "2";

/// A loop-mounted ext4, unmounted when it is dropped.
struct Disk {
    image: PathBuf,
    mount: PathBuf,
    _dir: tempfile::TempDir,
}

fn sh(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|e| format!("{program}: {e}"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {said}")) }
}

impl Disk {
    /// `Err` says why it can't be had here.
    fn make() -> Result<Self, String> {
        let dir = tempfile::tempdir().expect("a temp folder");
        let (image, mount) = (dir.path().join("disk.img"), dir.path().join("disk"));
        std::fs::create_dir(&mount).expect("a folder");
        let disk = Self { image, mount, _dir: dir };
        let image = disk.image.display().to_string();
        sh("truncate", &["-s", "96M", &image])?;
        sh("mkfs.ext4", &["-q", "-F", &image])?;
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&self) -> Result<(), String> {
        sh("mount", &["-o", "loop", &self.image.display().to_string(), &self.mount.display().to_string()])
    }

    fn unmount(&self) -> Result<(), String> {
        sh("umount", &[&self.mount.display().to_string()])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Not mounted any more is as good.
        drop(sh("umount", &["-l", &self.mount.display().to_string()]));
    }
}

/// One cut: how many events were acknowledged, how many of them are gone, and how many effects came twice.
fn cut(python: &str, environment: &[(&str, &str)]) -> Result<(usize, usize, usize), String> {
    let disk = Disk::make()?;
    let (mut plc, erp) = (Plc::start(python, &[]), Erp::start());
    erp.behave(|_| Behaviour::Status(503, None)); // so that the outbox alone has what was acknowledged
    let site = Site::new().plc(plc.port).erp(&erp.url()).batch(500).data_at(&disk.mount.join("data"));
    let gateway = Gateway::start_with(&site, environment);
    plc.tell(&format!("push {SYNCED}"));
    wait_for("the first acknowledgements", || plc.list("acked").len() >= SYNCED);
    sh("sync", &["-f", &disk.mount.display().to_string()])?;
    plc.tell(&format!("push {}", ACKNOWLEDGED * 2));
    wait_for("enough acknowledgements", || plc.list("acked").len() >= ACKNOWLEDGED);

    std::thread::sleep(Duration::from_millis(fastrand::u64(0..60))); // any phase of the PLC's 50 ms poll
    let acknowledged = plc.list("acked");
    sh(python, &[GODOWN, &disk.mount.display().to_string(), DROP_JOURNAL])?;
    gateway.kill();
    disk.unmount()?;
    disk.mount()?;

    erp.behave_well();
    gateway.start_again();
    let last = plc.list("produced").pop().expect("it was pushed").id;
    wait_for("the last divert at the ERP", || erp.ids().contains(&last));
    let data = site.data().to_owned();
    wait_for("the outbox to settle everything", || crate::world::Database::read(&data).pending.is_empty());
    gateway.kill();
    let judgement = judge(&plc.list("produced"), &erp.ids());
    let lost = judge(&acknowledged, &erp.ids()).lost.len();
    assert!(judgement.unknown.is_empty(), "{judgement}");
    Ok((acknowledged.len(), lost, judgement.duplicate.len()))
}

/// `None`, told as SKIPPED, where it can't be done.
fn can_cut() -> Option<String> {
    let python = python()?;
    match Disk::make() {
        Ok(_) => Some(python),
        Err(why) => {
            note("SKIPPED", &format!("needs root and a loop device: {why}"));
            None
        }
    }
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let Some(python) = can_cut() else { return };
    for round in 1..=3 {
        let (acknowledged, lost, doubled) = cut(&python, &[]).expect("a disk could be made before");
        note(
            "FIGURE",
            &format!("power cut {round}, FULL: {acknowledged} acknowledged, {lost} lost, {doubled} doubled"),
        );
        assert_eq!((lost, doubled), (0, 0), "acknowledged events are gone or doubled");
    }
}

#[test]
fn a_disk_that_fails_ends_the_process_with_74_and_the_next_start_goes_on() {
    let Some(python) = can_cut() else { return };
    let disk = Disk::make().expect("a disk could be made before");
    let (mut plc, erp) = (Plc::start(&python, &[]), Erp::start());
    let site = Site::new().plc(plc.port).erp(&erp.url()).data_at(&disk.mount.join("data"));
    let gateway = Gateway::start(&site);
    plc.tell("push 40");
    wait_for("the first diverts", || erp.count() >= 40 && plc.list("acked").len() == 40);
    sh(&python, &[GODOWN, &disk.mount.display().to_string(), DROP_JOURNAL]).expect("the file system can be shut down");
    plc.tell("push 5");
    assert_eq!(gateway.end(Duration::from_secs(20)).code(), Some(74), "{}", gateway.log());
    assert_eq!(plc.list("acked").len(), 40, "nothing is acknowledged that the disk did not take");
    disk.unmount().and_then(|()| disk.mount()).expect("the disk comes back");
    gateway.start_again();
    wait_for("the five that were left with the PLC", || plc.list("acked").len() == 45);
    wait_for("their effects", || erp.count() == 45);
    let judgement = judge(&plc.list("produced"), &erp.ids());
    gateway.kill();
    assert!(judgement.is_clean(), "{judgement}");
}

#[test]
fn the_same_power_cut_is_seen_to_bite_without_full_sync() {
    let Some(python) = can_cut() else { return };
    let plant = [("FLOORGATE_PLANT", "synchronous-normal")];
    let (acknowledged, lost, _) = cut(&python, &plant).expect("a disk could be made before");
    note("FIGURE", &format!("power cut, NORMAL: {acknowledged} acknowledged, {lost} lost"));
    assert!(lost > 0, "blind: NORMAL lost nothing, so this cut proves nothing about FULL");
}
