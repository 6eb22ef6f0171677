//! The network between the gateway and the ERP: an HTTP proxy that can fail, and that writes down what passed.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::Value;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It carries.
    Open,
    /// Requests arrive, answers do not: with the first one the connection breaks.
    Deaf,
    /// Every other batch never arrives, and of the rest no answer comes back. A batch that comes again fares as before.
    Patchy,
    /// Something on the way asks for fewer requests, in words of its own: 429, and to come back after so many seconds.
    Busy(u64),
    /// No connection lives.
    Cut,
}

/// What a request was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errand {
    /// To post its keys.
    Post,
    /// To ask what became of them.
    Look,
    /// Something else: a job.
    Else,
}

/// What passed, in this order.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    /// Joins an answer to its request.
    pub(crate) request: usize,
    pub(crate) what: What,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    /// A request came from the gateway, whole. `prints`: a number for the content of each key's item.
    Asked { errand: Errand, keys: Vec<String>, prints: Vec<u64> },
    /// Its answer, whole. `pause`: what `Retry-After` says. `said`: key and word of each result. `heard`: it went on to the
    /// gateway.
    Told { status: u16, pause: Option<Duration>, said: Vec<(String, String)>, heard: bool },
}

struct Shared {
    way: Way,
    streams: Vec<TcpStream>,
    seen: Vec<Seen>,
    requests: usize,
    swallowed: usize,
    /// First keys of batches that do not arrive while the way is patchy, and of those that do.
    gone: HashSet<String>,
    carried: HashSet<String>,
}

/// A running proxy; its threads end with the process.
pub(crate) struct Wire {
    pub(crate) port: u16,
    shared: Arc<Mutex<Shared>>,
}

impl Wire {
    /// Listens on a free port and passes each connection on to `server`.
    pub(crate) fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("the listener has an address").port();
        let shared = Arc::new(Mutex::new(Shared {
            way: Way::Open,
            streams: Vec::new(),
            seen: Vec::new(),
            requests: 0,
            swallowed: 0,
            gone: HashSet::new(),
            carried: HashSet::new(),
        }));
        let wire = Self { port, shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let mut state = lock(&shared);
                if state.way != Way::Cut {
                    state.streams.extend([&client, &server].iter().filter_map(|stream| stream.try_clone().ok()));
                    carry(&shared, client, server);
                }
            }
        });
        wire
    }

    /// From now on the network does this.
    pub(crate) fn set(&self, way: Way) {
        let mut state = lock(&self.shared);
        state.way = way;
        if way == Way::Cut {
            for stream in state.streams.drain(..) {
                drop(stream.shutdown(Shutdown::Both)); // its peer may be gone already
            }
        }
    }

    /// All that has passed.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        lock(&self.shared).seen.clone()
    }

    /// Answers that the gateway did not get.
    pub(crate) fn swallowed(&self) -> usize {
        lock(&self.shared).swallowed
    }

    /// Batches that never arrived while the way was patchy, and those that did and had no answer.
    pub(crate) fn patchy(&self) -> (usize, usize) {
        let state = lock(&self.shared);
        (state.gone.len(), state.carried.len())
    }

    /// Questions for keys that went to the ERP.
    pub(crate) fn lookups(&self) -> usize {
        let is_look = |seen: &&Seen| matches!(seen.what, What::Asked { errand: Errand::Look, .. });
        lock(&self.shared).seen.iter().filter(is_look).count()
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().expect("the proxy's threads do not panic")
}

/// Requests go on message by message, answers byte by byte, as either side may end the connection between.
fn carry(shared: &Arc<Mutex<Shared>>, client: TcpStream, server: TcpStream) {
    let (Ok(client_end), Ok(server_end)) = (client.try_clone(), server.try_clone()) else { return };
    drop(client.set_nodelay(true));
    drop(server.set_nodelay(true));
    let asked = Arc::new(Mutex::new(0));
    let (requests, answers) = ((Arc::clone(shared), Arc::clone(&asked)), (Arc::clone(shared), asked));
    std::thread::spawn(move || {
        let mut reader = BufReader::new(&client);
        while let Some(message) = read_message(&mut reader)
            && forward(&requests.0, &requests.1, &message, &client, &server)
        {}
        drop(client.shutdown(Shutdown::Both)); // one side is gone: so is the other
        drop(server.shutdown(Shutdown::Both));
    });
    std::thread::spawn(move || {
        let (mut bytes, mut answer) = (vec![0; 64 << 10], Vec::new());
        while let Ok(length @ 1..) = (&server_end).read(&mut bytes) {
            answer.extend_from_slice(&bytes[..length]);
            let mut state = lock(&answers.0);
            let heard = matches!(state.way, Way::Open | Way::Busy(_));
            state.swallowed += usize::from(!heard);
            let whole = read_message(&mut &answer[..]);
            if let Some(message) = &whole {
                state.note(*lock_number(&answers.1), What::told(message, heard));
                answer.clear();
            }
            drop(state);
            // Noted before it goes on, so that what it leads to is noted behind it.
            if !heard || (&client_end).write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        drop(client_end.shutdown(Shutdown::Both));
        drop(server_end.shutdown(Shutdown::Both));
    });
}

fn lock_number(number: &Mutex<usize>) -> MutexGuard<'_, usize> {
    number.lock().expect("the proxy's threads do not panic")
}

/// `false`: the connection ends.
fn forward(
    shared: &Mutex<Shared>,
    asked: &Mutex<usize>,
    message: &Message,
    mut client: &TcpStream,
    mut server: &TcpStream,
) -> bool {
    let (errand, keys, prints) = message.request();
    let mut state = lock(shared);
    state.requests += 1;
    let number = state.requests;
    let busy = if let Way::Busy(seconds) = state.way { Some(seconds) } else { None };
    let arrived = busy.is_none() && state.lets_through(&keys);
    state.note(number, What::Asked { errand, keys, prints });
    if let Some(seconds) = busy {
        state.note(
            number,
            What::Told { status: 429, pause: Some(Duration::from_secs(seconds)), said: Vec::new(), heard: true },
        );
        drop(state);
        let body = "Slow down, please.";
        let answer = format!(
            "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nRetry-After: {seconds}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        return client.write_all(answer.as_bytes()).is_ok();
    }
    drop(state);
    *lock_number(asked) = number;
    arrived && server.write_all(&message.bytes).is_ok()
}

impl Shared {
    fn note(&mut self, request: usize, what: What) {
        self.seen.push(Seen { at: Instant::now(), request, what });
    }

    fn lets_through(&mut self, keys: &[String]) -> bool {
        let Some(first) = keys.first().filter(|_| self.way == Way::Patchy) else { return self.way != Way::Cut };
        if !self.gone.contains(first) && !self.carried.contains(first) {
            let side = if self.gone.len() > self.carried.len() { &mut self.carried } else { &mut self.gone };
            side.insert(first.clone());
        }
        self.carried.contains(first)
    }
}

impl What {
    fn told(message: &Message, heard: bool) -> Self {
        let status = message.first_line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let body: Value = serde_json::from_slice(message.body()).unwrap_or_default();
        let word = |result: &Value, name: &str| result[name].as_str().unwrap_or_default().to_owned();
        let results = body["results"].as_array().into_iter().flatten();
        let said = results.map(|result| (word(result, "key"), word(result, "status"))).collect();
        Self::Told { status, pause: message.pause, said, heard }
    }
}

/// A request or an answer, whole.
struct Message {
    first_line: String,
    /// `Retry-After` in seconds.
    pause: Option<Duration>,
    bytes: Vec<u8>,
    head: usize,
}

impl Message {
    fn body(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    /// What it is for, and the keys that it speaks of.
    fn request(&self) -> (Errand, Vec<String>, Vec<u64>) {
        if let Some((_, query)) = self.first_line.split_once("/lookup?") {
            let query = query.split(' ').next().unwrap_or_default();
            let keys = query.split('&').filter_map(|part| part.strip_prefix("key=")).map(str::to_owned).collect();
            return (Errand::Look, keys, Vec::new());
        }
        if !self.first_line.starts_with("POST ") {
            return (Errand::Else, Vec::new(), Vec::new());
        }
        let body: Value = serde_json::from_slice(self.body()).expect("the gateway posts JSON");
        let events = body["events"].as_array().expect("the gateway posts `events`");
        let keys = events.iter().map(|event| event["key"].as_str().expect("items have keys").to_owned());
        let print = |event: &Value| {
            let mut hasher = DefaultHasher::new();
            event.to_string().hash(&mut hasher);
            hasher.finish()
        };
        (Errand::Post, keys.collect(), events.iter().map(print).collect())
    }
}

/// The next message; `None` when it does not come whole.
fn read_message(reader: &mut impl std::io::BufRead) -> Option<Message> {
    let (mut bytes, mut length, mut pause) = (Vec::new(), 0, None);
    let mut first_line = String::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(line.as_bytes());
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().expect("a length"),
            "retry-after" => pause = value.trim().parse().ok().map(Duration::from_secs),
            _ => {}
        }
        if first_line.is_empty() {
            line.trim_end().clone_into(&mut first_line);
        }
        if line == "\r\n" {
            break;
        }
    }
    let head = bytes.len();
    bytes.resize(head + length, 0);
    reader.read_exact(&mut bytes[head..]).ok()?;
    Some(Message { first_line, pause, bytes, head })
}
