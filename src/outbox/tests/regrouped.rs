//! Lanes that take other types than at the last start, while rows of theirs are pending.

use super::*;

fn config_of(id: &str, take: &str) -> lane::Config {
    lane::Config { id: id.to_owned(), take: vec![take.to_owned()], ..lane() }
}

/// Opens with these lanes and ends again; what was wrong with them.
async fn start(dir: &std::path::Path, lanes: Vec<lane::Config>) -> Result<(), String> {
    let (out, _work) = mpsc::channel(8);
    let checked = fits(&config(dir), &lanes).map_err(|e| e.to_string());
    let opened = Outbox::open(config(dir), lanes, vec![out]).map_err(|e| e.to_string());
    assert_eq!(checked.as_ref().err(), opened.as_ref().err(), "it is told before a start, too");
    let (outbox, ended) = opened?;
    stop(outbox, ended).await;
    Ok(())
}

#[tokio::test]
async fn what_can_not_be_looked_at_does_not_pass_for_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let of = |dir: &std::path::Path| fits(&config(dir), &[lane()]);
    assert!(of(dir.path()).is_ok(), "there is nothing yet");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("it is written");
    assert!(matches!(of(&file), Err(StorageError::Directory(..))));

    let older = rusqlite::Connection::open(dir.path().join(open::DATABASE)).expect("it opens");
    open::MIGRATIONS[..12].iter().try_for_each(|sql| older.execute_batch(sql)).expect("an earlier version");
    older.pragma_update(None, "user_version", "12").expect("it says so");
    assert!(matches!(of(dir.path()), Err(StorageError::Older { found: 12, .. })));
}

#[tokio::test]
async fn a_lane_with_rows_keeps_its_types_and_its_business_unit() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let before = || vec![config_of("a", "scan.*"), config_of("b", "planted.*")];
    let (out, mut work) = mpsc::channel(8);
    let (outbox, ended) = Outbox::open(config(dir.path()), before(), vec![out]).expect("it opens");
    outbox.capture(vec![counted("1", 1, "a")]).await.expect("captured");
    let first = next(&mut work).await;
    stop(outbox, ended).await;

    let lane_b = |take| config_of("b", take);
    let moved = start(dir.path(), vec![config_of("a", "planted.*"), lane_b("scan.*")]).await;
    let told = "lane a has rows of type scan.item to post, and lane b takes that type now: what comes would not wait for \
                them. Put `take` of lane a back until it is empty (`floorgate outbox status`)";
    assert_eq!(moved, Err(told.to_owned()));
    assert_eq!(
        start(dir.path(), vec![lane_b("*")]).await,
        Err(told.to_owned()),
        "a lane that is gone has its rows, too"
    );
    let unit = |lane| lane::Config { business_unit: "north".to_owned(), ..lane };
    let other = start(dir.path(), vec![unit(config_of("a", "scan.*")), lane_b("planted.*")]).await;
    assert!(other.is_err_and(|told| told.starts_with("lane a has rows to post of business unit \"main\"")));

    let elsewhere = lane::Config { system: "wms".to_owned(), ..lane_b("scan.*") };
    assert_eq!(
        start(dir.path(), vec![config_of("a", "planted.*"), elsewhere]).await,
        Ok(()),
        "another system's are others"
    );
    let shown = lane::Config { worth: Worth::Visibility, ..config_of("c", "*") };
    assert_eq!(start(dir.path(), vec![config_of("a", "scan.*"), shown]).await, Ok(()), "what is for show has no order");

    let (out, mut work) = mpsc::channel(8);
    let (outbox, ended) =
        Outbox::open(config(dir.path()), vec![config_of("a", "scan.*")], vec![out]).expect("as before");
    let again = next(&mut work).await;
    assert_eq!(again.keys, first.keys);
    outbox.answered(0, again.batch, all(&again, Class::Delivered)).expect("the writer runs");
    outbox.pulse().await.expect("the writer runs");
    stop(outbox, ended).await;
    assert_eq!(start(dir.path(), vec![config_of("a", "planted.*"), lane_b("scan.*")]).await, Ok(()), "it is empty");
}
