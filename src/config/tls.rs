//! `[link.tls]`: where the certificates of a link are.
//!
//! A file that is missing or whose certificate has expired is a warning and no fault: it costs its own link, which
//! waits for it, and must not keep the gateway from capturing on the others.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::bounds::{DAY, duration};
use crate::config::{Reading, files};
use crate::form::Table;
use crate::source::tls::{Own, Tls};
use crate::source::today;
use crate::target;

/// Certificates are renewed by people, who have other things to do.
const WARN_BEFORE: Duration = Duration::from_hours(30 * 24);

/// `secure`: what the address says, if it could be read. `Some(None)`: not over TLS. `None`: a fault was told.
#[expect(clippy::option_option, reason = "no TLS and no readable TLS differ")]
pub(super) fn read(link: &Table<'_>, reading: &Reading, secure: Option<bool>) -> Option<Option<Tls>> {
    let Some(secure) = secure else {
        link.table("tls").iter().for_each(|table| drop(table.all()));
        return None;
    };
    if !secure {
        let Some(table) = link.table("tls") else { return Some(None) };
        table.all();
        link.refuse_key("tls", "stands beside an address without TLS", "write \"mqtts://host:8883\" as the address");
        return None;
    }
    let Some(table) = link.table("tls") else {
        link.refuse_key(
            "tls",
            "is missing",
            "write tls = { ca_file = \"…\" }: whom the broker's certificate is signed by",
        );
        return None;
    };
    let path = |key: &str| Some(reading.path(&table.entry(key)?.read::<String>()?));
    let ca_file: Option<PathBuf> = table.required_entry("ca_file").and_then(|_| path("ca_file"));
    let (cert_file, key_file) = (path("cert_file"), path("key_file"));
    let warn_before_expiry = duration(&table, "warn_before_expiry", WARN_BEFORE, Duration::ZERO..=DAY * 3650);
    let own = together(&table, cert_file, key_file)?.map(|(cert_file, key_file)| Own { cert_file, key_file });
    let tls = Tls { ca_file: ca_file?, own, warn_before_expiry };
    doubts(&table, reading, &tls);
    Some(Some(tls))
}

/// A certificate of ours and its key, which go together. `Some(None)`: neither is there. `None`: a fault was told.
#[expect(clippy::option_option, reason = "no certificate and half of one differ")]
pub(super) fn together<T>(table: &Table<'_>, cert_file: Option<T>, key_file: Option<T>) -> Option<Option<(T, T)>> {
    match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => Some(Some((cert_file, key_file))),
        (None, None) => Some(None),
        (Some(_), None) => {
            table.refuse_key("key_file", "is missing", "name the file with the private key of cert_file");
            None
        }
        (None, Some(_)) => {
            table.refuse_key("cert_file", "is missing", "name the file with the certificate of key_file");
            None
        }
    }
}

/// Certificates of a target that can't be used now, or soon.
pub(super) fn ageing_of_target(table: &Table<'_>, reading: &Reading, made: &target::Tls) {
    let own = made.own.clone().map(|own| Own { cert_file: own.cert_file, key_file: own.key_file });
    // Without a CA of its own the system's are trusted, which are not ours to renew.
    let ca_file = made.ca_file.clone().unwrap_or_default();
    let tls = Tls { ca_file, own, warn_before_expiry: WARN_BEFORE };
    ageing(table, reading, &tls, "renew it; the file is read again when it changes, without a restart");
}

fn ageing(table: &Table<'_>, reading: &Reading, tls: &Tls, help: &str) {
    for (path, why) in tls.ageing(today()) {
        let key = if path == tls.ca_file { "ca_file" } else { "cert_file" };
        reading.warn(table.fault_at(key, &format!("{}: {why}", path.display()), help));
    }
}

fn doubts(table: &Table<'_>, reading: &Reading, tls: &Tls) {
    if let Err(why) = tls.client() {
        reading.warn(table.fault_at("ca_file", &why, "until it is right this link can't connect; the others can"));
    }
    ageing(table, reading, tls, "renew it; the file is read again for each connection, without a restart");
    if let (Some(entry), Some(own)) = (table.entry("key_file"), &tls.own) {
        files::private(&entry, reading, &own.key_file);
    }
}
