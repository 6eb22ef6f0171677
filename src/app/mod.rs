//! Build, run, drain.
//!
//! Everything that can fail at the start fails before the first source is opened. Expected trouble (a link is down, the
//! ERP answers 503) is handled inside the tasks, for ever. A task that ends by itself, or panics, ends the process with
//! a code: starting afresh is the ordinary start path. A stop follows the data: sources, lanes, writer, under a deadline.

mod exit;
mod notify;

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::control::{self, View};
use crate::outbox::read::Bounds;
use crate::outbox::{Ended, Outbox};
use crate::source::health::Health;
use crate::target::Http;
use crate::{dispatch, source};

pub use exit::Exit;

/// How long sources may take to hand in and acknowledge what they hold.
const SOURCES_STOP: Duration = Duration::from_secs(5);
/// How long answers of requests in flight are waited for.
const LANES_STOP: Duration = Duration::from_secs(10);
/// A stop takes this long at most, the last commits apart: service managers wait longer.
pub const DRAINED_AFTER: Duration = SOURCES_STOP.saturating_add(LANES_STOP);
/// Sent to a process that writes beyond its file size limit; the write's own error says enough.
const SIGXFSZ: i32 = 25;

/// A gateway that has opened all it needs and has not begun.
struct App {
    config: Config,
    outbox: Outbox,
    ended: Ended,
    targets: Vec<(Http, mpsc::Receiver<crate::lane::Outgoing>)>,
    health: Health,
    /// Listens until the end.
    control: control::Server,
}

/// Runs the gateway until it is told to stop.
pub fn run(config: Config) -> ExitCode {
    // One thread is enough: the sockets wait most of the time, and the writer has a thread of its own.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            tracing::error!(error = %e, "failed to start");
            return Exit::Internal.into();
        }
    };
    let exit = runtime.block_on(async {
        match App::build(config) {
            Ok(app) => app.serve().await,
            Err((exit, why)) => {
                tracing::error!("failed to start: {why}");
                exit
            }
        }
    });
    runtime.shutdown_background(); // a resolver thread may still wait for its answer
    exit.into()
}

impl App {
    fn build(config: Config) -> Result<Self, (Exit, String)> {
        let mut out = Vec::new();
        let mut targets = Vec::new();
        for (index, target) in config.targets.iter().enumerate() {
            let lanes = config.lanes.iter().filter(|lane| lane.target == index);
            let in_flight: usize = lanes.map(|lane| lane.max_in_flight).sum();
            let (sender, work) = mpsc::channel(in_flight.max(1));
            let http = Http::new(target.clone()).map_err(|e| (Exit::Config, format!("target {}: {e}", target.id)))?;
            out.push(sender);
            targets.push((http, work));
        }
        let (outbox, ended) = Outbox::open(config.outbox.clone(), config.lanes.clone(), out)
            .map_err(|e| (Exit::Storage, e.to_string()))?;
        let health = Health::default();
        let view = View {
            site: config.site.clone(),
            gateway: config.gateway.clone(),
            since: source::now().wall,
            bounds: Bounds::of(&config.outbox, &config.lanes, &config.desks),
            room: outbox.room(),
            health: health.clone(),
            devices: config.devices_and_links(),
            tap: outbox.tap(),
            outbox: Some(outbox.clone()),
        };
        let control = control::Server::start(&config.outbox.dir, view)
            .map_err(|e| (Exit::Internal, format!("no thread for the control socket: {e}")))?;
        Ok(Self { config, outbox, ended, targets, health, control })
    }

    async fn serve(self) -> Exit {
        let Self { config, outbox, mut ended, targets, health, control: _control } = self;
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(e) => {
                tracing::error!(error = %e, "failed to watch for signals");
                return Exit::Internal;
            }
        };
        let (stop_sources, stop_lanes) = (CancellationToken::new(), CancellationToken::new());
        let (mut sources, mut lanes) = (JoinSet::new(), JoinSet::new());
        for (target, work) in targets {
            lanes.spawn(dispatch::run(target, work, outbox.clone(), stop_lanes.clone()));
        }
        for link in config.mqtt {
            sources.spawn(source::mqtt::run(link, outbox.clone(), health.clone(), stop_sources.clone()));
        }
        for link in config.modbus {
            sources.spawn(source::modbus::run(link, outbox.clone(), health.clone(), stop_sources.clone()));
        }
        for link in config.sockets {
            sources.spawn(source::socket::run(link, outbox.clone(), health.clone(), stop_sources.clone()));
        }
        let (links, targets) = (sources.len(), lanes.len());
        tracing::info!(site = config.site, gateway = config.gateway, links, targets, "running");
        notify::ready(&format!("running: site {}, links {links}, targets {targets}", config.site));

        let mut exit = tokio::select! {
            signal = signals.next() => {
                tracing::info!(signal, "stopping");
                Exit::Clean
            }
            end = ended.wait() => return storage_ended(end),
            Some(task) = sources.join_next() => unexpected("a source", &task),
            Some(task) = lanes.join_next() => unexpected("a dispatcher", &task),
            never = notify::beat(&outbox) => match never {},
        };

        notify::stopping();
        stop_sources.cancel();
        if !join_all(&mut sources, SOURCES_STOP).await {
            tracing::warn!(left = sources.len(), "sources did not stop in time: their devices will send again");
        }
        sources.shutdown().await;
        outbox.stop();
        match tokio::time::timeout(LANES_STOP, ended.wait()).await {
            Ok(Some(Ok(()))) => tracing::info!("stopped: everything is stored"),
            Ok(end) => exit = storage_ended(end),
            Err(_) => {
                tracing::warn!("stopped with requests in flight: they are resent under their keys at the next start");
            }
        }
        stop_lanes.cancel();
        lanes.shutdown().await;
        exit
    }
}

async fn join_all(tasks: &mut JoinSet<()>, deadline: Duration) -> bool {
    tokio::time::timeout(deadline, async { while tasks.join_next().await.is_some() {} }).await.is_ok()
}

fn unexpected(what: &str, task: &Result<(), tokio::task::JoinError>) -> Exit {
    match task {
        Ok(()) => tracing::error!("{what} ended by itself: starting afresh is safer than going on without it"),
        Err(e) => tracing::error!(error = %e, "{what} failed: starting afresh is safer than going on without it"),
    }
    Exit::Internal
}

/// What was committed is committed; what was not will be sent again. Nothing more can be said before the next start.
fn storage_ended(end: Option<Result<(), crate::outbox::StorageError>>) -> Exit {
    match end {
        Some(Ok(())) => Exit::Clean,
        Some(Err(e)) => {
            tracing::error!(error = %e, "the storage failed: the process ends and finds out at its next start what was committed");
            Exit::Storage
        }
        None => {
            tracing::error!("the writer panicked");
            Exit::Internal
        }
    }
}

struct Signals {
    term: Signal,
    interrupt: Signal,
    /// Held so that the signal does not end the process.
    _file_size: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _file_size: signal(SignalKind::from_raw(SIGXFSZ))?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
