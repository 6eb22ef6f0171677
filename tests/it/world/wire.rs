//! The network between the gateway and the ERP: a TCP proxy that can fail.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It carries.
    Open,
    /// Requests arrive, answers do not: with the first one the connection breaks.
    Deaf,
    /// No connection lives.
    Cut,
}

struct Shared {
    way: Way,
    streams: Vec<TcpStream>,
    swallowed: usize,
    lookups: usize,
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
        let shared = Shared { way: Way::Open, streams: Vec::new(), swallowed: 0, lookups: 0 };
        let shared = Arc::new(Mutex::new(shared));
        let wire = Self { port, shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let mut state = lock(&shared);
                if state.way != Way::Cut {
                    state.streams.extend([&client, &server].iter().filter_map(|stream| stream.try_clone().ok()));
                    carry(&shared, &client, &server);
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

    /// Answers that the gateway did not get.
    pub(crate) fn swallowed(&self) -> usize {
        lock(&self.shared).swallowed
    }

    /// Questions for keys that went to the ERP.
    pub(crate) fn lookups(&self) -> usize {
        lock(&self.shared).lookups
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().expect("the proxy's threads do not panic")
}

fn carry(shared: &Arc<Mutex<Shared>>, client: &TcpStream, server: &TcpStream) {
    for (from, to, is_answer) in [(client, server, false), (server, client, true)] {
        let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
        drop(from.set_nodelay(true));
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            let mut bytes = vec![0; 64 << 10];
            while let Ok(length @ 1..) = from.read(&mut bytes) {
                {
                    let mut state = lock(&shared);
                    // A request's head comes in one piece: the gateway writes it so.
                    state.lookups +=
                        usize::from(!is_answer && bytes[..length].windows(12).any(|w| w == b"/lookup?key="));
                    if is_answer && state.way != Way::Open {
                        state.swallowed += 1;
                        break;
                    }
                }
                if to.write_all(&bytes[..length]).is_err() {
                    break;
                }
            }
            // One side is gone: so is the other.
            drop(from.shutdown(Shutdown::Both));
            drop(to.shutdown(Shutdown::Both));
        });
    }
}
