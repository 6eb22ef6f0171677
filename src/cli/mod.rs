//! The command line: one file a verb.
//!
//! What a verb produces goes to stdout, what it has to say about itself (logs, usage) to stderr. A reader that goes
//! away early (`| head`) is no error. Exit codes: [`crate::app::Exit`].

mod check;
mod completions;
mod dead;
mod hold;
mod logging;
mod map;
mod modbus;
mod mqtt;
mod outbox;
mod place;
mod print;
mod run;
mod scan;
mod schema;
mod status;
mod tap;
mod target;
mod trace;
mod trouble;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};
use serde::de::DeserializeOwned;

use crate::app::Exit;
use crate::cli::place::Place;
use crate::control::{self, Request, Unanswered};
use crate::outbox::read::Bounds;
use crate::outbox::read::find::Rest;
#[cfg(feature = "sim")]
use crate::sim::demo::{self, DemoArgs};
use crate::{config, form};

/// The gateway between a warehouse floor (Modbus, MQTT) and its ERP.
///
/// Each event is kept in a local outbox before the device is acknowledged, and posted to the ERP exactly once in
/// effect, in order for each subject, or visibly parked with a reason.
#[derive(Debug, Parser)]
#[command(name = "floorgate", version, arg_required_else_help = true, after_help = AFTER, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const AFTER: &str = "\
Exit codes:
  0   done               1   a test failed    64  wrong usage      65  invalid data
  69  nobody answers     70  internal error   74  storage error    78  wrong configuration";

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Args),
    Check(check::Args),
    Status(status::Args),
    Tap(tap::Args),
    Trace(trace::Args),
    #[command(subcommand)]
    Outbox(outbox::Verb),
    #[command(subcommand)]
    Dead(dead::Verb),
    Hold(hold::Args),
    Release(hold::Release),
    #[command(subcommand)]
    Target(target::Verb),
    #[command(subcommand)]
    Scan(scan::Verb),
    #[command(subcommand)]
    Map(map::Verb),
    Schema(schema::Args),
    #[command(subcommand)]
    Modbus(modbus::Verb),
    #[command(subcommand)]
    Mqtt(mqtt::Verb),
    Completions(completions::Args),
    #[cfg(feature = "sim")]
    Demo(DemoArgs),
}

/// The configuration that a verb reads.
#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration; FLOORGATE_CONFIG in the environment names another default
    #[arg(long = "config", value_name = "FILE", default_value_os_t = config::default_file())]
    path: PathBuf,
}

/// `500ms`, `20s`.
fn duration(text: &str) -> Result<Duration, String> {
    let read = form::Duration::parse(text).filter(|time| !time.0.is_zero());
    read.map(|time| time.0).ok_or_else(|| "write a time with its unit: 500ms, 20s, 5m".to_owned())
}

/// Asks the gateway to carry out what a person has decided.
fn decided<T: DeserializeOwned>(dir: &Path, request: Request) -> Result<T, (String, Exit)> {
    control::ask(dir, request).map_err(|why| match why {
        Unanswered::NotRunning(_) => (format!("{why}: start it where it belongs, it carries out what you decide (never one on a copy: it would post again)"), Exit::Unavailable),
        _ => (why.to_string(), Exit::Unavailable),
    })
}

/// The bounds of the outbox in `dir`, where no configuration says them those of the gateway that runs on it; and what it means if
/// none runs.
fn beside(dir: &Path, bounds: Option<Bounds>, place: &Place) -> (Option<Bounds>, Option<Rest>) {
    let gateway = control::ask(dir, Request::Status);
    let rest = rest(gateway.as_ref().err(), place.names_dir());
    (bounds.or_else(|| gateway.ok().map(|gateway: control::Status| gateway.bounds)), rest)
}

/// What it means that no gateway runs, if none does. `named`: the directory itself was.
fn rest(unanswered: Option<&Unanswered>, named: bool) -> Option<Rest> {
    matches!(unanswered, Some(Unanswered::NotRunning(_))).then_some(if named { Rest::Copy } else { Rest::Ended })
}

/// A new name for a command.
fn request_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// Runs what a verb has to wait for, on this thread.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|e| e.to_string())?.block_on(work))
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    run_from(std::env::args_os())
}

fn run_from(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match Cli::try_parse_from(arguments) {
        Ok(cli) => match cli.verb {
            Verb::Run(args) => run::run(&args),
            Verb::Check(args) => check::run(&args),
            Verb::Status(args) => status::run(&args),
            Verb::Tap(args) => tap::run(&args),
            Verb::Trace(args) => trace::run(&args),
            Verb::Outbox(args) => outbox::run(&args),
            Verb::Dead(args) => dead::run(&args),
            Verb::Hold(args) => hold::run(&args),
            Verb::Release(args) => hold::release(&args),
            Verb::Target(args) => target::run(&args),
            Verb::Scan(args) => scan::run(&args),
            Verb::Map(args) => map::run(&args),
            Verb::Schema(args) => schema::run(&args),
            Verb::Modbus(args) => modbus::run(&args),
            Verb::Mqtt(args) => mqtt::run(&args),
            Verb::Completions(args) => completions::run(&args, Cli::command()),
            #[cfg(feature = "sim")]
            Verb::Demo(args) => demo::run(&args),
        },
        Err(e) => {
            // A reader that went away is no error; anything else can't be told either.
            drop(e.print());
            if e.use_stderr() { Exit::Usage.into() } else { Exit::Clean.into() }
        }
    }
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use super::*;

    fn exit(arguments: &[&str]) -> ExitCode {
        run_from(["floorgate"].iter().chain(arguments).map(OsString::from))
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_usage_ends_with_64_and_help_with_0() {
        let cases: [(&[&str], Exit); 13] = [
            (&["chekc"], Exit::Usage),
            (&["check", "--rate", "0"], Exit::Usage),
            (&["completions"], Exit::Usage),
            (&["dead", "resolve", "SH-1", "--reason", "it is there"], Exit::Usage),
            (&["--version"], Exit::Clean),
            (&["check", "--help"], Exit::Clean),
            (&["check", "--config", "no/such.toml"], Exit::Config),
            (&["scan", "decode", "00395212345000000125"], Exit::Clean),
            (&["scan", "decode", "00395212345000000126"], Exit::Data),
            (&["map", "test", "no/such/folder"], Exit::Config),
            (&["map", "explain", "sorter@1"], Exit::Clean),
            (&["map", "explain", "hand-scanner@1", "--json"], Exit::Config),
            (&["schema", "map"], Exit::Clean),
        ];
        for (arguments, expected) in cases {
            assert_eq!(exit(arguments), expected.into(), "{arguments:?}");
        }
    }

    #[test]
    fn every_verb_shows_examples() {
        examples(&Cli::command(), "floorgate");
    }

    fn examples(command: &clap::Command, name: &str) {
        for verb in command.get_subcommands() {
            let name = format!("{name} {}", verb.get_name());
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            let shown = help.contains("Examples:\n") && help.contains(&format!("\n  {name}"));
            assert!(shown || verb.has_subcommands(), "{name}: {help}");
            examples(verb, &name);
        }
    }

    /// The help of every verb, as `docs/cli.md` shows it.
    fn reference() -> String {
        let mut command = Cli::command().term_width(90).disable_help_subcommand(true);
        command.build();
        let mut text = "# Command line\n\nWritten from the help texts: `FLOORGATE_RENEW=1 cargo test --lib cli_reference` renews it.\n\
                        [support.md](support.md) shows what `status` and `outbox` print, and what to do then.\n".to_owned();
        sections(&mut command, "floorgate", &mut text);
        text
    }

    fn sections(command: &mut clap::Command, name: &str, text: &mut String) {
        let help = command.render_long_help().to_string();
        let help: Vec<&str> = help.lines().map(str::trim_end).collect();
        *text += &["\n## `", name, "`\n\n```text\n", help.join("\n").trim_end(), "\n```\n"].concat();
        for verb in command.get_subcommands_mut() {
            let name = format!("{name} {}", verb.get_name());
            sections(verb, &name, text);
        }
    }

    #[test]
    fn cli_reference_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
        if std::env::var_os("FLOORGATE_RENEW").is_some() {
            std::fs::write(&path, reference()).expect("docs/cli.md can be written");
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(written, reference(), "stale: FLOORGATE_RENEW=1 cargo test --lib cli_reference renews docs/cli.md");
    }
}
