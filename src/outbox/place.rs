//! The data directory as a place: whose it is, who may use it, and how much room its file system has.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::outbox::open::{DATABASE, StorageError, disk_bytes, reserve};

/// The data directory where none is configured: systemd makes it for the service.
pub const DEFAULT_DIR: &str = "/var/lib/floorgate";

/// The name of a user of this machine; of one that only a directory service knows, the number.
pub fn user(uid: u32) -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut columns = line.split(':');
        let name = columns.next()?;
        (columns.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("uid {uid}"))
}

/// Who this process is.
fn us() -> u32 {
    geteuid().as_raw()
}

/// What is there of a path: itself, or the folder that it would be made in; and whose that is.
fn there(path: &Path) -> Option<(PathBuf, u32)> {
    path.ancestors().find_map(|path| Some((path.to_owned(), path.metadata().ok()?.uid())))
}

/// An error of reading the data directory's file `path`.
pub(super) fn unread(path: &Path, error: io::Error) -> StorageError {
    match there(path).filter(|(_, owner)| error.kind() == io::ErrorKind::PermissionDenied && *owner != us()) {
        Some((found, owner)) => {
            let (us, found, name) = (user(us()), found.display(), user(owner));
            let or = if owner == 0 { String::new() } else { format!(", as {name},") };
            StorageError::Denied(format!(
                "user {us} may not read {found}, which belongs to {name}: run this as root{or} or as one of its group"
            ))
        }
        None => StorageError::Directory(path.display().to_string(), error),
    }
}

/// An error of making or writing `path`, which is the data directory `dir` or lies in it.
pub(super) fn unwritten(dir: &Path, path: &Path, error: io::Error) -> StorageError {
    let found = there(path).filter(|(_, owner)| error.kind() == io::ErrorKind::PermissionDenied && *owner != us());
    let (us, dir_shown) = (user(us()), dir.display());
    match found {
        Some((found, _)) if !found.starts_with(dir) => StorageError::Denied(format!(
            "the data directory {dir_shown} does not exist, and user {us} may not make it in {}: as root `install -d -m 0750 -o {us} {dir_shown}`",
            found.display(),
        )),
        Some((found, owner)) => StorageError::Denied(format!(
            "user {us} may not write {}, which belongs to {owner}: as root `chown -R {us} {dir_shown}`, or run the gateway as {owner}",
            found.display(),
            owner = user(owner),
        )),
        None => StorageError::Directory(path.display().to_string(), error),
    }
}

/// Refuses root on what belongs to another user: that user's gateway could not write what root leaves behind.
pub(super) fn of_us(dir: &Path) -> Result<(), StorageError> {
    let stored = [dir.join(DATABASE), dir.to_owned()];
    let owner = stored.iter().find_map(|path| path.metadata().ok()).map_or(0, |found| found.uid());
    if us() != 0 || owner == 0 {
        return Ok(());
    }
    let (owner, dir) = (user(owner), dir.display());
    Err(StorageError::Denied(format!(
        "the data directory {dir} belongs to {owner}, and this is root, whose files {owner} could not write: run the gateway as {owner} (as a service: `systemctl start floorgate`), or `chown -R root {dir}` if root is to run it"
    )))
}

/// What is to be doubted of `dir` as the place for an outbox of `max_size` bytes, and what to do about it. Changes nothing. Whether
/// another user may write what is there already is that user's to find out.
pub fn doubts(dir: &Path, max_size: u64) -> Vec<(String, String)> {
    let Some((found, owner)) = there(dir) else { return Vec::new() };
    let (shown, place) = (dir.display(), found.display());
    if !found.is_dir() {
        let what = format!("the data directory {shown} can't be used: {place} is no folder");
        return vec![(what, "name another one".to_owned())];
    }
    let mut doubts = Vec::new();
    let ours = if found == dir { owner == us() } else { dir != Path::new(DEFAULT_DIR) };
    if let Err(why) = access(&found, Access::WRITE_OK | Access::EXEC_OK)
        && (ours || why == Errno::ROFS)
    {
        let what = if found == dir { "written" } else { "made" };
        doubts.push((
            format!("the data directory {shown} can't be {what} by user {}: {place}: {}", user(us()), io::Error::from(why)),
            format!("as a service systemd makes {DEFAULT_DIR}; another one is made as root: `install -d -m 0750 -o USER DIR`"),
        ));
    }
    match disk_bytes(&found) {
        Some((_, 0)) => doubts.push((
            format!("the data directory {shown} can't be made: the file system of {place} has no room at all"),
            "name another one".to_owned(),
        )),
        Some((_, total)) if total < max_size => doubts.push((
            format!(
                "outbox.max_size is {} MiB, and the file system of {place} has {} MiB in all: when less than {} MiB of these are \
                 free the outbox is full, and devices are not acknowledged",
                max_size >> 20,
                total >> 20,
                reserve(total) >> 20
            ),
            "write a smaller max_size, or give the data directory more room".to_owned(),
        )),
        _ => {}
    }
    doubts
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;

    #[test]
    fn what_root_would_leave_behind_for_another_user_is_not_begun() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        of_us(dir.path()).expect("it is ours");
        if us() != 0 {
            return Ok(()); // nobody else can give a file away
        }
        std::fs::write(dir.path().join(DATABASE), "")?;
        chown(dir.path(), Some(65_534), None)?;
        of_us(dir.path()).expect("root has stored something in it");
        std::fs::remove_file(dir.path().join(DATABASE))?;
        let refused = super::super::open::open(dir.path(), "dc1", false).map(drop).expect_err("it is another user's");
        let told = refused.to_string();
        assert!(told.contains(&format!("belongs to {}, and this is root", user(65_534))), "{told}");
        assert_eq!(dir.path().read_dir()?.count(), 0, "nothing is left behind");
        Ok(())
    }

    #[test]
    fn who_may_not_is_told_whose_it_is_and_what_helps() -> io::Result<()> {
        let (dir, no) = (tempfile::tempdir()?, || io::Error::from(io::ErrorKind::PermissionDenied));
        let file = dir.path().join(DATABASE);
        let to_root = Path::new("/proc/version"); // of another user, unless this is root
        assert!(matches!(unread(&file, no()), StorageError::Directory(..)), "it is ours, and something else is wrong");
        if us() != 0 {
            let (us, told) = (user(us()), unread(to_root, no()).to_string());
            let whole = "may not read /proc/version, which belongs to root: run this as root or as one of its group";
            assert_eq!(told, format!("user {us} {whole}"));
            return Ok(());
        }
        std::fs::write(&file, "")?;
        chown(&file, Some(65_534), None)?;
        let (path, owner) = (file.display(), user(65_534));
        let whole = format!(
            "may not read {path}, which belongs to {owner}: run this as root, as {owner}, or as one of its group"
        );
        assert_eq!(unread(&file, no()).to_string(), format!("user root {whole}"));
        let told = unwritten(dir.path(), &file, no()).to_string();
        let (us, dir_shown) = (user(us()), dir.path().display());
        assert!(told.contains(&format!("may not write {path}, which belongs to {owner}")), "{told}");
        assert!(told.contains(&format!("`chown -R {us} {dir_shown}`")), "{told}");
        chown(dir.path(), Some(65_534), None)?;
        let told = unwritten(&dir.path().join("data"), &dir.path().join("data"), no()).to_string();
        assert!(told.contains("/data does not exist, and user ") && told.contains("install -d"), "{told}");
        Ok(())
    }

    #[test]
    fn a_place_that_can_not_hold_an_outbox_is_doubted() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let of = |dir: &Path, size| doubts(dir, size).into_iter().map(|(what, _)| what).collect::<Vec<_>>().join("\n");
        assert_eq!(of(&dir.path().join("a/b"), 1), "", "it is made at a start");
        assert_eq!(of(Path::new(DEFAULT_DIR), 1), "", "whoever looks: systemd makes it");
        let file = dir.path().join("file");
        std::fs::write(&file, "")?;
        assert!(of(&file.join("data"), 1).ends_with("file is no folder"));
        assert!(of(Path::new("/proc/nix/data"), 1).contains("the file system of /proc has no room at all"));
        let told = of(dir.path(), 1 << 60);
        assert!(told.starts_with("outbox.max_size is 1099511627776 MiB, and the file system of /"), "{told}");
        assert!(told.contains(" MiB of these are free the outbox is full"), "{told}");
        Ok(())
    }
}
