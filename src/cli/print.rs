//! Writing to stdout and stderr. A reader that went away wants no more: that is not an error.

use std::io::Write;

/// Writes `text` to stdout.
pub(super) fn out(text: &str) {
    write(&mut std::io::stdout().lock(), text);
}

/// Writes `text` to stderr.
pub(super) fn err(text: &str) {
    write(&mut std::io::stderr().lock(), text);
}

/// Where nobody listens, nobody can be told: what can't be written is dropped.
fn write(to: &mut impl Write, text: &str) {
    drop(to.write_all(text.as_bytes()).and_then(|()| to.flush()));
}
