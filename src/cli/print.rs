//! Writing to stdout. A reader that went away wants no more: that is not an error.

use std::io::Write as _;

/// Writes `text` to stdout.
pub(super) fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    // Where nobody listens, nobody can be told: what can't be written is dropped.
    drop(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
}
