//! Builds the world: a temp directory, free ports, a real configuration, all peers running.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::sim::broker::Broker;
use crate::sim::erp::{self, Erp};
use crate::sim::gateway::Gateway;
use crate::sim::labels;
use crate::sim::oracle::Oracle;
use crate::sim::plc::{Divert, Plc};
use crate::sim::scanner::{Scanner, told_by};

/// The gateway's client id at the broker.
const CLIENT: &str = "floorgate-demo";
/// The gateway's device id of the scanners.
const SCANNERS: &str = "pack-scanners";
const SORTER: &str = "sorter-1";
const TOPIC_ROOT: &str = "dc1/scan";
/// Diverts a second at most: a ring of 32 slots, polled each 50 ms, passes some 600.
const MOST_DIVERTS: u32 = 200;
/// Sabotage hits each so many'th.
const DROP_EVERY: u64 = 50;
const SKIP_EVERY: u64 = 25;

/// A peer broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sabotage {
    /// The ERP forgets at outages which keys it has posted: resends take effect twice
    ErpForgetsKeys,
    /// The PLC forgets some events before they enter its ring
    PlcSkips,
    /// The broker loses some messages that it has acknowledged to the scanner
    BrokerDrops,
}

/// The world, running.
pub struct World {
    /// Its temp directory.
    pub dir: PathBuf,
    /// The gateway's configuration.
    pub config: PathBuf,
    /// The gateway's log.
    pub log: PathBuf,
    /// Counts ids.
    pub oracle: Arc<Oracle>,
    /// The broker.
    pub broker: Arc<Broker>,
    /// The sorter's PLC.
    pub plc: Arc<Plc>,
    /// The ERP.
    pub erp: Arc<Erp>,
    /// The gateway's process.
    pub gateway: Arc<Gateway>,
    ports: Ports,
    peers: JoinSet<()>,
    producers: JoinSet<()>,
    stop_peers: CancellationToken,
    stop_producers: CancellationToken,
    seed: u64,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    broker: u16,
    plc: u16,
    erp: u16,
}

impl World {
    /// Builds it in a new temp directory, and starts peers and gateway. `program`: whose `run` is the gateway;
    /// `down_for`: how long a killed gateway is away.
    pub async fn build(
        program: PathBuf,
        sabotage: Option<Sabotage>,
        seed: u64,
        down_for: Duration,
    ) -> io::Result<Self> {
        let dir = temp_dir()?;
        let oracle = Arc::new(Oracle::default());
        let told = Arc::clone(&oracle);
        let on_ack = Box::new(move |topic: &str, payload: &[u8]| {
            if let Some(what) = told_by(SCANNERS, topic, payload) {
                told.acknowledged(&what);
            }
        });
        let every = |kind, n| (sabotage == Some(kind)).then_some(n);
        let broker = Arc::new(Broker::new(every(Sabotage::BrokerDrops, DROP_EVERY), on_ack));
        let plc = Arc::new(Plc::new(SORTER, 1, every(Sabotage::PlcSkips, SKIP_EVERY), Arc::clone(&oracle)));
        let erp = Arc::new(Erp::new(seed, Arc::clone(&oracle)));
        let listeners = [listen().await?, listen().await?, listen().await?];
        let [broker_at, plc_at, erp_at] = listeners;
        let port = |listener: &TcpListener| listener.local_addr().map(|a| a.port());
        let ports = Ports { broker: port(&broker_at)?, plc: port(&plc_at)?, erp: port(&erp_at)? };

        let (config, log) = (dir.join("gateway.toml"), dir.join("gateway.log"));
        let data = dir.join("data");
        std::fs::create_dir(&data)?;
        std::fs::write(&config, configuration(&data, ports))?;
        let gateway = Arc::new(Gateway::new(program, config.clone(), log.clone(), down_for));

        let stop_peers = CancellationToken::new();
        let mut peers = JoinSet::new();
        peers.spawn(Arc::clone(&broker).serve(broker_at, stop_peers.clone()));
        peers.spawn(Arc::clone(&plc).serve(plc_at, stop_peers.clone()));
        let serve_erp = Arc::clone(&erp).serve(erp_at, stop_peers.clone());
        peers.spawn(async move {
            // An endpoint that ends early shows as events that are not posted.
            drop(serve_erp.await);
        });
        peers.spawn(Arc::clone(&gateway).run(stop_peers.clone()));
        Ok(Self {
            dir,
            config,
            log,
            oracle,
            broker,
            plc,
            erp,
            gateway,
            ports,
            peers,
            producers: JoinSet::new(),
            stop_peers,
            stop_producers: CancellationToken::new(),
            seed,
        })
    }

    /// Whether the gateway has subscribed at the broker and asks the PLC.
    pub fn linked(&self) -> (bool, bool) {
        (self.broker.connected(CLIENT) && self.broker.subscribed(CLIENT), self.plc.asked())
    }

    /// Happenings that sabotage has lost.
    pub fn sabotaged(&self) -> u64 {
        self.broker.stats().sabotaged + self.plc.skipped()
    }

    /// Starts scanners and sorter: `rate` happenings a second together, a third of them diverts.
    pub fn produce(&mut self, rate: u32) {
        let diverts = (rate / 3).min(MOST_DIVERTS);
        let scans = rate - diverts;
        let stations = (scans / 500).clamp(6, 40);
        for station in 1..=u64::from(stations) {
            let scanner = Scanner {
                station,
                broker: self.ports.broker,
                root: TOPIC_ROOT.into(),
                device: SCANNERS.into(),
                every: Duration::from_secs(1) * stations / scans,
                oracle: Arc::clone(&self.oracle),
                seed: self.seed,
            };
            self.producers.spawn(scanner.run(self.stop_producers.clone()));
        }
        if diverts > 0 {
            let sorter = sort(Arc::clone(&self.plc), Duration::from_secs(1) / diverts, self.seed);
            let stop = self.stop_producers.clone();
            self.producers.spawn(async move {
                // Sorting ends with `stop` alone.
                stop.run_until_cancelled(sorter).await;
            });
        }
    }

    /// Stops producing; a scan in hand is brought to its PUBACK, or given up after five seconds.
    pub async fn stop_producing(&mut self) {
        self.stop_producers.cancel();
        let all = async { while self.producers.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(5), all).await.is_err() {
            self.producers.shutdown().await;
        }
    }

    /// Stops everything, the gateway first of all, and removes the directory unless it is kept.
    pub async fn end(mut self, keep: bool) {
        self.stop_peers.cancel();
        while self.peers.join_next().await.is_some() {}
        if !keep {
            // What can't be removed lies in the system's temp directory, which is cleaned by its own rules.
            drop(std::fs::remove_dir_all(&self.dir));
        }
    }
}

async fn listen() -> io::Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0").await
}

/// Cartons on the sorter: most go down their chute; what recirculates comes again.
async fn sort(plc: Arc<Plc>, every: Duration, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut round = None;
    for n in 1.. {
        tick.tick().await;
        let sscc = if n % 8 == 0 { round.take() } else { None }.unwrap_or_else(|| labels::sorted(n));
        let result = match random.u32(0..100) {
            0 => Divert::Unknown,
            1..4 => Divert::Missed,
            4..9 => Divert::Recirculated,
            _ => Divert::Confirmed,
        };
        plc.sort(&sscc, random.u16(1..=40), result);
        if result == Divert::Recirculated {
            round = Some(sscc);
        }
    }
}

fn temp_dir() -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    let name = format!("floorgate-demo-{}-{:06x}", std::process::id(), fastrand::u32(..1 << 24));
    let dir = std::env::temp_dir().join(name);
    std::fs::DirBuilder::new().mode(0o700).create(&dir)?;
    Ok(dir)
}

fn configuration(data: &Path, ports: Ports) -> String {
    let Ports { broker, plc, erp } = ports;
    let data = toml::Value::from(data.to_string_lossy().into_owned());
    let path = erp::PATH;
    format!(
        r#"# Written by `floorgate demo`: scanners behind a broker, a sorter PLC, an ERP that goes away now and then.

[site]
id = "dc1"
timezone = "Europe/Berlin"

[gateway]
id = "demo"
data_dir = {data}

[outbox]
preset = "fast"
max_size = "512 MiB"
history = {{ max_age = "1d", max_size = "512 MiB" }}

[[link]]
id = "broker"
kind = "mqtt"
address = "mqtt://127.0.0.1:{broker}"
version = 3
client_id = "{CLIENT}"
max_in_flight = 512
reconnect = {{ min = "50ms", max = "1s", reset_after = "5m" }}

[[link]]
id = "sorter-net"
kind = "modbus-tcp"
address = "127.0.0.1:{plc}"
request_timeout = "500ms"
reconnect = {{ min = "50ms", max = "1s", reset_after = "5m" }}

[[device]]
id = "{SCANNERS}"
link = "broker"
map = "hand-scanner@1"
params = {{ topic_root = "{TOPIC_ROOT}" }}

[[device]]
id = "{SORTER}"
link = "sorter-net"
unit = 1
map = "sorter@1"

[[target]]
id = "erp"
kind = "http"
url = "http://127.0.0.1:{erp}{path}"
batch = {{ max_events = 50, max_size = "512 KiB", linger = "5ms", format = "json-array", wrap = "events" }}
answers = {{ items = "/results", key = "/key", status = "/status", reason = "/reason", reference = "/reference" }}
idempotency = "key"
dedup_horizon = "24h"
ordered_batch = false
max_in_flight = 4
timeout = "5s"
retry = {{ first = "100ms", max = "1s" }}
breaker = {{ first = "500ms", max = "1s" }}

[[lane]]
id = "outbound"
target = "erp"
class = "document"
take = ["divert.*", "scan.*"]
"#
    )
}
