//! `floorgate target verify NAME`: an endpoint against the checklist of docs/erp-contract.md.
//!
//! `page` is the checklist, `judge` and `discovery` say what an answer is worth, `talk` speaks, `reading` and `posting` are
//! the checks of its two parts, `run` leads through them.

mod broken_off;
mod compare;
mod discovery;
mod judge;
mod page;
mod posting;
mod reading;
mod run;
mod talk;

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use serde::Serialize;

use crate::app::Exit;
use crate::cli::print::{self, clean, line};
use crate::cli::{ConfigFile, block_on};
use crate::config;
use crate::lane::Reply;
use crate::source::now;
use crate::target::{Base, Http, Login};

use compare::{Ours, differences};
use page::ROWS;
use run::{Done, End, Run};
use talk::Talk;

/// Check an endpoint against the posting contract, line by line.
///
/// Goes through "What is checked" of docs/erp-contract.md with the target's own credentials and certificates. The first part
/// reads, or sends what every endpoint refuses: it may be run against the productive system. The second part posts the
/// endpoint's `sample` under new keys, and is left out unless its discovery says `test_system: true`. Then the gateway's
/// configuration is compared with discovery: what to write where it differs. Where our own credentials are refused, or the endpoint
/// asks to be left alone (429) for more than a minute in all, the rest is left out.
///
/// The base URL is what stands before `/events` in the target's `url`. Ends with 1 when a check failed, with 69 when
/// nobody answers or it asks to be left alone for that long.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The target's id
    name: String,
    #[command(flatten)]
    config: ConfigFile,
    /// Leave out what posts, on a test system too
    #[arg(long)]
    read_only: bool,
    /// Make these checks only; what they need is posted without being judged
    #[arg(long, value_name = "NAME", num_args = 1.., value_parser = names())]
    check: Vec<String>,
    /// Print one JSON object at the end; what is told meanwhile goes to stderr
    #[arg(long)]
    json: bool,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(ROWS.iter().map(|row| row.name))
}

const EXAMPLES: &str = "\
Examples:
  floorgate target verify erp
  floorgate target verify erp --read-only
  floorgate target verify erp --check race broken-off
  floorgate target verify erp --json | jq -r '.checks[] | select(.end == \"failed\") | .check'";

/// Where an endpoint is, and what it said of itself.
#[derive(Debug, Serialize)]
struct Report<'a> {
    target: &'a str,
    base: String,
    system: String,
    test_system: bool,
    ok: usize,
    failed: usize,
    left_out: usize,
    /// It asks for fewer requests, and what was not checked by then was left out …
    put_off: bool,
    /// … with this `Retry-After`.
    retry_after: Option<String>,
    checks: Vec<Done>,
    /// Where the gateway's configuration differs from discovery, and what to write.
    differences: Vec<String>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let checked = config::check(&args.config.path);
    let config = match checked.config {
        Ok(config) => config,
        Err(faults) => return print::refuse(args.json, &print::faults(&faults), Exit::Config),
    };
    let Some(index) = config.targets.iter().position(|target| target.id == args.name) else {
        let known: Vec<&str> = config.targets.iter().map(|target| target.id.as_str()).collect();
        let why = format!("the configuration has no target \"{}\", but: {}", args.name, known.join(", "));
        return print::refuse(args.json, &why, Exit::Usage);
    };
    let target = &config.targets[index];
    let base = Base::of(&target.url).and_then(|base| Ok((base, Http::new(target.clone())?)));
    let (base, http) = match base {
        Ok(made) => made,
        Err(why) => return print::refuse(args.json, &format!("target {}: {why}", args.name), Exit::Config),
    };
    let lookup = base.at("/lookup", &[]);
    let talk = Talk::new(http, base.clone(), |text| print::err(&format!("    {text}\n")));
    let name = format!("{:08x}{:08x}", fastrand::u32(..), fastrand::u32(..));
    let logs_in = target.login.as_ref().map(Login::named);
    let work = async {
        let mut run = Run::begin(talk, logs_in, (&config.site, &target.id), (name, now().wall)).await?;
        let head = head(&args.name, &base, &run);
        tell(args.json, &head);
        let checks = run.go(&args.check, args.read_only, |done| tell(args.json, &told(done))).await;
        Ok((run, checks))
    };
    let (run, checks) = match block_on(work) {
        Ok(Ok(done)) => done,
        Ok(Err(Reply::Refused(why))) => {
            return print::refuse(args.json, &format!("our own credentials are refused: {why}"), Exit::No);
        }
        Ok(Err(reply)) => {
            let why = format!(
                "{base} can't be reached: {}: does it run, and is the target's `url` right?",
                talk::why(&reply)
            );
            return print::refuse(args.json, &why, Exit::Unavailable);
        }
        Err(why) => return print::refuse(args.json, &why, Exit::Internal),
    };
    let kinds = checked.devices.iter().flat_map(|device| &device.kinds).map(String::as_str);
    let ours = Ours {
        target,
        lanes: config.lanes.iter().filter(|lane| lane.target == index).collect(),
        kinds: kinds.filter(|kind| !kind.contains('*')).collect(),
        lookup,
    };
    let differences = if run.blind { Vec::new() } else { differences(&run.discovery, &ours) };
    let count = |end| checks.iter().filter(|done| done.end == end).count();
    let report = Report {
        target: &args.name,
        base: base.to_string(),
        system: run.discovery.system,
        test_system: run.discovery.test_system,
        ok: count(End::Ok),
        failed: count(End::Failed),
        left_out: count(End::LeftOut),
        put_off: run.talk.put_off,
        retry_after: run.talk.retry_after,
        checks,
        differences,
    };
    print::out(&if args.json { print::json(&report) } else { report.text() });
    match report.put_off {
        _ if report.failed > 0 => Exit::No.into(),
        true => Exit::Unavailable.into(),
        false => Exit::Clean.into(),
    }
}

/// Meanwhile: on stdout, or beside the object there.
fn tell(as_json: bool, text: &str) {
    if as_json { print::err(text) } else { print::out(text) }
}

fn head(name: &str, base: &Base, run: &Run) -> String {
    let what = match (run.discovery.test_system, run.blind) {
        (_, true) => "does not say what it is",
        (true, _) => "a test system",
        (false, _) => "no test system",
    };
    format!("target {name}  {base}  {}  {what}\n", clean(&run.discovery.system))
}

/// The line of a check, and below it, if it failed, what was said and what the page wants.
fn told(done: &Done) -> String {
    let word = match done.end {
        End::Ok => "ok",
        End::Failed => "FAILED",
        End::LeftOut => "left out",
    };
    let mut text = String::new();
    let why = done.why.as_deref().map(|why| format!("  {why}")).unwrap_or_default();
    line(&mut text, format!("  {:<18} {word:<8}{}", done.check, print::without_control(&why)).trim_end());
    let mut part = |name: &str, words: &str| {
        for (nth, words) in words.lines().enumerate() {
            let name = if nth == 0 { name } else { "" };
            line(&mut text, format!("      {name:<6} {}", clean(words)).trim_end());
        }
    };
    for exchange in &done.exchanges {
        part("sent", &exchange.sent);
        part("came", &exchange.came);
    }
    if done.end == End::Failed {
        part("wants", done.wants);
        part("see", &done.page);
    }
    text
}

impl Report<'_> {
    /// What follows the lines of the checks.
    fn text(&self) -> String {
        let mut text = String::new();
        if !self.differences.is_empty() {
            line(&mut text, &format!("\nthe configuration of target {} and its discovery differ:", self.target));
        }
        for difference in &self.differences {
            line(&mut text, &format!("  {difference}"));
        }
        if self.put_off {
            let when =
                self.retry_after.as_deref().map(|asked| format!("when its `Retry-After: {}` is over", clean(asked)));
            let when = when.as_deref().unwrap_or("later");
            line(&mut text, &format!("\nit asks for fewer requests: run this again {when}"));
        }
        line(&mut text, &format!("\n{} ok, {} failed, {} left out", self.ok, self.failed, self.left_out));
        text
    }
}
