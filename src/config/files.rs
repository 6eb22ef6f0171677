//! Reading files with a bound, and secrets.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::config::Reading;
use crate::form::Entry;

/// Largest configuration or map, bytes.
const MAX_TEXT: u64 = 4 << 20;
/// Largest secret, bytes.
const MAX_SECRET: u64 = 64 << 10;
/// Permission bits that let anyone on the machine read.
const OTHERS_READ: u32 = 0o004;

/// The configuration where the command line names none: as `FLOORGATE_CONFIG` in the environment says, or the usual place.
pub fn default_file() -> PathBuf {
    let named = std::env::var_os("FLOORGATE_CONFIG").filter(|named| !named.is_empty());
    named.map_or_else(|| PathBuf::from("/etc/floorgate/gateway.toml"), PathBuf::from)
}

/// The text of a file.
pub(crate) fn text(path: &Path) -> Result<String, String> {
    let bytes = bounded(path, MAX_TEXT)?;
    String::from_utf8(bytes).map_err(|e| format!("not UTF-8 at byte {}", e.utf8_error().valid_up_to()))
}

/// A secret: the file's text without the line end behind it.
pub(super) fn secret(path: &Path) -> Result<String, String> {
    let bytes = bounded(path, MAX_SECRET)?;
    let text = String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() { Err("empty".to_owned()) } else { Ok(secret.to_owned()) }
}

/// Warns where anyone on the machine may read a secret's file, which the entry names.
pub(super) fn private(entry: &Entry<'_>, reading: &Reading, path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    if std::fs::metadata(path).is_ok_and(|m| m.permissions().mode() & OTHERS_READ != 0) {
        let message = format!("{} may be read by everyone", path.display());
        reading.warn(entry.fault(&message, "chmod 0600, owned by the service's user"));
    }
}

fn bounded(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let open = || {
        // A directory opens, and a pipe would wait for ever: only regular files are read.
        if !std::fs::metadata(path)?.is_file() {
            return Err(std::io::Error::other("not a file"));
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = open().map_err(|e: std::io::Error| plain(&e))?;
    if bytes.len() as u64 > most { Err(format!("larger than {} KiB", most >> 10)) } else { Ok(bytes) }
}

/// An I/O error in words, without the number of the operating system.
fn plain(e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "no permission".to_owned(),
        _ => e.to_string(),
    }
}
