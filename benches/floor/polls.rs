//! Cyclic tags, polled each 100 ms: floorgate's links beside a loop of bare tokio-modbus reads in the same run.
//!
//! The PLC notes when each unit is asked. Jitter is how far the time from one request to the next lies from the period.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use floorgate::config::Config;
use floorgate::form::Fault;
use floorgate::outbox::Outbox;
use floorgate::source::health::Health;
use floorgate::source::modbus;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_modbus::client::{Reader as _, tcp};
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};
use tokio_modbus::slave::{Slave, SlaveContext as _};
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};
use tokio_util::sync::CancellationToken;

use crate::row::{Baseline, Meter, Row, Times, run};

const PERIOD: Duration = Duration::from_millis(100);

/// What is polled.
#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    links: u16,
    units: u8,
    /// Tags of a unit: registers next to each other.
    tags: u16,
}

const LOADS: [Load; 2] = [
    Load { name: "64 devices x 125 registers", links: 64, units: 1, tags: 125 },
    Load { name: "1,024 tags on 32 units of one link", links: 1, units: 32, tags: 32 },
];

/// When which unit of which connection was asked.
type Asked = Arc<Mutex<BTreeMap<(SocketAddr, u8), Vec<Instant>>>>;

/// What one run came to.
struct Figures {
    jitter_ms: f64,
    requests: usize,
    cpu_percent: f64,
}

pub(crate) fn measure(dir: &Path) -> anyhow::Result<Vec<Row>> {
    let asked = Asked::default();
    let address = serve(Arc::clone(&asked))?;
    let mut rows = Vec::new();
    for (number, load) in LOADS.into_iter().enumerate() {
        let bare = figures(&asked, || bare(address, load))?;
        let dir = dir.join(format!("polls-{number}"));
        let mut missed = 0;
        let config = configured(&dir, address, load)?;
        let ours = figures(&asked, || {
            missed = floorgate(config)?;
            Ok(())
        })?;
        let name = format!("{} each {} ms", load.name, PERIOD.as_millis());
        let due = run().as_secs_f64() / PERIOD.as_secs_f64() * f64::from(load.links) * f64::from(load.units);
        rows.push(Row::cost(format!("{name}, missed periods"), missed as f64, "", Baseline::None));
        rows.push(Row::rate(format!("{name}, requests of those due"), ours.requests as f64 / due, "", Baseline::None));
        let jitter = format!("{name}, jitter p99");
        rows.push(Row::cost(jitter, ours.jitter_ms, "ms", Baseline::Bare(bare.jitter_ms)).hint(HINT));
        let cpu = format!("{name}, share of a core");
        rows.push(Row::cost(cpu, ours.cpu_percent, "%", Baseline::Bare(bare.cpu_percent)).hint(HINT));
    }
    Ok(rows)
}

const HINT: &str =
    "all links poll on one grid and wait for those before them, and the bare loop does nothing with what it reads";

fn figures(asked: &Asked, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Figures> {
    asked.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let meter = Meter::start()?;
    work()?;
    let (cpu, seconds) = (meter.thread_cpu()?, meter.seconds());
    let (mut jitter, mut requests) = (Times::default(), 0);
    let from = Instant::now();
    for times in asked.lock().unwrap_or_else(PoisonError::into_inner).values() {
        requests += times.len();
        for pair in times.windows(2) {
            jitter.between(from, from + (pair[1] - pair[0]).abs_diff(PERIOD));
        }
    }
    Ok(Figures { jitter_ms: jitter.ms(0.99), requests, cpu_percent: cpu / seconds * 100.0 })
}

/// One loop for each link: all its units, then until the next period.
fn bare(address: SocketAddr, load: Load) -> anyhow::Result<()> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..load.links {
            tasks.spawn(async move {
                let mut plc = tcp::connect(address).await?;
                let (begun, mut period) = (Instant::now(), interval(PERIOD));
                period.set_missed_tick_behavior(MissedTickBehavior::Skip);
                while begun.elapsed() < run() {
                    period.tick().await;
                    for unit in 1..=load.units {
                        plc.set_slave(Slave(unit));
                        let words = plc.read_holding_registers(0, load.tags).await??;
                        anyhow::ensure!(words.len() == usize::from(load.tags), "a short answer");
                    }
                }
                Ok::<_, anyhow::Error>(())
            });
        }
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        Ok(())
    })
}

/// The links of a configuration with an outbox behind them, on this thread: the periods that were missed.
fn floorgate(config: Config) -> anyhow::Result<u64> {
    let (outbox, mut ended) = Outbox::open(config.outbox, Vec::new(), Vec::new())?;
    let (health, stop) = (Health::default(), CancellationToken::new());
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut links = JoinSet::new();
        for link in config.modbus {
            links.spawn(modbus::run(link, outbox.clone(), health.clone(), stop.clone()));
        }
        sleep(run()).await;
        stop.cancel();
        links.join_all().await;
        outbox.stop();
        ended.wait().await;
    });
    Ok(health.snapshot().devices.iter().map(|device| device.missed_periods).sum())
}

fn configured(dir: &Path, address: SocketAddr, load: Load) -> anyhow::Result<Config> {
    std::fs::create_dir_all(dir.join("devices/bench"))?;
    let mut map = format!(
        "schema = 1\n[map]\nid = \"bench\"\nversion = 1\nprotocol = \"modbus\"\naddresses = \"zero\"\n\
         [defaults]\nmax_words = 125\npoll = \"all\"\n[poll.all]\nevery = \"{}ms\"\n",
        PERIOD.as_millis()
    );
    for tag in 0..load.tags {
        writeln!(map, "[[tag]]\nname = \"t{tag}\"\narea = \"holding\"\nat = {tag}\ntype = \"u16\"")?;
    }
    map.push_str("[[event]]\nname = \"bench.changed\"\non = { change = \"t0\" }\n");
    std::fs::write(dir.join("devices/bench/map.toml"), map)?;
    let mut text = format!(
        "[site]\nid = \"b\"\ntimezone = \"UTC\"\n[gateway]\nid = \"g\"\ndata_dir = \"{}\"\n[outbox]\npreset = \"fast\"\n\
         [[target]]\nid = \"erp\"\nkind = \"http\"\nurl = \"http://127.0.0.1:9/\"\n\
         batch = {{ max_events = 1, max_size = \"512 KiB\", linger = \"20ms\", format = \"json-array\", wrap = \"events\" }}\n\
         idempotency = \"key\"\ndedup_horizon = \"24h\"\n\
         [[lane]]\nid = \"all\"\ntarget = \"erp\"\nclass = \"document\"\ntake = [\"bench.*\"]\n",
        dir.join("data").display()
    );
    for link in 0..load.links {
        writeln!(text, "[[link]]\nid = \"l{link}\"\nkind = \"modbus-tcp\"\naddress = \"{address}\"")?;
        for unit in 1..=load.units {
            let device = format!("id = \"d{link}-{unit}\"\nlink = \"l{link}\"\nunit = {unit}");
            writeln!(text, "[[device]]\n{device}\nmap = \"bench@1\"")?;
        }
    }
    let file = dir.join("gateway.toml");
    std::fs::write(&file, text)?;
    let told = |faults: Vec<Fault>| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    floorgate::config::load(&file).map_err(|faults| anyhow::anyhow!("{}", told(faults)))
}

/// All units of one connection.
#[derive(Clone)]
struct Units {
    from: SocketAddr,
    asked: Asked,
}

impl Service for Units {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Response, ExceptionCode>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.entry((self.from, request.slave)).or_default().push(Instant::now());
        ready(match request.request {
            Request::ReadHoldingRegisters(_, n) => Ok(Response::ReadHoldingRegisters(vec![0x1234; n.into()])),
            _ => Err(ExceptionCode::IllegalFunction),
        })
    }
}

/// A PLC on its own thread.
fn serve(asked: Asked) -> anyhow::Result<SocketAddr> {
    let (started, address) = sync_channel(1);
    std::thread::Builder::new().name("units".into()).spawn(move || -> anyhow::Result<()> {
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            started.send(listener.local_addr()?)?;
            let connected = async |stream, from| {
                let asked = Arc::clone(&asked);
                accept_tcp_connection(stream, from, |from| Ok(Some(Units { from, asked: Arc::clone(&asked) })))
            };
            Server::new(listener).serve(&connected, drop).await?;
            Ok(())
        })
    })?;
    Ok(address.recv()?)
}
