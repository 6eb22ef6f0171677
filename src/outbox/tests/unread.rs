//! A sample of which a part could not be read.

use super::*;
use crate::event::{Unread, device_event_id};
use crate::outbox::read::find::find;
use crate::outbox::read::wanted::Wanted;

/// Three elements of a message, the first of which says nothing.
fn partly(seq: u64) -> Sample {
    let mut sample = counted("1", seq, "whole");
    if let Ok(decoded) = &mut sample.content {
        decoded.events = vec![event("scan.item", "b"), event("scan.item", "c")];
        decoded.unread = vec![Unread { ordinal: 0, raw: b"part".to_vec(), reason: "element 1: no code".to_owned() }];
    }
    sample
}

#[tokio::test]
async fn what_can_be_read_is_stored_under_its_own_ordinals_and_the_rest_is_kept() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(dir.path()));
    assert_eq!(outbox.capture(vec![partly(1)]).await, Ok(vec![Placed::New]));
    let kept = read::bad_input::kept(dir.path(), None, 9).expect("it reads");
    let [part] = kept.as_slice() else { panic!("one part: {kept:?}") };
    assert_eq!((part.reason.as_str(), part.bytes.as_slice()), ("element 1: no code", &b"part"[..]));
    for (subject, ordinal) in [("b", 1), ("c", 2)] {
        let found = find(dir.path(), &Wanted::parse(subject), 9, None).expect("it reads");
        let id = device_event_id("dc1", "scanner", "d:1", "1", ordinal).to_string();
        assert_eq!(
            (found.events[0].id.as_str(), found.events[0].raw.as_slice()),
            (id.as_str(), &b"whole"[..]),
            "{subject}"
        );
    }
    assert_eq!(outbox.capture(vec![partly(1)]).await, Ok(vec![Placed::Duplicate]), "it is known by its bytes");
    assert_eq!(read::bad_input::kept(dir.path(), None, 9).expect("it reads").len(), 1, "and kept once");
    stop(outbox, ended).await;
}
