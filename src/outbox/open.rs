//! Opening the database: one gateway a directory, numbered migrations, one run a start.

use std::cmp::Ordering;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use rustix::fs::{Access, access};

use crate::event::Millis;
use crate::lane;
use crate::outbox::Config;
use crate::outbox::capture::regrouped;
use crate::outbox::clock::instant;
use crate::outbox::place;

/// The database's name in the data directory.
pub(super) const DATABASE: &str = "outbox.db";
/// Its lock says that a gateway runs.
const LOCK: &str = "lock";
/// Set aside so that draining can go on when the disk is full.
const BALLAST: &str = "ballast";
const BALLAST_BYTES: u64 = 4 << 20;
/// So much has to be free for it.
const BALLAST_WANTS: u64 = 16 * BALLAST_BYTES;
/// SQL that takes a database from version n to n + 1. Never edit one that has shipped: add the next.
pub(super) const MIGRATIONS: [&str; 16] = [
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
    include_str!("schema/0004.sql"),
    include_str!("schema/0005.sql"),
    include_str!("schema/0006.sql"),
    include_str!("schema/0007.sql"),
    include_str!("schema/0008_requests.sql"),
    include_str!("schema/0009_holes.sql"),
    include_str!("schema/0010_uptime.sql"),
    include_str!("schema/0011_kept.sql"),
    include_str!("schema/0012_exceptions.sql"),
    include_str!("schema/0013_requests.sql"),
    include_str!("schema/0014_goes_from.sql"),
    include_str!("schema/0015_whole.sql"),
    include_str!("schema/0016_storm.sql"),
];

/// A database of this version in memory, with nothing in it.
#[cfg(test)]
pub(super) fn empty() -> Result<Connection, rusqlite::Error> {
    let db = Connection::open_in_memory()?;
    MIGRATIONS.iter().try_for_each(|sql| db.execute_batch(sql))?;
    Ok(db)
}

/// Why the outbox can't be opened or has to stop.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Another gateway has the directory.
    #[error("another floorgate already runs on {dir}{}: stop it first, or give this one a data_dir of its own", holder(*.pid))]
    Taken {
        /// The directory.
        dir: String,
        /// The process that has it, where the system tells.
        pid: Option<u32>,
    },
    /// The directory can't be used.
    #[error("the data directory {0} can't be used: {1}")]
    Directory(String, io::Error),
    /// It, or a file in it, is another user's: what to do, in a sentence.
    #[error("{0}")]
    Denied(String),
    /// Something has written over the database.
    #[error(
        "{path}: {why}: it was overwritten or damaged. Move outbox.db and outbox.db-wal away, keep them, and start with an empty outbox: \
         what was not posted yet stands in them alone. An older copy that is put back posts again what has left since"
    )]
    Damaged {
        /// The database.
        path: String,
        /// What SQLite says.
        why: rusqlite::Error,
    },
    /// A file of no bytes, which a start would make a database of.
    #[error(
        "{0} is empty, and no database yet: a start makes one of it. If a full disk kept the last start from that, make room before; if \
         it held something, that is lost"
    )]
    Empty(String),
    /// Something else lies where the database does.
    #[error("{0} is {1}, and no outbox: move it away, or name another data_dir")]
    Foreign(String, &'static str),
    /// A later floorgate wrote the database.
    #[error("{path} has schema {found}, and this floorgate knows up to {known}: install the later version again")]
    Newer {
        /// The database.
        path: String,
        /// Its version.
        found: usize,
        /// Ours.
        known: usize,
    },
    /// An earlier version wrote this database, and only a start brings it up to date.
    #[error(
        "{path} has schema {found}, and this floorgate reads {known}: a copy wants its outbox.db-wal beside it, or the version that wrote it; of a gateway, start that once"
    )]
    Older {
        /// The database.
        path: String,
        /// Its version.
        found: usize,
        /// Ours.
        known: usize,
    },
    /// The site is part of every key.
    #[error(
        "this outbox belongs to site \"{stored}\", and the configuration says \"{configured}\": keys would change under \
             what is stored. Put the id back, or use another data_dir"
    )]
    OtherSite {
        /// As stored.
        stored: String,
        /// As configured.
        configured: String,
    },
    /// The system is part of every posting's key.
    #[error(
        "lane {lane} has rows to post to system \"{stored}\", and the configuration says \"{configured}\": their keys would \
             change. Put the target's id back, or give the lane a new id"
    )]
    OtherSystem {
        /// Lane id.
        lane: String,
        /// As stored.
        stored: String,
        /// As configured.
        configured: String,
    },
    /// The business unit is part of every order key.
    #[error(
        "lane {lane} has rows to post of business unit \"{stored}\", and the configuration says \"{configured}\": what comes would not \
             wait for them. Put the business unit back until the lane is empty (`floorgate outbox status`)"
    )]
    OtherUnit {
        /// Lane id.
        lane: String,
        /// As stored.
        stored: String,
        /// As configured.
        configured: String,
    },
    /// Rows wait for the earlier ones of their subject within one lane.
    #[error(
        "lane {lane} has rows of type {tx_type} to post, and lane {heir} takes that type now: what comes would not wait for them. \
             Put `take` of lane {lane} back until it is empty (`floorgate outbox status`)"
    )]
    Regrouped {
        /// The lane with the rows, configured or not.
        lane: String,
        /// Their type.
        tx_type: String,
        /// The lane that takes it now.
        heir: String,
    },
    /// No room on the disk for what was to be captured; nothing of it is stored, and nothing is broken.
    #[error("the disk is full: make room on the file system of the data directory")]
    NoRoom,
    /// SQLite failed.
    #[error("the database: {0}")]
    Sql(#[from] rusqlite::Error),
}

impl StorageError {
    /// An error of a start. SQLite calls some of what a full disk does to it an I/O error.
    pub(super) fn of_start(self, dir: &Path) -> Self {
        match self {
            Self::Sql(_) if disk_bytes(dir).is_some_and(is_short) => Self::NoRoom,
            Self::Sql(e) if is_damage(&e) => Self::Damaged { path: dir.join(DATABASE).display().to_string(), why: e },
            other => other,
        }
    }

    /// An error of a transaction that was rolled back before anything of it counted.
    pub(super) fn of_capture(e: rusqlite::Error) -> Self {
        match e.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::NoRoom,
            _ => Self::Sql(e),
        }
    }
}

/// It is no database, or not a whole one.
fn is_damage(e: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(e.sqlite_error_code(), Some(NotADatabase | DatabaseCorrupt))
}

/// What a start finds.
pub(super) struct Opened {
    pub(super) db: Connection,
    /// Held as long as the gateway runs.
    pub(super) lock: File,
    /// Random, made with the database: 16 hex digits.
    pub(super) incarnation: String,
    pub(super) run: i64,
    /// When the machine had started, if there were runs before that.
    pub(super) booted: Option<Millis>,
    pub(super) last_wall: Millis,
}

/// Opens the outbox for its one writer.
pub(super) fn open(dir: &Path, site: &str, synchronous_normal: bool) -> Result<Opened, StorageError> {
    let shown = dir.display().to_string();
    let refused = |path: &Path, e| place::unwritten(dir, path, e);
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(dir).map_err(|e| refused(dir, e))?;
    place::of_us(dir)?;
    let path = dir.join(LOCK);
    let lock = private(&path).map_err(|e| refused(&path, e))?;
    take(&lock, PATIENCE).map_err(|e| match e {
        TryLockError::WouldBlock => StorageError::Taken { dir: shown.clone(), pid: lock_holder(&lock) },
        TryLockError::Error(e) => StorageError::Directory(shown.clone(), e),
    })?;
    // On a full disk the start itself needs the room.
    if disk_bytes(dir).is_some_and(is_short) {
        drop_ballast(dir);
    } else {
        keep_ballast(dir);
    }
    let path = dir.join(DATABASE);
    // What SQLite lays beside the database gets the database's mode.
    for name in [DATABASE.to_owned(), format!("{DATABASE}-wal"), format!("{DATABASE}-shm")] {
        let path = dir.join(name);
        if path.exists() || path.ends_with(DATABASE) {
            private(&path).map_err(|e| refused(&path, e))?;
        }
    }
    let mut db = Connection::open(&path)?;
    let found = version(&db, &path)?;
    db.set_prepared_statement_cache_capacity(64);
    // Else SQLite plans a statement anew for other values that are bound to it: the one that reads a batch's rows, each time.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.pragma_update(None, "page_size", PAGE_SIZE)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", if synchronous_normal { "NORMAL" } else { "FULL" })?;
    db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    db.pragma_update(None, "journal_size_limit", 64 << 20)?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    migrate(&mut db, &path, found)?;
    sync_dir(dir).map_err(|e| refused(dir, e))?;

    db.execute("INSERT OR IGNORE INTO meta(k, v) VALUES ('site', ?)", [site])?;
    of_site(&db, site)?;
    let incarnation = db.query_row("SELECT v FROM meta WHERE k = 'incarnation'", [], |r| r.get(0))?;
    let last_wall = db.query_row(LAST_WALL, [], |r| r.get(0).map(Millis))?;
    let (run, booted) = begin_run(&mut db, last_wall)?;
    Ok(Opened { db, lock, incarnation, run, booted, last_wall })
}

/// From now on a copy of the database without its WAL says that one belongs to it. That is written into the database itself, and not
/// with the next 8 MiB; what hinders it keeps no gateway from starting.
pub(super) fn unclosed(db: &Connection) -> Result<(), rusqlite::Error> {
    db.execute("INSERT OR REPLACE INTO meta(k, v) VALUES ('unclosed', 1)", [])?;
    drop(checkpoint(db, "PASSIVE"));
    Ok(())
}

/// The database is closed when all is in it. Where that can't be said any more, it stays unclosed.
pub(super) fn close(db: &Connection) -> Result<(), rusqlite::Error> {
    drop(db.execute("DELETE FROM meta WHERE k = 'unclosed'", []));
    checkpoint(db, "TRUNCATE")
}

fn checkpoint(db: &Connection, mode: &str) -> Result<(), rusqlite::Error> {
    db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))
}

fn of_site(db: &Connection, site: &str) -> Result<(), StorageError> {
    let stored: String = db.query_row("SELECT v FROM meta WHERE k = 'site'", [], |r| r.get(0))?;
    if stored == site { Ok(()) } else { Err(StorageError::OtherSite { stored, configured: site.to_owned() }) }
}

/// Whether a start with this configuration would refuse what is stored: nothing is changed, beside a running gateway or without one. No
/// database refuses nothing.
///
/// # Errors
/// What the start would say, or why it can't be read; [`StorageError::Older`]: only the start can tell, which brings it up to date.
pub fn fits(config: &Config, lanes: &[lane::Config]) -> Result<(), StorageError> {
    let path = config.dir.join(DATABASE);
    if !path.try_exists().map_err(|e| place::unread(&path, e))? {
        return Ok(());
    }
    reading(&config.dir, |db| {
        of_site(db, &config.site)?;
        regrouped::check(db, lanes).map(drop)
    })
}

/// The last moment that is stored. What was left unheard is written down at a start, in no order of time, so that the newest attempt
/// is not the last one; and a batch is written when it leaves.
pub(super) const LAST_WALL: &str = "SELECT max(
    coalesce((SELECT recorded_at FROM event ORDER BY seq DESC LIMIT 1), 0),
    coalesce((SELECT max(at) FROM (SELECT at FROM attempt ORDER BY id DESC LIMIT 1000)), 0),
    coalesce((SELECT max(max(first_sent, last_sent)) FROM batch), 0),
    coalesce((SELECT max(good_at) FROM lane), 0))";

/// A gateway that was killed has its lock until the system has cleared it away: a start behind it waits that long.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// How often its holder is looked for.
const LOCK_LOOKS: u32 = 10;

/// Takes the lock, which its last holder may still be giving up.
fn take(lock: &File, patience: Duration) -> Result<(), TryLockError> {
    let start = instant();
    loop {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) if start.elapsed() < patience => std::thread::sleep(LOOK),
            taken => return taken,
        }
    }
}

/// The process that has the lock, from the system's list: `1: FLOCK  ADVISORY  WRITE 4711 fd:01:131090 0 EOF`. That is told in pieces:
/// a lock may be missing in it where others go meanwhile, and is looked for again.
fn lock_holder(lock: &File) -> Option<u32> {
    let inode = format!(":{}", lock.metadata().ok()?.ino());
    let held = |line: &str| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "FLOCK");
        let pid = words.nth(3)?.parse().ok()?;
        words.next()?.ends_with(&inode).then_some(pid)
    };
    (0..LOCK_LOOKS).find_map(|_| std::fs::read_to_string("/proc/locks").ok()?.lines().find_map(held))
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(", process {pid}"))
}

/// A file that nobody but the user and its group can read, whatever the umask is and an earlier version has left.
fn private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & !FILE_MODE & 0o777 != 0 {
        file.set_permissions(Permissions::from_mode(mode & FILE_MODE))?;
    }
    Ok(file)
}

/// Of a data directory that is made.
const DIRECTORY_MODE: u32 = 0o750;
/// Of what lies in it: shipments are nobody else's business.
const FILE_MODE: u32 = 0o640;

/// 1 KiB: see docs/performance.md for the bytes written with 1, 2 and 4 KiB.
const PAGE_SIZE: i64 = 1_024;
/// WAL pages after which the writer itself checkpoints (8 MiB).
const CHECKPOINT_PAGES: i64 = 8_192;
const CACHE_KIB: i64 = 2_048;

/// What is read of the outbox in `dir`, whether a gateway runs on it or not. A database at rest is read without locks: where a gateway
/// has written to it meanwhile, what was read may be neither what was nor what is, or no database at all, and it is read anew.
pub(super) fn reading<T, E: Into<StorageError>>(
    dir: &Path,
    mut read: impl FnMut(&mut Connection) -> Result<T, E>,
) -> Result<T, StorageError> {
    let written = || std::fs::metadata(dir.join(DATABASE)).and_then(|file| file.modified()).ok();
    let mut tries = 1;
    loop {
        let (before, at_rest) = (written(), at_rest(dir));
        let found = opened_to_read(dir, at_rest).and_then(|mut db| read(&mut db).map_err(Into::into));
        if !at_rest || written() == before || tries == READINGS {
            return found;
        }
        tries += 1;
    }
}

/// How often a database at rest is read, at most.
const READINGS: u32 = 4;

/// A gateway that runs has a WAL beside the database: without one nobody writes.
pub(super) fn at_rest(dir: &Path) -> bool {
    !dir.join(format!("{DATABASE}-wal")).exists()
}

/// Opens the outbox read-only, whether a gateway runs on it or not.
#[cfg(test)]
pub(super) fn open_read_only(dir: &Path) -> Result<Connection, StorageError> {
    opened_to_read(dir, at_rest(dir))
}

fn opened_to_read(dir: &Path, at_rest: bool) -> Result<Connection, StorageError> {
    let path = dir.join(DATABASE);
    let opened = read_only(dir, at_rest).and_then(|db| Ok((version(&db, &path)?, db)));
    let (found, db) = opened.map_err(|e| match e {
        StorageError::Sql(why) if is_damage(&why) => StorageError::Damaged { path: path.display().to_string(), why },
        other => other,
    })?;
    let known = MIGRATIONS.len();
    match found.cmp(&known) {
        Ordering::Less if found == 0 && path.metadata().is_ok_and(|file| file.len() == 0) => {
            Err(StorageError::Empty(path.display().to_string()))
        }
        Ordering::Less => Err(StorageError::Older { path: path.display().to_string(), found, known }),
        Ordering::Greater => Err(newer(&path, found)),
        Ordering::Equal => Ok(db),
    }
}

fn read_only(dir: &Path, at_rest: bool) -> Result<Connection, StorageError> {
    let path = dir.join(DATABASE);
    match std::fs::metadata(&path) {
        Ok(found) if found.is_dir() => return Err(StorageError::Foreign(path.display().to_string(), "a folder")),
        Ok(_) => {}
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(place::unread(&path, e)),
        Err(_) => {
            let missing = io::Error::new(
                io::ErrorKind::NotFound,
                "there is no outbox.db here: has a gateway run with this data_dir?",
            );
            return Err(StorageError::Directory(dir.display().to_string(), missing));
        }
    }
    access(&path, Access::READ_OK).map_err(|e| place::unread(&path, e.into()))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // At rest the files need not be writable.
    let db = match path.to_str().filter(|path| at_rest && !path.contains(['?', '#', '%'])) {
        Some(path) => {
            Connection::open_with_flags(format!("file:{path}?immutable=1"), flags | OpenFlags::SQLITE_OPEN_URI)?
        }
        None => Connection::open_with_flags(&path, flags)?,
    };
    db.busy_timeout(Duration::from_secs(5))?;
    match db.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(())) {
        // A copy with its WAL on a medium that can't be written.
        Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::CannotOpen) => Ok(open_still(&path)?),
        Err(e) => Err(e.into()),
        Ok(()) => Ok(db),
    }
}

/// Opens a database with its WAL where nothing can be written and nobody runs: what SQLite lays beside a WAL stays in memory, and
/// there are no locks.
fn open_still(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags_and_vfs(path, flags, "unix-none")?;
    db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    Ok(db)
}

/// What a source remembers under that name.
pub(super) fn memory(db: &Connection, name: &str) -> Result<Option<Vec<u8>>, rusqlite::Error> {
    db.query_row("SELECT bytes FROM memory WHERE name = ?", [name], |r| r.get(0)).optional()
}

/// The database's version. An outbox has one from its first table on.
fn version(db: &Connection, path: &Path) -> Result<usize, StorageError> {
    let found = db.query_row("PRAGMA user_version", [], |r| r.get::<_, i64>(0))?.try_into().unwrap_or(usize::MAX);
    if found == 0 && db.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_master)", [], |r| r.get(0))? {
        return Err(StorageError::Foreign(path.display().to_string(), "a database of something else"));
    }
    Ok(found)
}

fn newer(path: &Path, found: usize) -> StorageError {
    StorageError::Newer { path: path.display().to_string(), found, known: MIGRATIONS.len() }
}

fn migrate(db: &mut Connection, path: &Path, found: usize) -> Result<(), StorageError> {
    if found > MIGRATIONS.len() {
        return Err(newer(path, found));
    }
    for (version, sql) in MIGRATIONS.iter().enumerate().skip(found) {
        let tx = db.transaction()?;
        tx.execute_batch(sql)?;
        if version == 0 {
            tx.execute("INSERT INTO meta(k, v) VALUES ('incarnation', lower(hex(randomblob(8))))", [])?;
        }
        tx.pragma_update(None, "user_version", i64::try_from(version + 1).unwrap_or(i64::MAX))?;
        tx.commit()?;
    }
    Ok(())
}

/// The number of this run; and when the machine had started, if there were runs before.
fn begin_run(db: &mut Connection, last_wall: Millis) -> Result<(i64, Option<Millis>), StorageError> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let boot = boot.trim();
    // What was counted from another start of the machine, or from nobody knows which, tells nothing any more.
    let sql = "UPDATE batch SET uptime = NULL WHERE ?1 = '' OR ?1 <> (SELECT boot FROM run ORDER BY id DESC LIMIT 1)";
    db.execute(sql, [boot])?;
    let before = db.query_row("SELECT EXISTS (SELECT 1 FROM run WHERE boot <> ?)", [boot], |r| r.get::<_, bool>(0))?;
    let sql = "INSERT INTO run(boot, at) VALUES (?, max(unixepoch() * 1000, ?))";
    db.execute(sql, params![boot, last_wall.0])?;
    let run = db.last_insert_rowid();
    let booted = db.query_row("SELECT min(at) FROM run WHERE boot = ?", [boot], |r| r.get(0).map(Millis))?;
    // A run that no event refers to any more has nothing to tell, but for the first one after the machine's start.
    let oldest: Option<i64> =
        db.query_row("SELECT run FROM event ORDER BY seq LIMIT 1", [], |r| r.get(0)).optional()?;
    db.execute("DELETE FROM run WHERE id < ? AND boot <> ?", params![oldest.unwrap_or(run), boot])?;
    Ok((run, before.then_some(booted)))
}

/// A new file's name is durable only when its directory is.
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Sets the ballast aside if there is room for it, or says why it is not there.
pub(super) fn keep_ballast(dir: &Path) {
    let path = dir.join(BALLAST);
    if std::fs::metadata(&path).is_ok_and(|m| m.len() == BALLAST_BYTES) {
        return;
    }
    let (free, _) = disk_bytes(dir).unwrap_or((0, 0));
    if free < BALLAST_WANTS {
        tracing::warn!(
            "no ballast is set aside, for which {} MiB have to be free: a disk that is filled to its last byte gets nothing back, and the \
             gateway ends (74) until there is room",
            BALLAST_WANTS >> 20
        );
        return;
    }
    let zeros = vec![0; usize::try_from(BALLAST_BYTES).unwrap_or(0)];
    if let Err(e) = private(&path).and_then(|mut file| file.write_all(&zeros)) {
        tracing::warn!(error = %e, "no ballast could be set aside");
    }
}

/// Gives the ballast back to the disk; `false` when there was none.
pub(super) fn drop_ballast(dir: &Path) -> bool {
    std::fs::remove_file(dir.join(BALLAST)).is_ok()
}

/// Below this, the disk counts as full …
const RESERVE_BYTES: u64 = 16 << 20;
/// … or below this part of it, where it is small.
const RESERVE_PART: u64 = 8;

/// Whether (free, total) bytes are too few to take more in.
pub(super) fn is_short((free, total): (u64, u64)) -> bool {
    free < reserve(total)
}

/// So many bytes of a file system of that size are left free.
pub(super) fn reserve(total: u64) -> u64 {
    RESERVE_BYTES.min(total / RESERVE_PART)
}

/// Bytes that the file system still has for us, and has in all.
pub(super) fn disk_bytes(dir: &Path) -> Option<(u64, u64)> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    Some((stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_cannot_be_written_is_read_with_its_wal() -> Result<(), rusqlite::Error> {
        let (dir, copy) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
        let written = Connection::open(dir.path().join(DATABASE))?;
        written.pragma_update(None, "journal_mode", "WAL")?;
        written.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (7);")?;
        for name in [DATABASE, "outbox.db-wal"] {
            std::fs::copy(dir.path().join(name), copy.path().join(name)).expect("it can be copied");
        }
        let db = open_still(&copy.path().join(DATABASE))?;
        assert_eq!(db.query_row("SELECT a FROM t", [], |r| r.get::<_, i64>(0))?, 7, "it stands in the WAL alone");
        assert!(!copy.path().join("outbox.db-shm").exists(), "nothing is laid beside it");
        Ok(())
    }

    /// A gateway starts on it, writes all of it anew, and runs on or ends, while somebody is half through.
    #[test]
    fn a_database_at_rest_that_a_gateway_has_written_to_meanwhile_is_read_anew() -> Result<(), StorageError> {
        for runs_on in [true, false] {
            let dir = tempfile::tempdir().expect("a directory");
            let write = |gateway: &Opened, letter: &str| {
                gateway.db.execute_batch(&format!(
                    "DELETE FROM memory; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
                     INSERT INTO memory SELECT '{letter}' || i, randomblob(500 + i % 700) FROM n; PRAGMA wal_checkpoint"
                ))
            };
            write(&open(dir.path(), "dc1", false)?, "a")?;
            let (mut gateway, mut tries) = (None, 0);
            let read = reading(dir.path(), |db| {
                tries += 1;
                let mut statement = db.prepare("SELECT name, bytes FROM memory")?;
                let (mut rows, mut names) = (statement.query([])?, Vec::new());
                while let Some(row) = rows.next()? {
                    names.push(row.get::<_, String>(0)?);
                    if names.len() == 2_500 && tries == 1 {
                        let started = open(dir.path(), "dc1", false)?;
                        write(&started, "b")?;
                        gateway = Some(started).filter(|_| runs_on);
                    }
                }
                Ok::<_, StorageError>(names)
            })?;
            assert_eq!((read.len(), tries), (5_000, 2), "{runs_on}");
            assert!(read.iter().all(|name| name.starts_with('b')), "{runs_on}: what is there now");
        }
        Ok(())
    }

    #[test]
    fn a_database_of_another_version_is_named_as_that() -> Result<(), StorageError> {
        let dir = tempfile::tempdir().expect("a directory");
        drop(open(dir.path(), "dc1", false)?);
        for (version, told) in [(3, "a copy wants its outbox.db-wal beside it"), (99, "install the later version")] {
            let db = Connection::open(dir.path().join(DATABASE))?;
            db.pragma_update(None, "user_version", version)?;
            drop(db);
            let why = open_read_only(dir.path()).expect_err("it is another version's").to_string();
            assert!(why.contains(told), "{why}");
        }
        Ok(())
    }

    /// The batches of a lane that was asked last left first.
    #[test]
    fn every_batch_of_before_the_machine_s_start_is_older_than_it() -> Result<(), StorageError> {
        let dir = tempfile::tempdir().expect("a directory");
        drop(open(dir.path(), "dc1", false)?);
        let db = Connection::open(dir.path().join(DATABASE))?;
        // Like the clock of a machine without battery, this one starts before what was stored.
        let last = 4_000_000_000_000_i64;
        db.execute_batch(&format!(
            "UPDATE run SET boot = 'another', at = {last};
             INSERT INTO lane(id, name, system) VALUES (1, 'a', 'erp'), (2, 'b', 'erp');
             INSERT INTO batch(lane, id, attempt, first_sent, last_sent, uptime, renderer, sum, rows) VALUES
                 (1, 7, 1, {last} + 20000, {last} + 20000, 7, 2, 0, x'0101'), (2, 3, 1, {last} + 1000, {last} + 1000, 7, 2, 0, x'0101');"
        ))?;
        drop(db);
        let opened = open(dir.path(), "dc1", false)?;
        assert_eq!((opened.booted, opened.last_wall), (Some(Millis(last + 20_000)), Millis(last + 20_000)));
        let counted = |db: &Connection| db.query_row("SELECT count(uptime) FROM batch", [], |r| r.get::<_, i64>(0));
        assert_eq!(counted(&opened.db)?, 0, "it was counted from another start");
        opened.db.execute("UPDATE batch SET uptime = 7", [])?;
        drop(opened);
        let opened = open(dir.path(), "dc1", false)?;
        assert_eq!(counted(&opened.db)?, 2, "the machine runs on");
        // An accepted one leaves no attempt behind, and one that was heard leaves no batch.
        opened.db.execute_batch(&format!(
            "DELETE FROM batch; INSERT INTO attempt(lane, batch, attempt, at, rows, first_seq, last_seq, class) VALUES
                 (1, 7, 1, {last} + 30000, 1, 1, 1, 'unheard'), (2, 3, 1, {last} + 1000, 1, 1, 1, 'unheard');"
        ))?;
        drop(opened);
        assert_eq!(open(dir.path(), "dc1", false)?.last_wall, Millis(last + 30_000));
        Ok(())
    }

    #[test]
    fn a_start_waits_for_the_lock_of_a_gateway_that_has_just_ended() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join(LOCK);
        let (ending, starting) = (private(&path).expect("a file"), private(&path).expect("the same file"));
        ending.try_lock().expect("nobody else has it");
        assert!(matches!(take(&starting, Duration::ZERO), Err(TryLockError::WouldBlock)), "it is taken");
        assert_eq!(lock_holder(&starting), Some(std::process::id()));
        let end = std::thread::spawn(move || drop(ending));
        take(&starting, PATIENCE).expect("the lock is free within the patience of a start");
        end.join().expect("it ended");
    }
}
