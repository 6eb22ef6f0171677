//! The gateway's end: a thread that listens as long as the gateway runs.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::control::status::refusal;
use crate::control::{Address, SOCKET, View, tap};

/// Questions at a time; who comes then is told so.
const CONNECTIONS: usize = 16;
/// Those who watch at a time, beside them.
const TAPS: usize = 16;
/// Bytes of a request with its line end: a command of [`Order::MOST`](crate::outbox::Order::MOST) postings is one.
const LINE: u64 = 256 << 10;
/// A request has to be there after this time, and then the next one.
const READ: Duration = Duration::from_secs(5);
/// An answer has to be taken within this time.
const WRITE: Duration = Duration::from_secs(5);
/// The wait before a socket that can't be made is tried again: a full disk has no room for it.
const AGAIN: Duration = Duration::from_secs(10);

/// The socket, open until this is dropped.
#[derive(Debug)]
pub struct Server {
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Opens `control.sock` in the data directory, of which this process has the lock: a socket that is there is a
    /// stale one, and is replaced.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(dir: &Path, view: View) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, dir) = (CancellationToken::new(), dir.to_owned());
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = stopped.cancelled() => {}
                    () = serve(&dir, &view) => {}
                }
            });
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the control socket's thread panicked");
        }
    }
}

/// The socket's file, which goes with it; not the one of a gateway that has followed meanwhile.
struct Socket {
    path: PathBuf,
    inode: u64,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if std::fs::metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            drop(std::fs::remove_file(&self.path)); // the next start replaces what is left
        }
    }
}

/// Listens, for ever; until it can, it tries.
async fn serve(dir: &Path, view: &View) {
    let mut told = false;
    let (listener, _socket) = loop {
        match listen(dir) {
            Ok(bound) => break bound,
            Err(e) if told => tracing::debug!(error = %e, "still no control socket"),
            Err(e) => {
                tracing::warn!(error = %e, dir = %dir.display(), "no control socket: `floorgate status` can't ask this gateway; trying again");
                told = true;
            }
        }
        sleep(AGAIN).await;
    };
    let (mut open, mut taps) = (JoinSet::new(), JoinSet::new());
    loop {
        tokio::select! {
            Some(ended) = open.join_next() => match ended {
                Ok(None) => {}
                Ok(Some(Wish { stream, .. })) if taps.len() >= TAPS => {
                    refuse(&stream, &format!("{TAPS} others are watching: end one of them (`floorgate tap`), and try again"));
                }
                Ok(Some(Wish { stream, device, all })) => {
                    let watch = view.tap.watch(&device);
                    let away = view.away(&device);
                    drop(taps.spawn(tap::pour(device, all, away, watch, stream)));
                }
                Err(e) => tracing::error!(error = %e, "a question at the control socket failed"),
            },
            Some(ended) = taps.join_next() => {
                if let Err(e) = ended {
                    tracing::error!(error = %e, "a tap failed");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if open.len() >= CONNECTIONS => {
                    refuse(&stream, &format!("{CONNECTIONS} others are asking: try again"));
                }
                Ok((stream, _)) => drop(open.spawn(converse(stream, view.clone()))),
                Err(e) => {
                    tracing::debug!(error = %e, "a connection to the control socket failed");
                    sleep(AGAIN / 10).await; // out of handles: not in a tight loop
                }
            },
        }
    }
}

/// Who does not hear it sees the end.
fn refuse(stream: &UnixStream, why: &str) {
    drop(stream.try_write(refusal(why).as_bytes()));
}

/// A connection that watches from now on.
struct Wish {
    stream: UnixStream,
    device: String,
    all: bool,
}

/// A socket that only this user and its group can reach from its first moment on.
fn listen(dir: &Path) -> io::Result<(UnixListener, Socket)> {
    let new = format!("{SOCKET}.new");
    let (path, made) = (dir.join(SOCKET), dir.join(&new));
    if let Err(e) = std::fs::remove_file(&made)
        && e.kind() != io::ErrorKind::NotFound
    {
        return Err(e);
    }
    let listener = UnixListener::bind(&Address::of(dir, &new)?.path)?;
    std::fs::set_permissions(&made, Permissions::from_mode(0o660))?;
    let inode = std::fs::metadata(&made)?.ino();
    std::fs::rename(&made, &path)?;
    Ok((listener, Socket { path, inode }))
}

/// Answers line by line until the other side ends, is silent for too long or takes no answer; or until it wants to watch.
async fn converse(mut stream: UnixStream, view: View) -> Option<Wish> {
    let uid = stream.peer_cred().ok().map(|peer| peer.uid());
    let (read, mut write) = stream.split();
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        let got = timeout(READ, (&mut read).take(LINE).read_until(b'\n', &mut line)).await;
        let whole = line.ends_with(b"\n") || (line.len() as u64) < LINE;
        if let Some((device, all)) = view.watched(&line).filter(|_| matches!(got, Ok(Ok(1..)))) {
            return Some(Wish { stream, device, all });
        }
        let answer = match got {
            Ok(Ok(1..)) if whole => view.answer(&line, uid).await,
            Ok(Ok(1..)) => refusal(&format!("a request has at most {LINE} bytes")),
            _ => return None,
        };
        let sent = timeout(WRITE, write.write_all(answer.as_bytes())).await;
        if !matches!(sent, Ok(Ok(()))) || !whole {
            return None;
        }
    }
}
