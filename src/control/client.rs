//! The other end: asking a gateway from another process.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::control::{Address, Answer, Request, SOCKET, TapLine};

/// A gateway that lives answers within this time.
const PATIENCE: Duration = Duration::from_secs(3);
/// … and has stored a command within this one.
const PATIENCE_TO_STORE: Duration = Duration::from_secs(35);
/// Bytes of an answer: some kilobytes for each of some thousand devices.
const MOST: u64 = 32 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// Nobody listens.
    #[error("no gateway runs on {0}")]
    NotRunning(String),
    /// This user may not ask.
    #[error(
        "whether a gateway runs on {0} can't be told: this user may not look there; ask as the user that runs the gateway, as one of its group, or as root"
    )]
    Denied(String),
    /// A process has the socket and says nothing.
    #[error("process {pid} runs on {dir} and does not answer: is it stopped, or the machine out of memory?")]
    Silent {
        /// The data directory.
        dir: String,
        /// The process, as the system knows it.
        pid: i32,
    },
    /// It says no.
    #[error("{1} (says the gateway on {0})")]
    Refused(String, String),
    /// It can't be asked, or says something that this version does not understand.
    #[error("the gateway on {0} can't be asked: {1}")]
    Failed(String, String),
}

/// Asks the gateway that runs on the data directory `dir`; blocks for some seconds at most.
///
/// # Errors
/// When none runs, or there is no answer.
pub fn ask<T: DeserializeOwned>(dir: &Path, request: Request) -> Result<T, Unanswered> {
    let shown = dir.display().to_string();
    let failed = |why: String| Unanswered::Failed(shown.clone(), why);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| failed(e.to_string()))?;
    runtime.block_on(async {
        let stream = connect(dir).await?;
        let pid = pid(&stream).unwrap_or_default();
        let patience =
            if matches!(request, Request::Operate(_) | Request::Hold(_)) { PATIENCE_TO_STORE } else { PATIENCE };
        let Ok(answer) = timeout(patience, exchange(stream, request)).await else {
            return Err(Unanswered::Silent { dir: shown.clone(), pid });
        };
        let line = answer.map_err(|e| failed(e.to_string()))?;
        match serde_json::from_slice(&line) {
            Ok(Answer::Ok(answer)) => Ok(answer),
            Ok(Answer::Error(why)) => Err(Unanswered::Refused(shown.clone(), why)),
            Err(e) => Err(failed(format!("its answer is not understood: {e}; is it another version?"))),
        }
    })
}

/// Watches a device of the gateway that runs on `dir`: hands each line to `take`, until it breaks off.
///
/// # Errors
/// When none runs, it refuses, or it ends.
pub async fn watch(
    dir: &Path,
    (device, all): (&str, bool),
    mut take: impl FnMut(TapLine) -> ControlFlow<()>,
) -> Result<(), Unanswered> {
    let shown = dir.display().to_string();
    let failed = |why: String| Unanswered::Failed(shown.clone(), why);
    let stream = connect(dir).await?;
    let pid = pid(&stream);
    let mut stream = BufReader::new(stream);
    let request =
        serde_json::to_string(&Request::Tap { device: device.to_owned(), all }).map_err(|e| failed(e.to_string()))?;
    stream.write_all((request + "\n").as_bytes()).await.map_err(|e| failed(e.to_string()))?;
    let mut line = String::new();
    loop {
        line.clear();
        match stream.read_line(&mut line).await {
            Ok(_) if line.ends_with('\n') => {}
            Ok(_) => return Err(failed(ended(dir, pid).await)),
            Err(e) => return Err(failed(e.to_string())),
        }
        match serde_json::from_str(&line) {
            Ok(Answer::Ok(next)) => {
                if take(next).is_break() {
                    return Ok(());
                }
            }
            Ok(Answer::Error(why)) => return Err(Unanswered::Refused(shown, why)),
            Err(e) => return Err(failed(format!("its answer is not understood: {e}; is it another version?"))),
        }
    }
}

/// Who listens.
fn pid(stream: &UnixStream) -> Option<i32> {
    stream.peer_cred().ok().and_then(|peer| peer.pid())
}

/// Why a tap has ended: a gateway that still listens has let go of it, and does so to one that does not read.
async fn ended(dir: &Path, before: Option<i32>) -> String {
    let now = timeout(PATIENCE, connect(dir)).await.ok().and_then(Result::ok).and_then(|stream| pid(&stream));
    if now.is_some() && now == before {
        "this tap took nothing for too long (stopped, or its output is not read), and the gateway ended it".to_owned()
    } else {
        "it has ended".to_owned()
    }
}

async fn connect(dir: &Path) -> Result<UnixStream, Unanswered> {
    let shown = || dir.display().to_string();
    let connected = async { UnixStream::connect(&Address::of(dir, SOCKET)?.path).await };
    connected.await.map_err(|e: io::Error| match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Unanswered::NotRunning(shown()),
        io::ErrorKind::PermissionDenied => Unanswered::Denied(shown()),
        _ => Unanswered::Failed(shown(), e.to_string()),
    })
}

async fn exchange(mut stream: UnixStream, request: Request) -> io::Result<Vec<u8>> {
    let line = serde_json::to_string(&request).map_err(io::Error::other)? + "\n";
    stream.write_all(line.as_bytes()).await?;
    stream.shutdown().await?; // no second question: the gateway closes behind its answer
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).await?;
    Ok(answer)
}
