//! What delivery costs: a backlog drained by lane, outbox, dispatch and target, beside a bare client that posts the very same
//! bodies to the same endpoint, as many at a time; and what it costs that `sending` is durable before a request leaves.
//!
//! The endpoint reads each batch, takes its time, and answers for each item by the contract; its stopwatch is the one for both,
//! from the first batch to the last answer. There is no switch for `sending`: the file itself forgets it here (a trigger),
//! and no commit is synced before a request leaves (the fault that tests plant).

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use floorgate::outbox::{self, Outbox};
use floorgate::{dispatch, lane};
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::http::{EVENTS_PATH, serve_on_its_own};
use crate::outbox::{config, lane, sample};
use crate::row::{Baseline, Meter, Row, scaled};

/// How batches leave, how long the ERP takes for one, and how many events are drained.
#[derive(Clone, Copy)]
struct Case {
    events: usize,
    in_flight: usize,
    takes: Duration,
    backlog: usize,
}

const fn case(events: usize, in_flight: usize, takes_ms: u64, backlog: usize) -> Case {
    Case { events, in_flight, takes: Duration::from_millis(takes_ms), backlog }
}

/// Events alone, the batches of a target of which nothing is said, and large ones.
const AT_ONCE: [Case; 3] = [case(1, 1, 0, 4_000), case(50, 1, 0, 50_000), case(500, 4, 0, 100_000)];
/// An ERP that takes 0.1, 1 and 5 ms for an event of a batch of 50, and 0.01 and 0.1 ms for one of 500.
const IN_TIME: [Case; 5] = [
    case(50, 1, 5, 20_000),
    case(50, 1, 50, 2_500),
    case(50, 1, 250, 600),
    case(500, 4, 5, 100_000),
    case(500, 4, 50, 80_000),
];

/// What becomes of `sending` before a request leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sending {
    /// Stored and synced, as in every gateway.
    Durable,
    /// Not stored. What was settled meanwhile is, and is synced.
    Unwritten,
    /// Not stored, and nothing waits for a sync.
    Off,
}

pub(crate) fn measure(dir: &Path) -> anyhow::Result<Vec<Row>> {
    let endpoint = Endpoint::start()?;
    let mut rows = Vec::new();
    for case in AT_ONCE.map(Case::scaled) {
        let durable = drain(dir, case, Sending::Durable, &endpoint)?;
        beside_bare(case, &durable, &endpoint, &mut rows)?;
        let off = drain(dir, case, Sending::Off, &endpoint)?;
        let unwritten = drain(dir, case, Sending::Unwritten, &endpoint)?;
        rows.push(Row::rate(case.name("`sending` off"), off.rate, "events/s", Baseline::None));
        rows.push(
            Row::rate(case.name("`sending` on"), durable.rate, "events/s", Baseline::Bare(off.rate))
                .hint("the baseline is off: each request waits for a sync, which a batch shares"),
        );
        rows.push(Row::cost(case.name("`sending` off, written"), unwritten.written, "bytes/event", Baseline::None));
        rows.push(
            Row::cost(
                case.name("`sending` on, written"),
                durable.written,
                "bytes/event",
                Baseline::Bare(unwritten.written),
            )
            .hint("the baseline is off: a row of `batch` comes and goes for each batch"),
        );
    }
    for case in IN_TIME.map(Case::scaled) {
        let durable = drain(dir, case, Sending::Durable, &endpoint)?;
        beside_bare(case, &durable, &endpoint, &mut rows)?;
    }
    Ok(rows)
}

impl Case {
    fn scaled(self) -> Self {
        Self { backlog: scaled(self.backlog), ..self }
    }

    fn name(&self, what: &str) -> String {
        let Self { events, in_flight, takes, .. } = self;
        let takes = if takes.is_zero() { "at once".to_owned() } else { format!("{} ms", takes.as_millis()) };
        format!("{events} a POST, {in_flight} in flight, {takes}, {what}")
    }

    fn lane(&self) -> lane::Config {
        lane::Config { max_events: self.events, max_in_flight: self.in_flight, ..lane() }
    }
}

/// The bodies that the endpoint has kept, posted once more.
fn beside_bare(case: Case, drained: &Drained, endpoint: &Endpoint, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let bodies = endpoint.bodies();
    ensure!(!bodies.is_empty(), "the endpoint kept nothing");
    endpoint.begin(case.takes, 0);
    Builder::new_current_thread().enable_all().build()?.block_on(bare(&endpoint.url, bodies, case.in_flight))?;
    let bare = case.backlog as f64 / endpoint.seconds()?;
    let hint = "the writer is the limit: for each batch rows are settled, and others read, rendered and synced";
    rows.push(Row::rate(case.name("bare reqwest"), bare, "events/s", Baseline::None));
    rows.push(Row::rate(case.name("floorgate"), drained.rate, "events/s", Baseline::Bare(bare)).hint(hint));
    Ok(())
}

async fn bare(url: &str, bodies: Vec<Bytes>, in_flight: usize) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().http1_only().no_proxy().tls_certs_only([]).build()?;
    let bodies = Arc::new(Mutex::new(bodies.into_iter()));
    let mut posts = tokio::task::JoinSet::new();
    for _ in 0..in_flight {
        let (client, bodies, url) = (client.clone(), bodies.clone(), url.to_owned());
        posts.spawn(async move {
            let next = || bodies.lock().unwrap_or_else(PoisonError::into_inner).next();
            while let Some(body) = next() {
                let request = client.post(&url).header(CONTENT_TYPE, "application/json").body(body);
                request.send().await?.error_for_status()?.bytes().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = posts.join_next().await {
        ended??;
    }
    Ok(())
}

/// Events a second, and bytes written for one from the moment that the ERP is there until the file is at rest.
struct Drained {
    rate: f64,
    written: f64,
}

fn drain(dir: &Path, case: Case, sending: Sending, endpoint: &Endpoint) -> anyhow::Result<Drained> {
    let dir = tempfile::tempdir_in(dir)?;
    let target = crate::http::target(&endpoint.url, Some("/results".into()))?;
    let config = outbox::Config { synchronous_normal: sending == Sending::Off, ..config(dir.path()) };
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let (out, work) = mpsc::channel(case.in_flight);
        let (outbox, mut ended) = Outbox::open(config, vec![case.lane()], vec![out])?;
        for from in (0..case.backlog).step_by(500) {
            outbox.capture((from..case.backlog.min(from + 500)).map(sample).collect()).await?;
        }
        prepare(dir.path(), sending)?;
        endpoint.begin(case.takes, case.backlog);
        let (meter, stop) = (Meter::start()?, CancellationToken::new());
        let lane = tokio::spawn(dispatch::run(target, work, outbox.clone(), stop.clone()));
        endpoint.wait().await?;
        let rate = case.backlog as f64 / endpoint.seconds()?;
        outbox.stop();
        ended.wait().await.context("the writer panicked")??;
        let written = meter.written()? as f64 / case.backlog as f64;
        stop.cancel();
        lane.await?;
        drop(outbox);
        ensure!(left(dir.path())? == 0, "not every event was settled");
        Ok(Drained { rate, written })
    })
}

/// The file as a start would find it, and what `sending` says of it.
fn prepare(dir: &Path, sending: Sending) -> anyhow::Result<()> {
    let db = rusqlite::Connection::open(dir.join("outbox.db"))?;
    if sending != Sending::Durable {
        db.execute_batch("CREATE TRIGGER forget BEFORE INSERT ON batch BEGIN SELECT RAISE(IGNORE); END")?;
    }
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

fn left(dir: &Path) -> anyhow::Result<i64> {
    let db = rusqlite::Connection::open(dir.join("outbox.db"))?;
    Ok(db.query_row("SELECT count(*) FROM pending", [], |row| row.get(0))?)
}

/// Answers for each item, on its own thread, and holds the stopwatch.
struct Endpoint {
    url: String,
    watch: Arc<Mutex<Stopwatch>>,
    all: Arc<tokio::sync::Notify>,
}

#[derive(Default)]
struct Stopwatch {
    takes: Duration,
    awaited: usize,
    answered: usize,
    times: Option<(Instant, Instant)>,
    bodies: Vec<Bytes>,
}

#[derive(serde::Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    events: Vec<Item<'a>>,
}

#[derive(serde::Deserialize)]
struct Item<'a> {
    key: &'a str,
}

impl Endpoint {
    fn start() -> anyhow::Result<Self> {
        let (watch, all) = (Arc::new(Mutex::new(Stopwatch::default())), Arc::new(tokio::sync::Notify::new()));
        let router = Router::new().route(EVENTS_PATH, post(book)).layer(DefaultBodyLimit::disable());
        let url = serve_on_its_own(router.with_state((watch.clone(), all.clone())))?;
        Ok(Self { url, watch, all })
    }

    fn begin(&self, takes: Duration, awaited: usize) {
        *locked(&self.watch) = Stopwatch { takes, awaited, ..Stopwatch::default() };
    }

    async fn wait(&self) -> anyhow::Result<()> {
        Ok(tokio::time::timeout(Duration::from_mins(1), self.all.notified()).await?)
    }

    fn seconds(&self) -> anyhow::Result<f64> {
        let (from, to) = locked(&self.watch).times.context("nothing was posted")?;
        Ok(to.duration_since(from).as_secs_f64())
    }

    fn bodies(&self) -> Vec<Bytes> {
        std::mem::take(&mut locked(&self.watch).bodies)
    }
}

type Shared = (Arc<Mutex<Stopwatch>>, Arc<tokio::sync::Notify>);

async fn book(State((watch, all)): State<Shared>, body: Bytes) -> impl IntoResponse {
    let begun = Instant::now();
    let events = serde_json::from_slice::<Body<'_>>(&body).map(|body| body.events).unwrap_or_default();
    let results: Vec<String> =
        events.iter().map(|event| format!(r#"{{"key":"{}","status":"posted"}}"#, event.key)).collect();
    let takes = locked(&watch).takes;
    if !takes.is_zero() {
        tokio::time::sleep(takes).await;
    }
    let mut watch = locked(&watch);
    watch.times = Some((watch.times.map_or(begun, |(first, _)| first), Instant::now()));
    watch.answered += results.len();
    if watch.answered == watch.awaited {
        all.notify_one();
    }
    drop(events);
    watch.bodies.push(body);
    ([(CONTENT_TYPE, "application/json")], format!(r#"{{"results":[{}]}}"#, results.join(",")))
}

fn locked(watch: &Mutex<Stopwatch>) -> std::sync::MutexGuard<'_, Stopwatch> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}
