//! The thin loop between what the outbox hands out and the target: awaits, and hands the answer back.
//!
//! Its queue and the requests under way are bounded by what the lanes may have in flight. A request that is dropped when
//! the gateway stops leaves its batch `sending`; the next start takes it for unknown.

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::lane::Outgoing;
use crate::outbox::Outbox;
use crate::target::Http;

/// Delivers what comes until `stop`, each batch once; retrying is the lane's decision.
pub async fn run(target: Http, mut work: mpsc::Receiver<Outgoing>, outbox: Outbox, stop: CancellationToken) {
    let mut flying = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Some(ended) = flying.join_next() => {
                let (lane, batch, answer) = match ended {
                    Ok(answered) => answered,
                    Err(e) => std::panic::resume_unwind(e.into_panic()), // nobody cancels them: it panicked, and so do we
                };
                if outbox.answered(lane, batch, answer).is_err() {
                    return; // the writer has ended, and the process is about to
                }
            }
            batch = work.recv() => {
                let Some(batch) = batch else { return };
                let target = target.clone();
                flying.spawn(async move {
                    let answer = target.deliver(&batch).await;
                    (batch.lane, batch.batch, answer)
                });
            }
        }
    }
}
