//! An ERP endpoint that is the oracle's eye: it remembers keys, logs effects in order, and fails as it is told.
//!
//! HTTP/1.1 by hand on std threads, so that it shares nothing with the gateway's own client or the demo's endpoint, and
//! can die at any byte.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What the endpoint does with a request.
pub(crate) enum Behaviour {
    /// Commits and answers.
    Answer,
    /// Commits, answers, and then does this.
    AnswerThen(Box<dyn FnOnce() + Send>),
    /// Answers with a status and a `Retry-After`, without commit.
    Status(u16, Option<&'static str>),
    /// Answers 429 with a `Retry-After` as HTTP date, this many seconds after its own `Date`, without commit.
    ComeBackAt(u8),
    /// Dies before its commit: no answer.
    DropBefore,
    /// Commits and dies: no answer.
    DropAfter,
    /// Commits, and the answer ends in its middle.
    Cut,
    /// Commits and answers late.
    Slow(Duration),
    /// Answers 202 with where to ask, and commits after this time.
    Accept(Duration),
}

/// What the endpoint does with one item of a request that it commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemResult {
    /// Posts it, or knows its key.
    Post,
    /// Says that it is wrong; no effect.
    Reject,
    /// Says `retry`; no effect.
    Retry,
    /// Posts it, and says nothing of it.
    PostSilently,
    /// Does not, and says nothing of it.
    SkipSilently,
}

/// A request whose body came whole.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// From 1.
    pub(crate) number: usize,
    pub(crate) body: Vec<u8>,
    pub(crate) keys: Vec<String>,
    pub(crate) at: Instant,
    /// The last byte of a whole answer was handed to the socket.
    pub(crate) answered: bool,
}

/// A posting that took effect.
#[derive(Debug, Clone)]
pub(crate) struct Effect {
    /// `DEVICE/EPOCH/SEQ`, from the event.
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) subject: String,
    pub(crate) data: Value,
}

#[derive(Default)]
struct Log {
    effects: Vec<Effect>,
    known: HashMap<String, usize>,
    requests: Vec<Request>,
    /// Items whose key was known already.
    absorbed: usize,
    /// A resend that began with the same key and had other bytes.
    changed_resends: usize,
    streams: Vec<TcpStream>,
    /// What was accepted, by the number of its request: its answer once it is committed.
    jobs: HashMap<usize, Option<Value>>,
    /// Keys that were accepted and are not committed.
    at_work: HashSet<String>,
    /// Items that came again while they were at work.
    again_at_work: usize,
    polls: usize,
}

type Policy = Box<dyn FnMut(&Request) -> Behaviour + Send>;
type ItemPolicy = Box<dyn FnMut(&Effect) -> ItemResult + Send>;

struct Shared {
    log: Mutex<Log>,
    policy: Mutex<Policy>,
    items: Mutex<ItemPolicy>,
    away: AtomicBool,
}

/// The endpoint; clones are the same one.
#[derive(Clone)]
pub(crate) struct Erp {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

impl Erp {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("the listener has an address").port();
        let shared = Shared {
            log: Mutex::default(),
            policy: Mutex::new(Box::new(|_| Behaviour::Answer)),
            items: Mutex::new(Box::new(|_| ItemResult::Post)),
            away: AtomicBool::new(false),
        };
        let erp = Self { port, shared: Arc::new(shared) };
        erp.listen(listener);
        erp
    }

    fn listen(&self, listener: TcpListener) {
        let erp = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                if erp.shared.away.load(Ordering::SeqCst) {
                    return; // the listener closes: from now on connections are refused
                }
                let erp = erp.clone();
                std::thread::spawn(move || erp.serve(&stream));
            }
        });
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/events", self.port)
    }

    /// From now on requests are treated as `policy` says.
    pub(crate) fn behave(&self, policy: impl FnMut(&Request) -> Behaviour + Send + 'static) {
        *self.shared.policy.lock().expect("policies do not panic") = Box::new(policy);
    }

    /// From now on items are treated as `policy` says.
    pub(crate) fn behave_for_items(&self, policy: impl FnMut(&Effect) -> ItemResult + Send + 'static) {
        *self.shared.items.lock().expect("policies do not panic") = Box::new(policy);
    }

    /// Commits and answers everything again.
    pub(crate) fn behave_well(&self) {
        self.behave(|_| Behaviour::Answer);
        self.behave_for_items(|_| ItemResult::Post);
    }

    /// Closes all connections; new ones are refused.
    pub(crate) fn go_away(&self) {
        self.shared.away.store(true, Ordering::SeqCst);
        // Wakes the listener, which then closes.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        for stream in self.log().streams.drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
        super::wait_for("the endpoint to close its port", || TcpStream::connect(("127.0.0.1", self.port)).is_err());
    }

    /// Listens again, with all that it committed.
    pub(crate) fn come_back(&self) {
        self.shared.away.store(false, Ordering::SeqCst);
        self.listen(TcpListener::bind(("127.0.0.1", self.port)).expect("our own port is free again"));
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.shared.log.lock().expect("the endpoint's threads do not panic")
    }

    pub(crate) fn effects(&self) -> Vec<Effect> {
        self.log().effects.clone()
    }

    /// Ids of the effects, in their order.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.log().effects.iter().map(|e| e.id.clone()).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.log().effects.len()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.log().requests.clone()
    }

    pub(crate) fn request_count(&self) -> usize {
        self.log().requests.len()
    }

    /// Items that came again after they had taken effect.
    pub(crate) fn absorbed(&self) -> usize {
        self.log().absorbed
    }

    /// Resends whose bytes differ from the first ones.
    pub(crate) fn changed_resends(&self) -> usize {
        self.log().changed_resends
    }

    /// Items that were accepted and are not committed.
    pub(crate) fn at_work(&self) -> usize {
        self.log().at_work.len()
    }

    /// The subject of something that is accepted and not committed.
    pub(crate) fn accepted_subject(&self) -> Option<String> {
        let log = self.log();
        let bodies = log.requests.iter().flat_map(|request| items(&request.body));
        bodies.into_iter().find(|item| log.at_work.contains(&key_of(item))).map(|item| text(&item, "subject"))
    }

    /// Items that came again while they were at work.
    pub(crate) fn again_at_work(&self) -> usize {
        self.log().again_at_work
    }

    /// Questions for jobs.
    pub(crate) fn polls(&self) -> usize {
        self.log().polls
    }

    /// Keys of requests that were answered whole, and whether any request is not.
    pub(crate) fn answered_keys(&self) -> HashSet<String> {
        self.log().requests.iter().filter(|r| r.answered).flat_map(|r| r.keys.clone()).collect()
    }

    fn serve(&self, stream: &TcpStream) {
        drop(stream.set_nodelay(true));
        if let Ok(clone) = stream.try_clone() {
            self.log().streams.push(clone);
        }
        let mut reader = BufReader::new(stream);
        while let Some(asked) = read_request(&mut reader) {
            let alive = match asked {
                Asked::Job(job) => self.tell_job(stream, job),
                Asked::Post(body) => self.take(body).is_some_and(|request| {
                    let behaviour = self.shared.policy.lock().expect("policies do not panic")(&request);
                    self.treat(stream, &request, behaviour)
                }),
            };
            if !alive {
                break;
            }
        }
        drop(stream.shutdown(Shutdown::Both));
    }

    /// Writes the request down; `None`: the endpoint has gone away meanwhile.
    fn take(&self, body: Vec<u8>) -> Option<Request> {
        let keys: Vec<String> = items(&body).iter().map(key_of).collect();
        let mut log = self.log();
        if self.shared.away.load(Ordering::SeqCst) {
            return None;
        }
        // A resend keeps its rows together; a batch that begins with a known key and is another one was made anew,
        // which is right only when the target has spoken of the first: those differ in length or keys.
        let changed = log.requests.iter().any(|r| r.keys == keys && r.body != body);
        log.changed_resends += usize::from(changed);
        log.again_at_work += keys.iter().filter(|key| log.at_work.contains(*key)).count();
        let request = Request { number: log.requests.len() + 1, body, keys, at: Instant::now(), answered: false };
        log.requests.push(request.clone());
        Some(request)
    }

    /// `false`: the connection ends.
    fn treat(&self, stream: &TcpStream, request: &Request, behaviour: Behaviour) -> bool {
        match behaviour {
            Behaviour::Answer => self.answer(stream, request),
            Behaviour::AnswerThen(then) => {
                let alive = self.answer(stream, request);
                then();
                alive
            }
            Behaviour::Status(status, retry_after) => {
                let header = retry_after.map(|value| format!("Retry-After: {value}\r\n")).unwrap_or_default();
                write_all(stream, &response(status, &header, b"{}"))
            }
            Behaviour::ComeBackAt(seconds) => {
                let dates = format!(
                    "Date: Tue, 03 Mar 2015 10:00:00 GMT\r\nRetry-After: Tue, 03 Mar 2015 10:00:{seconds:02} GMT\r\n"
                );
                write_all(stream, &response(429, &dates, b"{}"))
            }
            Behaviour::DropBefore => false,
            Behaviour::DropAfter => {
                self.commit(request);
                false
            }
            Behaviour::Cut => {
                let whole = response(200, "", &self.commit(request));
                write_all(stream, &whole[..whole.len() * 2 / 3]);
                false
            }
            Behaviour::Accept(time) => {
                self.accept(request, time);
                let headers = format!("Location: /jobs/{}\r\nRetry-After: 1\r\n", request.number);
                write_all(stream, &response(202, &headers, b"{\"status\":\"processing\"}"))
            }
            Behaviour::Slow(time) => {
                let answer = self.commit(request);
                std::thread::sleep(time);
                self.finish(stream, request, &answer)
            }
        }
    }

    /// Books the request after that time, whoever asks for it meanwhile.
    fn accept(&self, request: &Request, time: Duration) {
        let mut log = self.log();
        log.jobs.insert(request.number, None);
        log.at_work.extend(request.keys.iter().cloned());
        drop(log);
        let (erp, request) = (self.clone(), request.clone());
        std::thread::spawn(move || {
            std::thread::sleep(time); // the length of the work, not a wait
            let mut done: Value = serde_json::from_slice(&erp.commit(&request)).expect("our own answer is JSON");
            done["status"] = "done".into();
            let mut log = erp.log();
            log.at_work.retain(|key| !request.keys.contains(key));
            log.jobs.insert(request.number, Some(done));
        });
    }

    fn tell_job(&self, stream: &TcpStream, job: usize) -> bool {
        let mut log = self.log();
        log.polls += 1;
        let told = log.jobs.get(&job).cloned();
        drop(log);
        let whole = match told {
            None => response(404, "", b"{\"type\":\"urn:floorgate:problem:unknown_job\"}"),
            Some(None) => response(200, "Retry-After: 1\r\n", b"{\"status\":\"processing\"}"),
            Some(Some(done)) => response(200, "", done.to_string().as_bytes()),
        };
        write_all(stream, &whole)
    }

    fn answer(&self, stream: &TcpStream, request: &Request) -> bool {
        let answer = self.commit(request);
        self.finish(stream, request, &answer)
    }

    fn finish(&self, stream: &TcpStream, request: &Request, answer: &[u8]) -> bool {
        let alive = write_all(stream, &response(200, "", answer));
        if alive {
            self.log().requests[request.number - 1].answered = true;
        }
        alive
    }

    fn commit(&self, request: &Request) -> Vec<u8> {
        let mut results = Vec::new();
        for item in items(&request.body) {
            let effect = effect_of(&item);
            let result = self.shared.items.lock().expect("policies do not panic")(&effect);
            let key = key_of(&item);
            let mut log = self.log();
            let status = match result {
                ItemResult::Post | ItemResult::PostSilently => {
                    if log.known.contains_key(&key) {
                        log.absorbed += 1;
                        "duplicate"
                    } else {
                        let number = log.effects.len();
                        log.known.insert(key.clone(), number);
                        log.effects.push(effect);
                        "posted"
                    }
                }
                ItemResult::Reject => "rejected",
                ItemResult::Retry => "retry",
                ItemResult::SkipSilently => "",
            };
            if !matches!(result, ItemResult::PostSilently | ItemResult::SkipSilently) {
                results.push(json!({"key": key, "status": status, "reason": "as planned", "reference": "DOC-1"}));
            }
        }
        json!({ "results": results }).to_string().into_bytes()
    }
}

fn items(body: &[u8]) -> Vec<Value> {
    let body: Value = serde_json::from_slice(body).expect("the gateway posts JSON");
    body["events"].as_array().expect("the gateway posts an object with `events`").clone()
}

fn text(item: &Value, name: &str) -> String {
    item[name].as_str().unwrap_or_else(|| panic!("{name} is missing in {item}")).to_owned()
}

fn key_of(item: &Value) -> String {
    text(item, "key")
}

fn effect_of(item: &Value) -> Effect {
    let source = text(item, "source");
    let device = source.rsplit('/').next().unwrap_or_default();
    Effect {
        id: format!("{device}/{}/{}", text(item, "epoch"), text(item, "seq")),
        kind: text(item, "kind"),
        subject: text(item, "subject"),
        data: item["data"].clone(),
    }
}

fn response(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut whole = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    whole.extend_from_slice(body);
    whole
}

/// `false`: the other side is gone.
fn write_all(mut stream: &TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).and_then(|()| stream.flush()).is_ok()
}

/// What the gateway wants.
enum Asked {
    /// To post this body.
    Post(Vec<u8>),
    /// To know what became of that job.
    Job(usize),
}

/// The next request; `None` when the connection ends.
fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<Asked> {
    let (mut length, mut gzip, mut line) = (0, false, String::new());
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let job = line.strip_prefix("GET /jobs/").and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    assert!(job.is_some() || line.starts_with("POST "), "the gateway posts, or asks for a job of ours: {line}");
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        gzip |= header.starts_with("content-encoding:") && header.contains("gzip");
        assert!(!header.starts_with("transfer-encoding:"), "bodies of known length have no need of chunks");
    }
    if let Some(job) = job {
        return Some(Asked::Job(job));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    if gzip {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).expect("what says gzip is gzip");
        return Some(Asked::Post(plain));
    }
    Some(Asked::Post(body))
}
