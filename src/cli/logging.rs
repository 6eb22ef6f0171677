//! Logs: to stderr; for people on a terminal, JSON lines otherwise.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Names what is logged: `info`, `debug`, `floorgate::source=debug,info`.
const VARIABLE: &str = "FLOORGATE_LOG";

/// Sets logging up for the whole process. A second call changes nothing.
pub(super) fn init() {
    let builder = || EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).with_env_var(VARIABLE);
    let (filter, wrong) = match builder().try_from_env() {
        Ok(filter) => (filter, None),
        Err(e) if is_unset(&e) => (builder().from_env_lossy(), None),
        Err(e) => (EnvFilter::new("info"), Some(e.to_string())),
    };
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let first = if std::io::stderr().is_terminal() {
        logs.with_target(false).try_init().is_ok()
    } else {
        logs.json().flatten_event(true).with_current_span(false).try_init().is_ok()
    };
    if let (true, Some(why)) = (first, wrong) {
        tracing::warn!(variable = VARIABLE, why, "can't read the log filter, logging at info");
    }
}

fn is_unset(e: &tracing_subscriber::filter::FromEnvError) -> bool {
    use std::error::Error as _;
    e.source()
        .and_then(|s| s.downcast_ref::<std::env::VarError>())
        .is_some_and(|e| *e == std::env::VarError::NotPresent)
}
