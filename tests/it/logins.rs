//! How the gateway logs in at an ERP of somebody else's making, `tests/peers/logins.py`: with each kind of credentials, wrong
//! and right, renewed and expired; and that what is secret stands nowhere.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::tls::Ca;
use crate::world::{Broker, Gateway, Plc, Scanner, Settings, Site, mosquitto, python, run_to_end, wait_for};

/// The ERP, and scans on their way to it.
struct World {
    erp: Plc,
    gateway: Gateway,
    site: Site,
    scanner: Scanner,
    scans: u32,
    _broker: Broker,
}

impl World {
    /// `None` where a peer is missing. `secrets`: files of the site; `target`: lines of its target, with `URL` for the ERP's
    /// address.
    fn start(tls: Option<&Path>, secrets: &[(&str, &str)], target: &str) -> Option<Self> {
        let (program, python) = (mosquitto()?, python()?);
        let files = tls.map(|dir| ["erp.pem", "erp.key", "ca.pem"].map(|name| dir.join(name).display().to_string()));
        let arguments: Vec<&str> = files.iter().flatten().map(String::as_str).collect();
        let erp = Plc::start_peer(&python, "logins.py", &arguments);
        let broker = Broker::start(&program, Settings::Shipped);
        let url = format!("{}://127.0.0.1:{}", if tls.is_some() { "https" } else { "http" }, erp.port);
        let site = Site::new().broker(broker.port, 5).erp(&format!("{url}/events"));
        let site = site.target_keys(&target.replace("URL", &url));
        for (name, text) in secrets {
            secret(site.dir(), name, text);
        }
        let gateway = Gateway::start(&site);
        wait_for("the subscription", || gateway.log().contains("connected to the broker"));
        let scanner = Scanner::connect(broker.port, "scanner");
        Some(Self { erp, gateway, site, scanner, scans: 0, _broker: broker })
    }

    fn set(&mut self, settings: &Value) -> Value {
        self.erp.tell(&settings.to_string())
    }

    fn state(&mut self) -> Value {
        self.set(&json!({}))
    }

    fn count(&mut self, what: &str) -> u64 {
        self.state()[what].as_u64().expect("a number")
    }

    fn scan(&mut self, count: u32) {
        self.scanner.cartons(self.scans + 1..=self.scans + count);
        self.scans += count;
    }

    /// Scans, and all of them booked.
    fn booked(&mut self, what: &str) {
        self.scan(5);
        self.all_booked(what);
    }

    fn all_booked(&mut self, what: &str) {
        let scans = self.scans as usize;
        wait_for(what, || self.state()["keys"].as_array().is_some_and(|keys| keys.len() == scans));
    }

    /// Until the ERP or its token server has refused us again.
    fn refused(&mut self, what: &str, whom: &str) {
        let before = self.count(whom);
        wait_for(what, || self.count(whom) > before);
    }

    fn waits_for(&self, text: &str) {
        wait_for(text, || self.gateway.status().to_string().contains(text));
    }

    /// Nothing is lost, and no output of the run has a secret in it.
    fn end(self, secrets: &[&str]) {
        let mut said = self.gateway.log();
        for verb in
            ["status --json", "outbox status", "outbox status --json", "dead list --json", "check", "check --json"]
        {
            let verb: Vec<&str> = verb.split(' ').collect();
            let output = run_to_end(&[&verb[..], &["--config", &self.gateway.config()]].concat());
            said += &String::from_utf8_lossy(&[output.stdout, output.stderr].concat());
        }
        assert!(said.contains("running"), "something was said: {said}");
        drop(self.gateway);
        for entry in fs::read_dir(self.site.data()).expect("the data directory") {
            let path = entry.expect("it can be read").path();
            said += &String::from_utf8_lossy(&fs::read(&path).unwrap_or_default());
        }
        for secret in secrets {
            assert!(!said.contains(secret), "\"{secret}\" is in what the gateway writes");
        }
    }
}

fn secret(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    fs::write(&path, format!("{text}\n")).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its permissions");
}

/// Wrong first, and refused without harm; then mended in its file, and taken at once.
fn mended(file: &str, target: &str, wants: &Value, secrets: &[&str]) {
    let Some(mut world) = World::start(None, &[(file, "wrong-5e0dd1")], target) else { return };
    world.set(wants);
    world.scan(5);
    world.refused("a refusal", "refused");
    world.waits_for("is not known here");
    assert_eq!(world.gateway.status()["dead_letters"], 0);
    secret(world.site.dir(), file, "open sesame+1");
    world.all_booked("all, with the right ones");
    secret(world.site.dir(), file, "wrong-5e0dd1");
    world.scan(2);
    world.refused("another refusal", "refused");
    secret(world.site.dir(), file, "open sesame+1");
    world.all_booked("all, once more");
    assert_eq!(world.count("again"), 0, "a refusal has no effect, and nothing was sent twice");
    world.end(&[secrets, &["wrong-5e0dd1", "sesame"]].concat());
}

#[test]
fn a_basic_login_is_read_from_its_file() {
    // By `printf 'gw 7:open sesame+1' | base64`.
    let wants = json!({ "value": "Basic Z3cgNzpvcGVuIHNlc2FtZSsx" });
    mended("pw", "auth = { user = \"gw 7\", password_file = \"pw\" }", &wants, &["Z3cgNzp"]);
}

#[test]
fn an_api_key_has_the_header_of_the_target() {
    let wants = json!({ "header": "X-Api-Key", "value": "open sesame+1" });
    mended("key", "auth = { header = \"X-Api-Key\", key_file = \"key\" }", &wants, &[]);
}

#[test]
fn tokens_are_fetched_kept_replaced_and_never_told() {
    let target = "auth = { token_url = \"URL/token\", client_id = \"gw:7\", client_secret_file = \"secret\", \
                  scope = \"post look\", audience = \"erp\" }\nmax_in_flight = 4";
    let Some(mut world) = World::start(None, &[("secret", "wrong-5e0dd1")], target) else { return };
    world.set(&json!({ "client": ["gw:7", "open sesame+1"], "slow": 0.2 }));

    // Refused by the token server: nothing went to the ERP, nothing is parked.
    world.scan(5);
    world.refused("a refusal of the token server", "token_refused");
    world.waits_for("HTTP 401 invalid_client: gw:7 with [secret] is nobody");
    let state = world.state();
    assert_eq!((&state["refused"], &state["given"]), (&json!(0), &json!(0)), "{state}");
    assert_eq!(world.gateway.status()["dead_letters"], 0);

    // The right secret: one token for all requests of all lanes, however many want one at once.
    secret(world.site.dir(), "secret", "open sesame+1");
    world.all_booked("all, with a token");
    for _ in 0..4 {
        world.booked("more");
    }
    let state = world.state();
    assert_eq!((&state["given"], &state["at_once"], &state["refused"]), (&json!(1), &json!(1), &json!(0)), "{state}");
    assert_eq!(state["forms"], json!(["audience", "grant_type", "scope"]), "id and secret are in the header");

    // Taken back before its time: one 401, one new token, the same batch again, and nothing waits.
    world.set(&json!({ "revoke": true }));
    world.booked("with a new token");
    let state = world.state();
    assert_eq!((&state["given"], &state["refused"], &state["again"]), (&json!(2), &json!(1), &json!(0)), "{state}");

    // A token server that is away while a token is needed: kept, told, and caught up.
    world.set(&json!({ "revoke": true, "down": true }));
    world.scan(5);
    world.waits_for("HTTP 503 temporarily_unavailable");
    world.set(&json!({ "down": false, "life": 1, "slow": 0 }));
    world.all_booked("all, when it is back");

    // Tokens that live for a second are replaced before the ERP refuses them.
    let before = world.state();
    let given = before["given"].as_u64().expect("a number");
    wait_for("some lives of tokens", || {
        world.booked("in between");
        world.count("given") >= given + 3
    });
    let state = world.state();
    assert_eq!((&state["again"], &state["at_once"]), (&json!(0), &json!(1)), "{state}");
    let (refused, before) = (state["refused"].as_u64(), before["refused"].as_u64());
    assert!(refused <= before.map(|n| n + 1), "they are replaced in time, not by refusals: {state}");
    world.end(&["wrong-5e0dd1", "sesame", "0a9b8c7d6e5f", "Z3clM0E3O"]);
}

#[test]
fn an_erp_that_asks_for_certificates_is_shown_ours_beside_the_token() {
    let dir = tempfile::tempdir().expect("a temp folder");
    let dir = dir.path();
    let (ca, other) = (Ca::new("warehouse CA"), Ca::new("another CA"));
    ca.write(dir, "ca");
    ca.sign(dir, "erp", "127.0.0.1", 2200);
    other.sign(dir, "gw", "gateway", 2200);
    let path = |name: &str| dir.join(name).display().to_string();
    let (ca_file, cert_file, key_file) = (path("ca.pem"), path("gw.pem"), path("gw.key"));
    let target = format!(
        "auth = {{ token_url = \"URL/token\", client_id = \"gw\", client_secret_file = \"secret\", client_auth = \"body\" }}\n\
         tls = {{ ca_file = \"{ca_file}\", cert_file = \"{cert_file}\", key_file = \"{key_file}\" }}"
    );
    let Some(mut world) = World::start(Some(dir), &[("secret", "open sesame+1")], &target) else { return };
    world.set(&json!({ "client": ["gw", "open sesame+1"] }));

    // Signed by somebody whom the ERP does not know, then out of date: told, and nothing is lost.
    world.scan(5);
    world.waits_for("does it know what signed");
    ca.sign(dir, "gw", "gateway", 2020);
    world.waits_for("gw.pem expired: renew it");
    assert_eq!(world.count("asked"), 0, "nothing was said to it");
    // Renewed while the gateway runs; then everything is, by another CA.
    ca.sign(dir, "gw", "gateway", 2200);
    world.all_booked("all, with a certificate that it knows");
    world.booked("more");
    let state = world.state();
    assert_eq!((&state["given"], &state["refused"], &state["again"]), (&json!(1), &json!(0), &json!(0)), "{state}");
    assert_eq!(world.gateway.status()["dead_letters"], 0);
    world.end(&["sesame", "PRIVATE KEY", "0a9b8c7d6e5f"]);
}

#[test]
fn an_erp_that_gets_no_certificate_says_what_to_write() {
    let dir = tempfile::tempdir().expect("a temp folder");
    let ca = Ca::new("warehouse CA");
    ca.write(dir.path(), "ca");
    ca.sign(dir.path(), "erp", "127.0.0.1", 2200);
    let target = format!("tls = {{ ca_file = \"{}\" }}", dir.path().join("ca.pem").display());
    let Some(mut world) = World::start(Some(dir.path()), &[], &target) else { return };
    world.scan(1);
    world.waits_for("the ERP asks for a certificate of ours: write tls.cert_file and tls.key_file");
    world.end(&[]);
}
