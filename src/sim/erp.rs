//! The ERP endpoint: `POST /floorgate/v1/events`, one result for each item, keys remembered over its outages.
//!
//! In an outage it is away in several ways, one after another: the port closed, connections dropped, 503 with
//! Retry-After, answers cut in half, answers dropped after the commit, items put off one by one, batches accepted with a 202
//! and booked a second later. What has taken effect
//! is told to the oracle by the producer's numbers; what the key absorbed is counted. Keys are kept in memory.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::serve::{IncomingStream, Listener};
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::sim::oracle::{Happening, Oracle};

/// Where it takes events.
pub const PATH: &str = "/floorgate/v1/events";

/// Where it is asked for what it has accepted.
const JOBS: &str = "/floorgate/v1/jobs";

/// How the ERP is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It answers.
    Up,
    /// Its port is closed, its connections are reset.
    Refuse,
    /// It accepts connections and drops them unread.
    Hang,
    /// 503 with Retry-After.
    Busy,
    /// Answers end in the middle, after the commit or without one.
    Half,
    /// It commits and drops the connection instead of answering.
    Mute,
    /// Each second item is put off.
    Partial,
    /// 202: batches are booked later.
    Later,
}

impl Mode {
    /// The ways of being away.
    pub const AWAY: [Self; 7] =
        [Self::Refuse, Self::Hang, Self::Busy, Self::Half, Self::Mute, Self::Partial, Self::Later];

    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Refuse => "connection refused",
            Self::Hang => "connections dropped",
            Self::Busy => "503, Retry-After",
            Self::Half => "answers cut in half",
            Self::Mute => "commits, then drops the answer",
            Self::Partial => "puts off each second item",
            Self::Later => "202, books later",
        }
    }
}

/// What the ERP has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests that brought a batch.
    pub batches: u64,
    /// Items that the key absorbed: already posted.
    pub absorbed: u64,
    /// Items whose key was known with other bytes.
    pub clashes: u64,
    /// Effects of a posting key beyond its first.
    pub doubled_keys: u64,
    /// Answers withheld after a commit.
    pub withheld: u64,
}

#[derive(Debug)]
struct Book {
    /// Posted keys, with a hash of the item's bytes.
    keys: HashMap<String, [u8; 16]>,
    /// Keys forgotten by sabotage.
    forgotten: HashSet<String>,
    random: fastrand::Rng,
    stats: Stats,
    /// Batches that were accepted, in their order; done with the answer.
    jobs: Vec<Job>,
}

/// A batch that was accepted.
#[derive(Debug)]
struct Job {
    body: Bytes,
    from: Instant,
    answer: Option<String>,
}

/// How long a job takes.
const WORK: Duration = Duration::from_secs(1);

/// The endpoint.
#[derive(Debug)]
pub struct Erp {
    book: Mutex<Book>,
    mode: watch::Sender<Mode>,
    oracle: Arc<Oracle>,
}

#[derive(serde::Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct Item {
    key: String,
    source: String,
    epoch: String,
    seq: String,
}

impl Erp {
    /// An ERP that is up; `seed` chooses where it has a choice.
    pub fn new(seed: u64, oracle: Arc<Oracle>) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        let book =
            Book { keys: HashMap::new(), forgotten: HashSet::new(), random, stats: Stats::default(), jobs: Vec::new() };
        Self { book: Mutex::new(book), mode: watch::Sender::new(Mode::Up), oracle }
    }

    /// Serves until `stop`. It binds `listener`'s address again after each [`Mode::Refuse`].
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        let door = Door { at: listener.local_addr()?, open: Some(listener), mode: self.mode.subscribe() };
        let service = axum::Router::new()
            .route(PATH, axum::routing::post(take))
            .route(&format!("{JOBS}/{{job}}"), axum::routing::get(tell))
            .with_state(self)
            .into_make_service_with_connect_info::<Connection>();
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            served = axum::serve(door, service) => served,
        }
    }

    /// From now on it is so.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// How it is.
    pub fn mode(&self) -> Mode {
        *self.mode.borrow()
    }

    /// Sabotage: it forgets every key it knows.
    pub fn forget(&self) {
        let mut book = self.lock();
        let keys = std::mem::take(&mut book.keys);
        book.forgotten.extend(keys.into_keys());
    }

    /// What has been counted so far.
    pub fn stats(&self) -> Stats {
        self.lock().stats
    }

    /// Posts what the batch holds; one result for each item, or why the batch can't be read.
    fn commit(&self, body: &[u8], partial: bool) -> Result<String, String> {
        let batch: Batch<'_> = serde_json::from_slice(body).map_err(|e| e.to_string())?;
        let mut book = self.lock();
        book.stats.batches += 1;
        let mut results = Vec::with_capacity(batch.events.len());
        for raw in batch.events {
            let item: Item = serde_json::from_str(raw.get()).map_err(|e| e.to_string())?;
            let hash = crate::event::short_hash(raw.get().as_bytes());
            let put_off = partial && book.random.bool();
            let result = match book.keys.get(&item.key) {
                Some(known) if *known == hash => {
                    book.stats.absorbed += 1;
                    serde_json::json!({ "key": item.key, "status": "duplicate" })
                }
                Some(_) => {
                    book.stats.clashes += 1;
                    serde_json::json!({ "key": item.key, "status": "rejected", "reason": "key_reused" })
                }
                None if put_off => {
                    serde_json::json!({ "key": item.key, "status": "retry", "reason": "locked", "message": "try later" })
                }
                None => {
                    if book.forgotten.contains(&item.key) {
                        book.stats.doubled_keys += 1;
                    }
                    book.keys.insert(item.key.clone(), hash);
                    self.oracle.posted(&happening(&item));
                    let reference = format!("DOC-{}", book.keys.len());
                    serde_json::json!({ "key": item.key, "status": "posted", "reference": reference })
                }
            };
            results.push(result);
        }
        Ok(serde_json::json!({ "results": results }).to_string())
    }

    /// The job of that batch, which is the same one for the same bytes.
    fn accept(&self, body: Bytes) -> usize {
        let mut book = self.lock();
        let known = book.jobs.iter().position(|job| job.body == body);
        known.unwrap_or_else(|| {
            book.jobs.push(Job { body, from: Instant::now(), answer: None });
            book.jobs.len() - 1
        })
    }

    /// What became of a job: it is done by whoever asks for it first when its time is over.
    fn job(&self, number: usize) -> Option<String> {
        let mut book = self.lock();
        let job = book.jobs.get_mut(number)?;
        if job.from.elapsed() < WORK || job.answer.is_some() {
            let processing = || serde_json::json!({ "status": "processing" }).to_string();
            return Some(job.answer.clone().unwrap_or_else(processing));
        }
        let body = job.body.clone();
        drop(book);
        let results: serde_json::Value = serde_json::from_str(&self.commit(&body, false).ok()?).ok()?;
        let answer = serde_json::json!({ "status": "done", "results": results["results"] }).to_string();
        self.lock().jobs.get_mut(number)?.answer = Some(answer.clone());
        Some(answer)
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The producer's own numbers; what can't be one is a happening that the oracle doesn't know.
fn happening(item: &Item) -> Happening {
    let device = item.source.rsplit('/').next().unwrap_or_default().to_owned();
    Happening { device, epoch: item.epoch.clone(), seq: item.seq.parse().unwrap_or(0) }
}

async fn take(State(erp): State<Arc<Erp>>, ConnectInfo(connection): ConnectInfo<Connection>, body: Bytes) -> Response {
    let mode = erp.mode();
    let commits = match mode {
        Mode::Up | Mode::Partial | Mode::Mute => true,
        Mode::Half => erp.lock().random.bool(),
        Mode::Busy => {
            return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], "busy").into_response();
        }
        Mode::Later => {
            let location = format!("{JOBS}/{}", erp.accept(body));
            return (StatusCode::ACCEPTED, [(header::LOCATION, location), (header::RETRY_AFTER, "1".to_owned())])
                .into_response();
        }
        Mode::Refuse | Mode::Hang => false,
    };
    let answer = if commits { erp.commit(&body, mode == Mode::Partial) } else { Ok(format!("{:4000}", "")) };
    match mode {
        Mode::Half => connection.fault(HALF),
        Mode::Mute | Mode::Refuse | Mode::Hang => connection.fault(CUT),
        Mode::Up | Mode::Partial | Mode::Busy | Mode::Later => {}
    }
    if commits && matches!(mode, Mode::Half | Mode::Mute) {
        erp.lock().stats.withheld += 1;
    }
    match answer {
        Ok(results) => ([(header::CONTENT_TYPE, "application/json")], results).into_response(),
        Err(why) => (StatusCode::BAD_REQUEST, why).into_response(),
    }
}

/// `GET …/jobs/N`.
async fn tell(State(erp): State<Arc<Erp>>, Path(number): Path<usize>) -> Response {
    match erp.job(number) {
        Some(told) => ([(header::CONTENT_TYPE, "application/json"), (header::RETRY_AFTER, "1")], told).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

const WHOLE: u8 = 0;
const HALF: u8 = 1;
const CUT: u8 = 2;

/// What is to befall the answers on one connection.
#[derive(Debug, Clone, Default)]
struct Connection(Arc<AtomicU8>);

impl Connection {
    fn fault(&self, fault: u8) {
        self.0.store(fault, Ordering::Relaxed);
    }
}

impl Connected<IncomingStream<'_, Door>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.io().connection.clone()
    }
}

/// Listens while the mode lets it.
struct Door {
    at: SocketAddr,
    open: Option<TcpListener>,
    mode: watch::Receiver<Mode>,
}

impl Listener for Door {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        loop {
            if *self.mode.borrow_and_update() == Mode::Refuse {
                self.open = None;
                // Fails when the ERP is gone, and then this task ends with it.
                drop(self.mode.changed().await);
                continue;
            }
            if self.open.is_none() {
                self.open = TcpListener::bind(self.at).await.ok();
            }
            let Some(listener) = &self.open else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = self.mode.changed() => continue,
            };
            match accepted {
                Ok((stream, _)) if *self.mode.borrow() == Mode::Hang => drop(stream),
                Ok((stream, from)) if stream.set_nodelay(true).is_ok() => {
                    return (Wire { stream, connection: Connection::default(), mode: self.mode.clone() }, from);
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.at)
    }
}

/// A connection whose answers can be cut.
struct Wire {
    stream: TcpStream,
    connection: Connection,
    mode: watch::Receiver<Mode>,
}

impl Wire {
    fn closed(&self) -> bool {
        *self.mode.borrow() == Mode::Refuse
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) if self.closed() => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            polled => polled,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let fault = if self.closed() { CUT } else { self.connection.0.load(Ordering::Relaxed) };
        let part = match fault {
            WHOLE => bytes,
            HALF => {
                self.connection.fault(CUT);
                &bytes[..bytes.len().div_ceil(2)]
            }
            _ => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        };
        Pin::new(&mut self.stream).poll_write(cx, part)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;
    use crate::sim::oracle::Kind;

    struct House {
        erp: Arc<Erp>,
        oracle: Arc<Oracle>,
        url: String,
        client: reqwest::Client,
        _tasks: JoinSet<io::Result<()>>,
    }

    async fn house() -> House {
        // Another test of this process may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let oracle = Arc::new(Oracle::default());
        (1..=9).for_each(|seq| {
            oracle.produced(
                Kind::Scan,
                &Happening { device: "pack-s1".into(), epoch: "d:b1".into(), seq },
                &format!("subject {seq}"),
            );
        });
        let erp = Arc::new(Erp::new(1, Arc::clone(&oracle)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{PATH}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&erp).serve(listener, CancellationToken::new()));
        let client = reqwest::Client::builder().retry(reqwest::retry::never()).build().unwrap();
        House { erp, oracle, url, client, _tasks: tasks }
    }

    fn item(seq: u64, more: &str) -> String {
        format!(
            r#"{{"key":"k{seq}","source":"/sites/dc1/devices/pack-s1","epoch":"d:b1","seq":"{seq}","data":"{more}"}}"#
        )
    }

    impl House {
        async fn post(&self, items: &[String]) -> reqwest::Result<(u16, String)> {
            let body = format!(r#"{{"events":[{}]}}"#, items.join(","));
            let answer = self.client.post(&self.url).body(body).send().await?;
            Ok((answer.status().as_u16(), answer.text().await?))
        }

        /// Posts one item and counts posted, duplicate effects, absorbed.
        async fn then(&self, seq: u64) -> (Option<u16>, [u64; 3]) {
            let status = self.post(&[item(seq, "")]).await.ok().map(|(status, _)| status);
            let counts = self.oracle.counts();
            (status, [counts.posted, counts.duplicate_effects, self.erp.stats().absorbed])
        }
    }

    #[tokio::test]
    async fn a_key_takes_effect_once_and_other_bytes_under_it_are_refused() {
        let house = house().await;
        let (status, text) = house.post(&[item(1, ""), item(2, "")]).await.unwrap();
        assert_eq!(status, 200);
        let posted = r#"{"results":[{"key":"k1","status":"posted","reference":"DOC-1"},{"key":"k2","status":"posted","reference":"DOC-2"}]}"#;
        assert_eq!(text, posted);
        let (_, text) = house.post(&[item(1, ""), item(2, "other")]).await.unwrap();
        assert!(text.contains(r#""duplicate""#) && text.contains("key_reused"), "{text}");
        assert_eq!(house.erp.stats().clashes, 1);
        assert_eq!(house.oracle.counts().posted, 2);
        assert_eq!(house.post(&["{}".into()]).await.unwrap().0, 400);
    }

    #[tokio::test]
    async fn each_way_of_being_away_ends_and_the_key_holds() {
        let house = house().await;
        assert_eq!(house.then(1).await, (Some(200), [1, 0, 0]));
        for away in [Mode::Refuse, Mode::Hang] {
            house.erp.set(away);
            assert_eq!(house.then(2).await, (None, [1, 0, 0]), "{away:?}");
        }
        house.erp.set(Mode::Busy);
        // The door opens again a moment after the mode has changed.
        while house.then(2).await.0 != Some(503) {}
        house.erp.set(Mode::Mute);
        assert_eq!(house.then(2).await, (None, [2, 0, 0]), "committed, not answered");
        house.erp.set(Mode::Up);
        assert_eq!(house.then(2).await, (Some(200), [2, 0, 1]), "absorbed");
        house.erp.set(Mode::Half);
        assert_eq!(house.then(3).await.0, None, "half an answer is none");
    }

    #[tokio::test]
    async fn what_is_accepted_is_booked_once_when_its_time_is_over() {
        let house = house().await;
        house.erp.set(Mode::Later);
        for _ in 0..2 {
            assert_eq!(house.then(1).await, (Some(202), [0, 0, 0]), "the same bytes are the same job");
        }
        let told = |erp: &Erp| erp.job(0).expect("it is the first job");
        assert!(told(&house.erp).contains("processing"));
        house.erp.lock().jobs[0].from -= WORK;
        for _ in 0..2 {
            assert!(told(&house.erp).contains(r#""status":"posted""#));
        }
        assert_eq!((house.oracle.counts().posted, house.erp.stats().absorbed, house.erp.job(1)), (1, 0, None));
    }

    #[tokio::test]
    async fn an_erp_that_forgets_its_keys_shows_as_duplicate_effects() {
        let house = house().await;
        house.then(1).await;
        house.erp.forget();
        assert_eq!(house.then(1).await, (Some(200), [1, 1, 0]));
        assert_eq!(house.erp.stats().doubled_keys, 1);
    }
}
