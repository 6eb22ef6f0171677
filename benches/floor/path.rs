//! The whole path: scanner, mosquitto, `floorgate run` as a process of its own, an endpoint that books everything.
//!
//! Throughput beside the bare subscriber of `mqtt.rs`, latency and cost at steady rates for both presets, and what a
//! backlog does to memory, to starting and to catching up. `FLOOR_BACKLOG` sets the backlog's events.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::mqtt::Broker;
use crate::row::{Baseline, Row, Times, cpu_of, scaled};

const BURST: usize = 100_000;
const STEADY_SECONDS: usize = 10;
const PAYLOAD: usize = 320;
const DEADLINE: Duration = Duration::from_mins(2);

pub(crate) fn measure(dir: &Path) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    burst(&sub(dir, "burst")?, &mut rows)?;
    for preset in ["fast", "gentle"] {
        for rate in [300, 1_000] {
            steady(&sub(dir, &format!("{preset}{rate}"))?, preset, rate, &mut rows)?;
        }
    }
    Ok(rows)
}

/// `fast` at 300/s on a disk whose syncs take 5 and 20 ms: strace holds each of them up.
pub(crate) fn slow_disk(dir: &Path) -> anyhow::Result<Vec<Row>> {
    ensure!(Command::new("strace").arg("-V").output().is_ok(), "strace is not installed");
    let mut rows = Vec::new();
    for (ms, p50, p99) in [(5.0, 11.0, 25.0), (20.0, 41.0, 85.0)] {
        let inject = format!("inject=fsync,fdatasync:delay_exit={}", ms * 1e3);
        let strace =
            ["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", &inject];
        let world = World::start_under(&strace, &sub(dir, &format!("slow{ms}"))?, "fast")?;
        let sent = at_rate(&world, 300)?;
        let mut times = world.erp.times(&sent);
        let name = |share: &str| format!("scan to ERP, fast, 300/s, syncs of {ms} ms, {share}");
        let hint = "the baseline is the aim: 2 and 4 syncs, and 1 and 5 ms";
        rows.push(Row::cost(name("p50"), times.ms(0.5), "ms", Baseline::Reference(p50)).hint(hint));
        rows.push(Row::cost(name("p99"), times.ms(0.99), "ms", Baseline::Reference(p99)).hint(hint));
    }
    Ok(rows)
}

/// Publishes at this rate and waits for all to be posted; when each was sent.
fn at_rate(world: &World, rate: usize) -> anyhow::Result<Vec<Instant>> {
    let mut scanner = Scanner::connect(world.broker.address)?;
    let pace = Duration::from_secs(1) / u32::try_from(rate)?;
    let events = scaled(rate * STEADY_SECONDS);
    let begun = Instant::now();
    let mut sent = Vec::with_capacity(events);
    scanner.publish(0..events, 1, |i| {
        let due = begun + pace * u32::try_from(i).unwrap_or(u32::MAX);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        sent.push(Instant::now());
    })?;
    world.erp.wait_for(events)?;
    Ok(sent)
}

fn sub(dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let dir = dir.join(name);
    std::fs::create_dir(&dir)?;
    Ok(dir)
}

/// As fast as the broker takes it.
fn burst(dir: &Path, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let (bare, _) = crate::mqtt::bare(dir)?;
    let events = scaled(BURST);
    let world = World::start(dir, "fast")?;
    let begun = Instant::now();
    let mut scanner = Scanner::connect(world.broker.address)?;
    scanner.publish(0..events, 500, |_| {})?;
    world.erp.wait_for(events)?;
    let rate = events as f64 / begun.elapsed().as_secs_f64();
    let cpu = cpu_of(world.gateway.id())? / events as f64;
    let hint = "mosquitto, scanner, gateway and endpoint share the cores of this machine";
    rows.push(Row::rate("whole path through mosquitto, 320 bytes", rate, "events/s", Baseline::Bare(bare)).hint(hint));
    rows.push(
        Row::rate("whole path through mosquitto, against the aim", rate, "events/s", Baseline::Reference(30_000.0))
            .hint(hint),
    );
    rows.push(Row::cost("whole path, CPU of the gateway", cpu * 1e6, "us/event", Baseline::None));
    rows.push(Row::cost("resident memory at full speed", world.gateway.rss_mib()?, "MiB", Baseline::None));
    Ok(())
}

/// Scan to ERP answer, bytes and CPU for an event, at a steady rate.
fn steady(dir: &Path, preset: &str, rate: usize, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let world = World::start(dir, preset)?;
    let idle = world.gateway.rss_mib()?;
    let (cpu, written) = (cpu_of(world.gateway.id())?, world.gateway.written()?);
    let sent = at_rate(&world, rate)?;
    let (n, at) = (sent.len() as f64, format!("{preset}, {rate}/s"));
    let cpu = (cpu_of(world.gateway.id())? - cpu) / n * 1e3;
    let rss = world.gateway.rss_mib()?;
    let written = (world.gateway.stop()? - written) as f64 / n;
    let mut times = world.erp.times(&sent);
    let aim = |fast, gentle| Baseline::Reference(if preset == "fast" { fast } else { gentle });
    let hint = "the baseline is the aim";
    let latency = |share, aim| Row::cost(format!("scan to ERP, {at}, p{}", share * 100.0), 0.0, "ms", aim).hint(hint);
    if rate == 300 {
        rows.push(Row { value: times.ms(0.5), ..latency(0.5, aim(1.0, 15.0)) });
        rows.push(Row { value: times.ms(0.99), ..latency(0.99, aim(3.0, 30.0)) });
        rows.push(Row::cost(format!("CPU for 1,000 events, {at}"), cpu, "s", aim(0.40, 0.20)).hint(hint));
        rows.push(Row::cost(format!("written for an event, whole life, {at}"), written, "bytes", Baseline::None));
    } else {
        rows.push(Row::cost(format!("CPU for 1,000 events, {at}"), cpu, "s", Baseline::None));
        rows.push(
            Row::cost(format!("written for an event, whole life, {at}"), written, "bytes", aim(12_000.0, 2_000.0))
                .hint(hint),
        );
        rows.push(Row::cost(format!("resident memory, {at}"), rss, "MiB", Baseline::Reference(16.0)).hint(hint));
        rows.push(
            Row::cost(format!("resident memory idle, {preset}"), idle, "MiB", Baseline::Reference(12.0)).hint(hint),
        );
    }
    Ok(())
}

/// Messages that the broker may hold while a backlog is made.
const STEP: usize = 100_000;

/// The ERP is away, a backlog grows; the gateway is started afresh on it, then the ERP is back.
pub(crate) fn backlog(dir: &Path) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let events: usize = std::env::var("FLOOR_BACKLOG").ok().map_or(Ok(scaled(100_000)), |n| n.parse())?;
    let mut world = World::start(dir, "fast")?;
    world.erp.away.store(true, Ordering::SeqCst);
    let mut scanner = Scanner::connect(world.broker.address)?;
    let begun = Instant::now();
    // What the broker has to hold meanwhile stays far below its bound.
    for first in (0..events).step_by(STEP) {
        scanner.publish(first..events.min(first + STEP), 500, |_| {})?;
        world.gateway.wait_for_pending(first as i64)?;
    }
    world.gateway.wait_for_pending(events as i64)?;
    let name = format!("with {events} pending, ERP away");
    rows.push(Row::rate(
        format!("durable ingest, {name}"),
        events as f64 / begun.elapsed().as_secs_f64(),
        "events/s",
        Baseline::None,
    ));
    rows.push(
        Row::cost(format!("resident memory {name}"), world.gateway.rss_mib()?, "MiB", Baseline::Reference(18.0))
            .hint("the baseline is the aim"),
    );
    std::thread::sleep(Duration::from_secs(2)); // for the last PUBACKs, which nobody else sees
    for (how, aim) in [("warm", 150.0), ("cold", 1_000.0)] {
        if how == "cold" && !forget_files() {
            continue;
        }
        let start = world.gateway.restart()?.as_secs_f64() * 1e3;
        let named = format!("start to connected, {how}, {name}");
        rows.push(Row::cost(named, start, "ms", Baseline::Reference(aim)).hint("the baseline is the aim"));
    }
    world.erp.away.store(false, Ordering::SeqCst);
    let mut live = Scanner::connect(world.broker.address)?;
    let stop = Arc::new(AtomicBool::new(false));
    let (flag, begun) = (stop.clone(), Instant::now());
    let feeder = std::thread::spawn(move || {
        let mut n = events;
        while !flag.load(Ordering::SeqCst) {
            live.publish(n..n + 1, 1, |_| std::thread::sleep(Duration::from_micros(3_333)))?;
            n += 1;
        }
        anyhow::Ok(n - events)
    });
    world.erp.wait_for(events)?;
    let seconds = begun.elapsed().as_secs_f64();
    stop.store(true, Ordering::SeqCst);
    let live = feeder.join().map_err(|_| anyhow::anyhow!("the scanner panicked"))??;
    world.erp.wait_for(events + live)?;
    let hint = "the baseline is the aim; the endpoint parses each event on the same cores";
    rows.push(
        Row::rate("catching up while 300/s arrive", events as f64 / seconds, "events/s", Baseline::Reference(30_000.0))
            .hint(hint),
    );
    Ok(rows)
}

/// Has the kernel forget what it holds of files; root only.
fn forget_files() -> bool {
    let synced = Command::new("sync").status().is_ok_and(|status| status.success());
    synced && std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

struct World {
    gateway: Gateway,
    erp: Erp,
    broker: Broker,
}

impl World {
    fn start(dir: &Path, preset: &str) -> anyhow::Result<Self> {
        Self::start_under(&[], dir, preset)
    }

    /// The gateway as the argument of another program.
    fn start_under(wrap: &[&str], dir: &Path, preset: &str) -> anyhow::Result<Self> {
        let broker = Broker::start(dir)?;
        let erp = Erp::start()?;
        let config = dir.join("gateway.toml");
        std::fs::write(
            &config,
            format!(
                "[site]\nid = \"dc1\"\ntimezone = \"UTC\"\n[gateway]\nid = \"bench\"\ndata_dir = \"{data}\"\n\
                 [outbox]\npreset = \"{preset}\"\nmax_size = \"64 GiB\"\nhistory = {{ max_age = \"30d\", max_size = \"64 GiB\" }}\n\
                 [[link]]\nid = \"broker\"\nkind = \"mqtt\"\naddress = \"mqtt://{broker}\"\nversion = 3\nclient_id = \"bench-gateway\"\n\
                 max_in_flight = 512\nreconnect = {{ min = \"10ms\", max = \"100ms\", reset_after = \"5m\" }}\n\
                 [[device]]\nid = \"scanners\"\nlink = \"broker\"\nmap = \"hand-scanner@1\"\nparams = {{ topic_root = \"dc1/scan\" }}\n\
                 [[target]]\nid = \"erp\"\nkind = \"http\"\nurl = \"http://{erp}/events\"\nidempotency = \"key\"\ndedup_horizon = \"24h\"\n\
                 batch = {{ max_events = 500, max_size = \"512 KiB\", linger = \"5ms\", format = \"json-array\", wrap = \"events\" }}\n\
                 answers = {{ items = \"/results\" }}\nmax_in_flight = 4\ntimeout = \"30s\"\nretry = {{ first = \"50ms\", max = \"200ms\" }}\n\
                 breaker = {{ first = \"100ms\", max = \"200ms\" }}\n\
                 [[lane]]\nid = \"outbound\"\ntarget = \"erp\"\nclass = \"document\"\ntake = [\"scan.*\"]\n",
                data = dir.join("data").display(),
                broker = broker.address,
                erp = erp.address,
            ),
        )?;
        Ok(Self { gateway: Gateway::start(wrap, config, dir.join("data"))?, erp, broker })
    }
}

struct Gateway {
    child: Child,
    /// The gateway's own, below what it was wrapped in.
    pid: u32,
    config: PathBuf,
    data: PathBuf,
    log: BufReader<std::process::ChildStderr>,
}

impl Gateway {
    /// Returns when it is subscribed.
    fn start(wrap: &[&str], config: PathBuf, data: PathBuf) -> anyhow::Result<Self> {
        let words = [wrap, &[env!("CARGO_BIN_EXE_floorgate"), "run", "--config"]].concat();
        let mut child = Command::new(words[0]).args(&words[1..]).arg(&config).stderr(Stdio::piped()).spawn()?;
        let log = BufReader::new(child.stderr.take().context("stderr is piped")?);
        let pid = child.id();
        let mut gateway = Self { child, pid, config, data, log };
        let mut line = String::new();
        while !line.contains("connected to the broker") {
            line.clear();
            ensure!(gateway.log.read_line(&mut line)? > 0, "the gateway ended at its start");
        }
        if !wrap.is_empty() {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
            gateway.pid = children.trim().parse().context("the gateway is the wrapper's only child")?;
        }
        Ok(gateway)
    }

    fn id(&self) -> u32 {
        self.pid
    }

    /// kill -9, and how long the next start takes until it is subscribed.
    fn restart(&mut self) -> anyhow::Result<Duration> {
        self.child.kill()?;
        self.child.wait()?;
        let begun = Instant::now();
        let fresh = Self::start(&[], self.config.clone(), self.data.clone())?;
        drop(std::mem::replace(self, fresh));
        Ok(begun.elapsed())
    }

    fn wait_for_pending(&self, events: i64) -> anyhow::Result<()> {
        let begun = Instant::now();
        let db = rusqlite::Connection::open_with_flags(
            self.data.join("outbox.db"),
            rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
        )?;
        let newest = || db.query_row("SELECT coalesce(max(seq), 0) FROM event", [], |row| row.get::<_, i64>(0));
        while newest()? < events {
            ensure!(begun.elapsed() < DEADLINE * 10, "the events do not arrive");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn field(&self, file: &str, name: &str) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)).context("a field of /proc")?;
        Ok(line.trim_matches(|c: char| !c.is_ascii_digit()).parse()?)
    }

    fn rss_mib(&self) -> anyhow::Result<f64> {
        Ok(self.field("status", "VmRSS:")? as f64 / 1024.0)
    }

    fn written(&self) -> anyhow::Result<u64> {
        self.field("io", "write_bytes:")
    }

    /// Lets the last batches settle and the WAL be checkpointed, and tells all that was written.
    fn stop(mut self) -> anyhow::Result<u64> {
        // What is settled rides on a commit at most 40 ms later.
        std::thread::sleep(Duration::from_millis(200));
        let written = self.written()?;
        self.child.kill()?;
        self.child.wait()?;
        Ok(written)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.pid != self.child.id()
            && !Command::new("kill").args(["-9", &self.pid.to_string()]).status().is_ok_and(|status| status.success())
        {
            eprintln!("the wrapped gateway did not end");
        }
        if self.child.try_wait().ok().flatten().is_none() && self.child.kill().and_then(|()| self.child.wait()).is_err()
        {
            eprintln!("the gateway did not end");
        }
    }
}

/// A scanner that numbers its messages, in MQTT 3.1.1 by hand.
struct Scanner {
    stream: TcpStream,
    boot: String,
}

impl Scanner {
    fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        static CLIENTS: AtomicUsize = AtomicUsize::new(10);
        let n = CLIENTS.fetch_add(1, Ordering::SeqCst) % 90 + 10;
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.write_all(format!("\x10\x11\0\x04MQTT\x04\x02\0\x3c\0\x05scn{n}").as_bytes())?;
        let mut connack = [0; 4];
        stream.read_exact(&mut connack)?;
        Ok(Self { stream, boot: format!("b{n}") })
    }

    /// Publishes these numbers, `window` at a time, and waits for their PUBACKs.
    fn publish(
        &mut self,
        numbers: std::ops::Range<usize>,
        window: usize,
        mut before: impl FnMut(usize),
    ) -> anyhow::Result<()> {
        const TOPIC: &[u8] = b"dc1/scan/p07/read";
        let mut numbers = numbers.peekable();
        let mut acks = vec![0; 4 * window];
        while numbers.peek().is_some() {
            let mut out = Vec::new();
            let mut group = 0;
            for n in numbers.by_ref().take(window) {
                before(n);
                group += 1;
                let mut payload = format!(
                    r#"{{"barcode":"IT{n:016}","ts":"2026-01-01T00:00:00Z","boot":"{}","seq":{},"pad":""#,
                    self.boot,
                    n + 1
                );
                payload.extend(std::iter::repeat_n('x', PAYLOAD.saturating_sub(payload.len() + 2)));
                payload.push_str("\"}");
                let length = 2 + TOPIC.len() + 2 + payload.len();
                out.extend([0x32, (length & 0x7f) as u8 | 0x80, (length >> 7) as u8, 0, TOPIC.len() as u8]);
                out.extend(TOPIC);
                out.extend((group as u16).to_be_bytes());
                out.extend(payload.as_bytes());
            }
            self.stream.write_all(&out)?;
            self.stream.read_exact(&mut acks[..4 * group])?;
        }
        Ok(())
    }
}

/// Books everything; remembers when it answered for which number.
struct Erp {
    address: SocketAddr,
    booked: Arc<Mutex<Vec<(usize, Instant)>>>,
    away: Arc<AtomicBool>,
}

#[derive(serde::Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    events: Vec<Item<'a>>,
}

#[derive(serde::Deserialize)]
struct Item<'a> {
    key: &'a str,
    subject: &'a str,
}

impl Erp {
    fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (booked, away) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (all, gone) = (booked.clone(), away.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (all, gone) = (all.clone(), gone.clone());
                std::thread::spawn(move || serve(stream, &all, &gone));
            }
        });
        Ok(Self { address, booked, away })
    }

    fn wait_for(&self, events: usize) -> anyhow::Result<()> {
        let (mut last, mut moved) = (0, Instant::now());
        loop {
            let n = self.booked.lock().map_err(|_| anyhow::anyhow!("the endpoint panicked"))?.len();
            if n >= events {
                return Ok(());
            }
            if n > last {
                (last, moved) = (n, Instant::now());
            }
            ensure!(moved.elapsed() < DEADLINE, "{n} of {events} events were posted, and no more come");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn times(&self, sent: &[Instant]) -> Times {
        let mut times = Times::default();
        if let Ok(booked) = self.booked.lock() {
            for (n, at) in booked.iter() {
                times.between(sent[*n], *at);
            }
        }
        times
    }
}

/// HTTP/1.1 by hand: one request after another on a kept connection.
fn serve(stream: TcpStream, booked: &Mutex<Vec<(usize, Instant)>>, away: &AtomicBool) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let mut line = String::new();
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 || away.load(Ordering::SeqCst) {
                return Ok(());
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body: Body<'_> = serde_json::from_slice(&body)?;
        let results: Vec<String> =
            body.events.iter().map(|e| format!(r#"{{"key":"{}","status":"posted"}}"#, e.key)).collect();
        let answer = format!(r#"{{"results":[{}]}}"#, results.join(","));
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", answer.len());
        writer.write_all((head + &answer).as_bytes())?;
        let at = Instant::now();
        let numbers = body.events.iter().filter_map(|e| e.subject.strip_prefix("IT")?.parse().ok());
        if let Ok(mut all) = booked.lock() {
            all.extend(numbers.map(|n: usize| (n, at)));
        }
    }
}
