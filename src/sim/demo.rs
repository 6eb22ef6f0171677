//! `floorgate demo`: the world plays, the ERP goes away, the gateway is killed, and ids are counted.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::form;
use crate::sim::erp::Mode;
use crate::sim::screen::{Look, Screen, Verdict, verdict};
use crate::sim::script::{Act, Outages, script};
use crate::sim::world::{Sabotage, World};

/// Most happenings of one demo: the oracle remembers each.
const MOST: u64 = 20_000_000;
/// The gateway has this long to subscribe and to ask the PLC for the first time.
const START: Duration = Duration::from_secs(15);
/// Draining ends when nothing has moved for this long …
const NO_PROGRESS: Duration = Duration::from_secs(20);
/// … or, once all is posted, when no request has come for this long: longer than the pause between two resends.
const QUIET: Duration = Duration::from_millis(1500);
/// After Ctrl-C draining takes this long at most.
const SHORT_DRAIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(200);

/// Watch a warehouse floor go through a gateway that is killed, into an ERP that goes away.
///
/// Needs nothing: broker, scanners, PLC and ERP run inside this command, on free ports, in a temp directory. The gateway
/// is a real `floorgate run` with a real configuration. It is killed with -9 in the middle of an outage and started
/// again. Ids are counted outside of it; the verdict is the end, or what Ctrl-C brings. Exit 1 unless nothing was lost,
/// doubled or put out of order.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArgs {
    /// How long events are produced
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    duration: Duration,
    /// Events a second: two thirds are scans, one third diverts
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    /// When the ERP is away: `every=TIME,for=TIME`, or `none`
    #[arg(long, value_name = "WHEN", default_value = "every=20s,for=8s", value_parser = outages)]
    outage: OutageArg,
    /// Never kill the gateway
    #[arg(long)]
    no_kill: bool,
    /// Leave configuration, log and database, and say how to look at them
    #[arg(long)]
    keep: bool,
    /// Break a peer on purpose, never the gateway: the verdict must then be bad
    #[arg(long, value_name = "KIND")]
    sabotage: Option<Sabotage>,
    /// The gateway to run: another version, or an emulator's script (default: this program)
    #[arg(long, value_name = "PROGRAM")]
    gateway: Option<PathBuf>,
    /// Print the verdict as one JSON object, the last line of stdout; progress goes to stderr
    #[arg(long)]
    json: bool,
    /// Repeat the world of that number (default: a new one)
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

const EXAMPLES: &str = "\
Examples:
  floorgate demo
  floorgate demo --duration 2m --rate 2000 --outage every=15s,for=5s
  floorgate demo --sabotage broker-drops        ends with exit 1, and says how many were lost
  floorgate demo --keep --json | tail -n 1 | jq .lost";

#[derive(Debug, Clone, Copy)]
struct OutageArg(Option<Outages>);

fn duration(text: &str) -> Result<Duration, String> {
    match form::Duration::parse(text) {
        Some(form::Duration(d)) if d >= Duration::from_secs(1) => Ok(d),
        _ => Err("write a time of at least a second with its unit, such as 30s or 5m".into()),
    }
}

fn outages(text: &str) -> Result<OutageArg, String> {
    let wrong = || "write every=20s,for=8s (the second shorter than the first), or none".to_owned();
    if text == "none" {
        return Ok(OutageArg(None));
    }
    let (every, lasting) = text.split_once(',').ok_or_else(wrong)?;
    let time = |text: &str, name| text.trim().strip_prefix(name).and_then(form::Duration::parse).map(|d| d.0);
    match (time(every, "every="), time(lasting, "for=")) {
        (Some(every), Some(lasting)) if lasting < every && !lasting.is_zero() => {
            Ok(OutageArg(Some(Outages { every, lasting })))
        }
        _ => Err(wrong()),
    }
}

/// Runs the demo: exit 0 when all went well, 1 when not, 64 for what can't be run, 70 where the world can't be built.
pub fn run(args: &DemoArgs) -> ExitCode {
    let mut screen = Screen::new(args.json);
    screen.say("floorgate demo: an ERP that goes away, a gateway that is killed, and every event counted");
    if args.duration.as_secs().saturating_mul(args.rate.into()) > MOST {
        screen.say("more than 20 million events: choose a shorter --duration or a smaller --rate");
        return ExitCode::from(64);
    }
    if let Err(why) = possible(args) {
        screen.say(&why);
        return ExitCode::from(64);
    }
    if args.outage.0.is_none() && !args.no_kill {
        screen.say("without an outage there is no kill: the gateway is killed in the middle of one");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(play(args, &mut screen))) {
        Ok(ended) => {
            if args.json {
                let text = serde_json::to_string(&ended).expect("numbers and texts always make JSON");
                // A reader that went away wants no more.
                drop(writeln!(io::stdout(), "{text}"));
            }
            if ended.ok { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(error) => {
            screen.say(&format!("the demo's world can't be built: {error}"));
            ExitCode::from(70)
        }
    }
}

/// Why what was asked for can't show anything.
fn possible(args: &DemoArgs) -> Result<(), String> {
    let in_outages = matches!(args.sabotage, Some(Sabotage::ErpForgetsKeys));
    if in_outages && args.outage.0.is_none() {
        return Err(
            "an ERP that forgets its keys shows where requests come again, in an outage: leave out --outage none"
                .into(),
        );
    }
    match &args.gateway {
        // A bare name is looked for in PATH.
        Some(program) if program.components().count() > 1 && !program.is_file() => {
            Err(format!("there is no program {}", program.display()))
        }
        _ => Ok(()),
    }
}

/// One demo, from the first port to the verdict.
struct Demo<'a> {
    args: &'a DemoArgs,
    screen: &'a mut Screen,
    world: World,
    began: Instant,
    acts: Vec<(Duration, Act)>,
    outages: u32,
    crashes_told: usize,
    interrupted: u32,
    signals: [Signal; 2],
}

async fn play(args: &DemoArgs, screen: &mut Screen) -> io::Result<Verdict> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(1..1_000_000));
    let forget = args.sabotage == Some(Sabotage::ErpForgetsKeys);
    let acts = script(args.duration, args.outage.0, !args.no_kill, forget, seed);
    let down_for = Duration::from_secs(1).min(args.duration / 20);
    let program = args.gateway.clone().map_or_else(std::env::current_exe, Ok)?;
    let world = World::build(program.clone(), args.sabotage, seed, down_for).await?;
    screen.say(&format!("  configuration  {}\n  log            {}", world.config.display(), world.log.display()));
    let signals = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    let mut demo =
        Demo { args, screen, world, began: Instant::now(), acts, outages: 0, crashes_told: 0, interrupted: 0, signals };
    demo.wait_for_links().await;
    let produced_for = demo.produce().await;
    demo.drain().await;
    let mut ended = demo.judge(seed);
    ended.seconds = produced_for.as_secs_f64();
    demo.screen.say(&format!("\n{}", verdict(&ended)));
    if args.keep {
        let (config, program) = (demo.world.config.display(), program.display());
        demo.screen.say(&format!(
            "kept in {}; look at it with\n  {program} outbox status --config {config}\n  {program} check --config {config}",
            demo.world.dir.display(),
        ));
    }
    demo.world.end(args.keep).await;
    Ok(ended)
}

impl Demo<'_> {
    /// Until the gateway has subscribed: a broker forgets what nobody has subscribed to.
    async fn wait_for_links(&mut self) {
        let mut look = looks();
        while self.world.linked() != (true, true) && self.began.elapsed() < START && !self.is_over() {
            self.pause(&mut look).await;
            self.tell_crashes();
        }
        self.began = Instant::now();
    }

    /// Lets the world play for the demo's duration; returns how long it did.
    async fn produce(&mut self) -> Duration {
        if self.world.linked() != (true, true) {
            self.screen.say("the gateway has not reached broker and PLC: see its log");
            return Duration::ZERO;
        }
        self.world.produce(self.args.rate);
        let mut look = looks();
        let mut acts = std::mem::take(&mut self.acts).into_iter().peekable();
        while self.began.elapsed() < self.args.duration && !self.is_over() {
            while let Some((_, act)) = acts.next_if(|(at, _)| *at <= self.began.elapsed()) {
                self.act(act);
            }
            let began = self.began;
            let next = acts.peek().map_or(self.args.duration, |(at, _)| *at).min(self.args.duration);
            tokio::select! {
                () = self.pause(&mut look) => {}
                () = tokio::time::sleep_until(began + next) => {}
            }
            self.look(&format!("{} of {} s", self.began.elapsed().as_secs(), self.args.duration.as_secs()));
        }
        let took = self.began.elapsed();
        self.world.stop_producing().await;
        self.world.erp.set(Mode::Up);
        took
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Erp(mode) => {
                if mode != Mode::Up && self.world.erp.mode() == Mode::Up {
                    self.outages += 1;
                    self.world.oracle.set_storm(true);
                }
                self.world.erp.set(mode);
            }
            Act::Kill => self.world.gateway.kill(),
            Act::Forget => self.world.erp.forget(),
        }
    }

    /// Until all is posted and nothing moves any more.
    async fn drain(&mut self) {
        let mut look = looks();
        let start = Instant::now();
        let (mut moved_at, mut last) = (start, (0, 0));
        while !self.world.gateway.status().gave_up {
            let counts = self.world.oracle.counts();
            let moved = (counts.acknowledged, self.world.erp.stats().batches);
            if moved != std::mem::replace(&mut last, moved) {
                moved_at = Instant::now();
            }
            let all = counts.posted + self.world.sabotaged() >= counts.produced;
            let still = moved_at.elapsed();
            let enough = if all { still > QUIET } else { still > NO_PROGRESS };
            let hurried = self.interrupted > 1 || (self.interrupted == 1 && start.elapsed() > SHORT_DRAIN);
            if enough || hurried {
                return;
            }
            self.pause(&mut look).await;
            self.look("draining");
        }
    }

    fn judge(&self, seed: u64) -> Verdict {
        let (oracle, erp) = (&self.world.oracle, self.world.erp.stats());
        let status = self.world.gateway.status();
        let broker = self.world.broker.stats();
        let kind = self.args.sabotage.and_then(|s| clap::ValueEnum::to_possible_value(&s));
        let mut ended = Verdict {
            outages: self.outages,
            kills: status.kills,
            crashes: status.crashes.len(),
            redelivered: broker.redelivered,
            absorbed: erp.absorbed,
            key_clashes: erp.clashes,
            sabotage: kind.map(|k| k.get_name().to_owned()),
            sabotaged: self.world.sabotaged() + erp.doubled_keys,
            lost_examples: oracle.lost(5),
            interrupted: self.interrupted > 0,
            seed,
            ..Verdict::of(oracle.counts(), oracle.times())
        };
        ended.ok = ended.faults().is_empty();
        ended
    }

    /// Waits for the next look; a signal ends the waiting and is remembered.
    async fn pause(&mut self, look: &mut tokio::time::Interval) {
        let [interrupt, terminate] = &mut self.signals;
        tokio::select! {
            _ = look.tick() => {}
            _ = interrupt.recv() => self.interrupted += 1,
            _ = terminate.recv() => self.interrupted += 1,
        }
    }

    fn is_over(&self) -> bool {
        self.interrupted > 0 || self.world.gateway.status().gave_up
    }

    fn look(&mut self, phase: &str) {
        self.tell_crashes();
        let world = &self.world;
        let (counts, links, status) = (world.oracle.counts(), world.linked(), world.gateway.status());
        let up = world.erp.mode() == Mode::Up;
        let behind = counts.produced - counts.posted - world.sabotaged().min(counts.produced - counts.posted);
        let calm = up && status.running && links == (true, true) && behind <= u64::from(self.args.rate / 10).max(20);
        if calm && world.oracle.storm() {
            world.oracle.set_storm(false);
        }
        // The PLC counts as asked for a second; a process that is gone has no links.
        let links = if status.running { links } else { (false, false) };
        let state = if status.running { "running" } else { "down" };
        let gateway = format!("{state}, kills {}", status.kills);
        let look = Look {
            at: self.began.elapsed(),
            phase: phase.to_owned(),
            counts,
            links,
            erp: world.erp.mode().text(),
            gateway,
        };
        self.screen.show(&look);
    }

    fn tell_crashes(&mut self) {
        let crashes = self.world.gateway.status().crashes;
        for crash in crashes.iter().skip(self.crashes_told) {
            self.screen.say(&format!("the gateway {crash}"));
        }
        self.crashes_told = crashes.len();
    }
}

fn looks() -> tokio::time::Interval {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_show_nothing_is_refused_before_anything_is_built() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            demo: DemoArgs,
        }
        let exit = |words: &[&str]| {
            let words = ["demo"].iter().chain(words);
            run(&<Line as clap::Parser>::try_parse_from(words).expect("it is known").demo)
        };
        assert_eq!(exit(&["--sabotage", "erp-forgets-keys", "--outage", "none"]), ExitCode::from(64));
        assert_eq!(exit(&["--gateway", "/nowhere/floorgate"]), ExitCode::from(64));
    }

    #[test]
    fn outages_are_written_with_units() {
        let seconds = |text| outages(text).ok().map(|o| o.0.map(|o| (o.every.as_secs(), o.lasting.as_secs())));
        assert_eq!(seconds("every=20s,for=8s"), Some(Some((20, 8))));
        assert_eq!(seconds("none"), Some(None));
        for wrong in ["", "every=20s", "every=8s,for=8s", "every=20,for=8", "for=8s,every=20s"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
        assert!(duration("30").is_err() && duration("10ms").is_err());
    }
}
