//! One text of the database is damaged, whichever it is: it stops nothing that reads, no command, and no start.

use super::*;
use crate::lane::{Act, By, Later};
use crate::outbox::read::{find, holds, parked, trace, wanted::Wanted};

/// What a start has to have as it was written: the site, its keys, and what its lanes and types are called.
const NAMES: [&str; 5] = ["meta.k", "meta.v", "name.text", "lane.name", "lane.system"];

/// Postings that are accepted, booked, refused and waiting, in this order, what was answered of them, and a hold.
async fn of_each(dir: &std::path::Path) {
    let (outbox, ended, mut work) = open(config(dir));
    outbox.capture(vec![counted("1", 1, "d")]).await.expect("there is room");
    let sent = next(&mut work).await;
    let later = Some(Later { by: By::Job("http://erp/jobs/7".to_owned()), after_ms: Some(3_000_000) });
    outbox.answered(0, sent.batch, Answer { later, whole: true, ..all(&sent, Class::Accepted) }).expect("it runs");
    outbox
        .capture(vec![counted("1", 2, "a"), counted("1", 3, "b"), counted("1", 4, "c")])
        .await
        .expect("there is room");
    let sent = next(&mut work).await;
    let mut answer = Answer { whole: false, ..all(&sent, Class::Delivered) };
    answer.outcomes[0].reference = Some("DOC-1".to_owned());
    answer.outcomes[1] = Outcome { code: Some("no_stock".to_owned()), ..Outcome::new(Class::Validation, "bad") };
    answer.outcomes[2] = Outcome::new(Class::Reference, "later");
    outbox.answered(0, sent.batch, answer).expect("the writer runs");
    let (id, scope, name, reason) = ("h1".to_owned(), Scope::Subject, "z".to_owned(), "recall".to_owned());
    assert!(outbox.hold(Hold { id, scope, name, on: true, reason }, "anna".to_owned()).await.expect("it runs").done);
    stop(outbox, ended).await;
}

/// The texts of the database: tables and columns that hold some.
fn texts(db: &rusqlite::Connection) -> Result<Vec<(String, String)>, rusqlite::Error> {
    let sql = "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'";
    let all: Vec<(String, String)> =
        db.prepare(sql)?.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<Result<_, _>>()?;
    let has_text = |(table, column): &(String, String)| {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE typeof({column}) = 'text')");
        db.query_row(&sql, [], |r| r.get::<_, bool>(0)).unwrap_or_default()
    };
    Ok(all.into_iter().filter(has_text).collect())
}

/// Whatever is wrong, as one text.
fn read_all(dir: &std::path::Path) -> Result<(), String> {
    let told = |what: &str| format!("{what}: ");
    read::status(dir, 10).map_err(|e| told("status") + &e.to_string())?;
    parked::needs(dir, None, Millis(0)).map_err(|e| told("dead list") + &e.to_string())?;
    parked::audit(dir, None, 10).map_err(|e| told("audit") + &e.to_string())?;
    holds::holds(dir).map_err(|e| told("holds") + &e.to_string())?;
    for wanted in ["#1", "#2", "#3", "#4", "a"].map(Wanted::parse) {
        find::find(dir, &wanted, 9, None).map_err(|e| told("find") + &e.to_string())?;
        trace::trace(dir, &wanted, 9, None, &mut |_| {}).map_err(|e| told("trace") + &e.to_string())?;
    }
    Ok(())
}

#[tokio::test]
async fn a_damaged_text_stops_nothing() {
    let whole = tempfile::tempdir().expect("a temporary directory");
    of_each(whole.path()).await;
    let db = rusqlite::Connection::open(whole.path().join("outbox.db")).expect("it opens");
    let key = Id(db.query_row("SELECT posting FROM pending WHERE state = 2", [], |r| r.get(0)).expect("it is refused"));
    let texts = texts(&db).expect("the schema is ours");
    drop(db);
    assert!(texts.len() > 30, "{texts:?}");
    for (table, column) in texts.iter().filter(|(t, c)| !NAMES.contains(&format!("{t}.{c}").as_str())) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::copy(whole.path().join("outbox.db"), dir.path().join("outbox.db")).expect("it can be copied");
        let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
        let flipped = format!("CAST(x'ff' || CAST(substr({column}, 2) AS BLOB) AS TEXT)");
        db.execute(&format!("UPDATE {table} SET {column} = {flipped} WHERE typeof({column}) = 'text'"), [])
            .unwrap_or_else(|e| panic!("{table}.{column}: {e}"));
        drop(db);
        assert_eq!(read_all(dir.path()), Ok(()), "{table}.{column}");
        let (outbox, ended, _work) = open(config(dir.path()));
        outbox.pulse().await.unwrap_or_else(|e| panic!("{table}.{column}: {e:?}"));
        assert_eq!(outbox.capture(vec![counted("1", 9, "z")]).await, Ok(vec![Placed::New]), "{table}.{column}");
        let skipped = outbox.operate(operate::order("r9", Act::Skip, &[key]), "anna".to_owned()).await;
        assert!(skipped.as_ref().is_ok_and(|said| said[0].done), "{table}.{column}: {skipped:?}");
        stop(outbox, ended).await;
    }
}
