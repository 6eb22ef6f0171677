//! The endpoint that `docs/erp.md` shows, as it stands there, behind a real gateway.

use std::process::{Command, Stdio};

use crate::world::{Floor, Process, Settings, free_port, wait_for};

const PAGE: &str = include_str!("../../docs/erp.md");

/// The first block of the page in that language.
fn block(language: &str) -> &'static str {
    let begun = PAGE.split(&format!("```{language}\n")).nth(1).expect("the page has such a block");
    begun.split("```").next().expect("a block ends")
}

#[test]
fn the_endpoint_of_the_page_books_each_scan_once() {
    let port = free_port();
    let dir = tempfile::tempdir().expect("a temp folder");
    let (program, database) = (dir.path().join("erp.py"), dir.path().join("erp.db"));
    std::fs::write(&program, block("python")).expect("a file");
    let url = format!("http://127.0.0.1:{port}/events");
    let Some(mut floor) = Floor::start(5, Settings::Shipped, |site| site.erp(&url)) else { return };
    floor.scan(120); // into an outage: nobody listens yet
    let python = crate::world::python().expect("the floor has one");
    let mut command = Command::new(python);
    command.arg(&program).arg(port.to_string()).arg(&database).stdin(Stdio::null()).stderr(Stdio::null());
    let mut endpoint = Process(command.spawn().expect("it starts"));
    let booked = || -> i64 {
        let Ok(db) = rusqlite::Connection::open(&database) else { return 0 };
        db.query_row("SELECT count(*) FROM posting", [], |row| row.get(0)).unwrap_or_default()
    };
    wait_for("some of them to be booked", || booked() > 0);
    endpoint.kill(); // whatever it was doing
    let mut endpoint = Process(command.spawn().expect("it starts again"));
    floor.scan(30);
    floor.plc.tell("push 20");
    wait_for("all to be booked", || booked() == 170);
    wait_for("all to be settled", || crate::world::Database::read(floor.site.data()).pending.is_empty());
    assert_eq!(booked(), 170, "each once");
    let outbox = rusqlite::Connection::open(floor.site.data().join("outbox.db")).expect("the outbox opens");
    let sql = "SELECT count(*) FROM done WHERE how = 'delivered' AND ref LIKE 'GI-%'";
    let first_time: i64 = outbox.query_row(sql, [], |row| row.get(0)).expect("the outbox can be read");
    assert!(first_time > 100, "its answers are understood at once, with their references: {first_time} of 170");
    let status = floor.gateway.status();
    assert_eq!(status["dead_letters"], 0, "{status}");
    endpoint.kill();
}
