//! TLS to mosquitto with certificates that end, change and are asked for; names and passwords; and subscriptions that
//! gateways share.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};

use crate::world::{
    Broker, Erp, Gateway, Scanner, Settings, Site, free_port, mosquitto, mosquitto_pub, sscc, wait_for,
};

/// A CA that signs for the broker or the ERP, and for the gateway.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"))
    }

    /// Writes `NAME.pem` and `NAME.key`, which end with that year.
    pub(crate) fn sign(&self, dir: &Path, name: &str, host: &str, year: i32) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([host.to_owned()]).expect("a name");
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        fs::write(dir.join(format!("{name}.pem")), certificate.pem()).expect("a file");
        fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).expect("a file");
    }

    /// Writes our certificate as `NAME.pem`.
    pub(crate) fn write(&self, dir: &Path, name: &str) {
        fs::write(dir.join(format!("{name}.pem")), self.0.pem()).expect("a file");
    }
}

/// The lines for a second listener that asks for certificates.
fn listener(port: u16, dir: &Path) -> String {
    let path = |name: &str| dir.join(name).display().to_string();
    format!(
        "listener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n",
        path("broker-ca.pem"),
        path("broker.pem"),
        path("broker.key")
    )
}

fn link(id: &str, address: &str, more: &str) -> String {
    format!(
        "[[link]]\nid = \"{id}\"\nkind = \"mqtt\"\naddress = \"{address}\"\nclient_id = \"gw-{id}\"\n\
         reconnect = {{ min = \"50ms\", max = \"200ms\" }}\n{more}\n"
    )
}

fn device(id: &str, link: &str, root: &str) -> String {
    format!(
        "[[device]]\nid = \"{id}\"\nlink = \"{link}\"\nmap = \"hand-scanner@1\"\nparams = {{ topic_root = \"{root}\" }}\n"
    )
}

fn scan(broker: &Broker, root: &str, seqs: std::ops::RangeInclusive<u32>) {
    let mut scanner = Scanner::connect(broker.port, &format!("scanner-of-{}", root.replace('/', "-")));
    for seq in seqs {
        let payload = format!(r#"{{"barcode":"{}","boot":"b1","seq":{seq}}}"#, sscc(seq));
        scanner.publish(&format!("{root}/A/read"), payload.as_bytes());
    }
    scanner.flush();
}

/// One day in the life of certificates, on a gateway that is never started again.
#[test]
fn certificates_are_asked_for_renewed_and_expire_and_other_links_do_not_mind() {
    let Some(program) = mosquitto() else { return };
    let (dir, port, erp) = (tempfile::tempdir().expect("a temp folder"), free_port(), Erp::start());
    let dir = dir.path();
    let ca = Ca::new("floor CA");
    ca.write(dir, "broker-ca");
    ca.sign(dir, "broker", "127.0.0.1", 2200);
    let mut broker = Broker::start_with(&program, Settings::Shipped, &listener(port, dir));
    wait_for("the TLS listener", || TcpStream::connect(("127.0.0.1", port)).is_ok());

    let path = |name: &str| dir.join(name).display().to_string();
    let (ca_file, cert, key) = (path("gw-ca.pem"), path("gw.pem"), path("gw.key"));
    let tls = format!("tls = {{ ca_file = \"{ca_file}\", cert_file = \"{cert}\", key_file = \"{key}\" }}");
    let site = Site::new()
        .links(&link("secure", &format!("mqtts://127.0.0.1:{port}"), &tls))
        .links(&link("plain", &format!("mqtt://127.0.0.1:{}", broker.port), ""))
        .links(&[device("hand", "secure", "dc1/scan"), device("bench", "plain", "dc1/bench")].concat())
        .erp(&erp.url());
    // The gateway starts before its certificates are there: its other link works.
    let gateway = Gateway::start(&site);
    let told = |text: &str| gateway.log().matches(text).count();
    let connected = |link: &str| {
        let log = gateway.log();
        log.lines().filter(|line| line.contains("connected to the broker") && line.contains(link)).count()
    };
    wait_for("the plain link", || connected("plain") == 1);
    wait_for("the missing file", || told("gw-ca.pem: there is no such file") > 0);
    scan(&broker, "dc1/bench", 1..=3);
    wait_for("scans of the plain link", || erp.count() == 3);

    // Another CA than the broker's; then the right one, and a certificate of ours that the broker does not know.
    let other = Ca::new("another CA");
    other.write(dir, "gw-ca");
    other.sign(dir, "gw", "gateway", 2200);
    wait_for("the wrong CA", || told("the broker's certificate is not signed by the CA in") > 0);
    ca.write(dir, "gw-ca");
    wait_for("the broker's refusal", || told("the broker refuses us") > 0);
    ca.sign(dir, "gw", "gateway", 2200);
    wait_for("TLS with the right ones", || connected("secure") == 1);
    scan(&broker, "dc1/scan", 1..=5);
    wait_for("scans over TLS", || erp.count() == 8);

    // Everything is renewed by a new CA while the gateway runs.
    let renewed = Ca::new("floor CA, renewed");
    for name in ["broker-ca", "gw-ca"] {
        renewed.write(dir, name);
    }
    renewed.sign(dir, "broker", "127.0.0.1", 2200);
    renewed.sign(dir, "gw", "gateway", 2200);
    broker.restart();
    wait_for("TLS with the renewed ones", || connected("secure") == 2);
    scan(&broker, "dc1/scan", 6..=10);
    wait_for("scans over the renewed TLS", || erp.count() == 13);

    // The broker's certificate is for another name, and then out of date; the other link goes on.
    renewed.sign(dir, "broker", "elsewhere.dc1", 2200);
    broker.restart();
    wait_for("the wrong name", || told("is not for \\\"127.0.0.1\\\"") > 0);
    renewed.sign(dir, "broker", "127.0.0.1", 2020);
    broker.restart();
    wait_for("the expired certificate", || told("the broker's certificate expired on 2020-12-31") > 0);
    scan(&broker, "dc1/bench", 4..=6);
    wait_for("scans of the plain link, once more", || erp.count() == 16);
    renewed.sign(dir, "broker", "127.0.0.1", 2200);
    broker.restart();
    wait_for("TLS again", || connected("secure") == 3);
    scan(&broker, "dc1/scan", 11..=12);
    wait_for("everything", || erp.count() == 18);
    assert!(gateway.is_running());
    assert_eq!(gateway.stop(Duration::from_secs(20)).code(), Some(0));
}

#[test]
fn a_broker_that_asks_for_a_certificate_is_told_in_words() {
    let Some(program) = mosquitto() else { return };
    let (dir, port) = (tempfile::tempdir().expect("a temp folder"), free_port());
    let dir = dir.path();
    let ca = Ca::new("floor CA");
    for name in ["broker-ca", "gw-ca"] {
        ca.write(dir, name);
    }
    ca.sign(dir, "broker", "127.0.0.1", 2200);
    ca.sign(dir, "gw", "gateway", 2020);
    let broker = Broker::start_with(&program, Settings::Shipped, &listener(port, dir));
    let erp = Erp::start();
    let (ca_file, cert, key) = (dir.join("gw-ca.pem"), dir.join("gw.pem"), dir.join("gw.key"));
    let tls = |more: &str| format!("tls = {{ ca_file = \"{}\"{more} }}", ca_file.display());
    let expired = format!(", cert_file = \"{}\", key_file = \"{}\"", cert.display(), key.display());
    let address = format!("mqtts://127.0.0.1:{port}");
    let site = Site::new()
        .links(&link("bare", &address, &tls("")))
        .links(&link("expired", &address, &tls(&expired)))
        .links(&link("wrong", &format!("mqtts://127.0.0.1:{}", broker.port), &tls("")))
        .links(&["bare", "expired", "wrong"].map(|id| device(id, id, &format!("dc1/{id}"))).concat())
        .erp(&erp.url());
    let gateway = Gateway::start(&site);
    for text in [
        "the broker asks for a certificate of ours: write tls.cert_file and tls.key_file",
        "the broker says that our certificate in",
        "gw.pem: a certificate expired on 2020-12-31",
        "is it the broker's TLS port?",
    ] {
        wait_for(text, || gateway.log().contains(text));
    }
}

/// A floor on which everybody has a certificate, a name and a password: mosquitto_pub for the scanners, and the gateway, whose
/// password stands in a file. Who has no name may neither read nor write.
#[test]
fn names_and_passwords_of_files_are_given_over_tls() {
    let (Some(program), Some(publisher)) = (mosquitto(), mosquitto_pub()) else { return };
    let (dir, port, erp) = (tempfile::tempdir().expect("a temp folder"), free_port(), Erp::start());
    let dir = dir.path();
    let (path, write) = (
        |name: &str| dir.join(name).display().to_string(),
        |name: &str, text: &str| fs::write(dir.join(name), text).expect("a file"),
    );
    let ca = Ca::new("floor CA");
    for name in ["broker-ca", "gw-ca"] {
        ca.write(dir, name);
    }
    for name in ["broker", "gw", "scanner"] {
        ca.sign(dir, name, "127.0.0.1", 2200);
    }
    write("passwords", "gw-7:right\nscanner:laser\n");
    let hashed = Command::new("mosquitto_passwd").args(["-U", &path("passwords")]).status();
    assert!(hashed.expect("it comes with mosquitto").success());
    write("acl", "user gw-7\ntopic read dc1/#\nuser scanner\ntopic write dc1/#\n");
    let more = format!("{}password_file {}\nacl_file {}\n", listener(port, dir), path("passwords"), path("acl"));
    let _broker = Broker::start_with(&program, Settings::Shipped, &more);
    wait_for("the TLS listener", || TcpStream::connect(("127.0.0.1", port)).is_ok());

    let keys = format!(
        "username = \"gw-7\"\npassword_file = \"{}\"\ntls = {{ ca_file = \"{}\", cert_file = \"{}\", key_file = \"{}\" }}",
        path("gw.secret"),
        path("gw-ca.pem"),
        path("gw.pem"),
        path("gw.key")
    );
    let site = Site::new()
        .links(&link("secure", &format!("mqtts://127.0.0.1:{port}"), &keys))
        .links(&device("hand", "secure", "dc1/scan"))
        .erp(&erp.url());
    write("gw.secret", "wrong\n");
    let gateway = Gateway::start(&site);
    wait_for("the refusal", || {
        gateway.log().contains("BadUserNamePassword") || gateway.log().contains("NotAuthorized")
    });
    assert!(!gateway.log().contains("connected to the broker"));
    println!("{}", gateway.log().lines().find(|line| line.contains("no connection")).unwrap_or_default());
    gateway.kill();
    write("gw.secret", "right\n");
    gateway.start_again();
    wait_for("the right password", || gateway.log().contains("connected to the broker"));
    for seq in 1..=3 {
        let payload = format!(r#"{{"barcode":"{}","boot":"b1","seq":{seq}}}"#, sscc(seq));
        let mut publish = Command::new(&publisher);
        publish.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-u", "scanner", "-P", "laser", "-q", "1"]);
        publish.args(["--cafile", &path("gw-ca.pem"), "--cert", &path("scanner.pem"), "--key", &path("scanner.key")]);
        publish.args(["-t", "dc1/scan/A/read", "-m", &payload]);
        assert!(publish.status().expect("mosquitto_pub runs").success(), "the broker takes it");
    }
    wait_for("scans over TLS", || erp.count() == 3);
    let mut subjects: Vec<String> = erp.effects().into_iter().map(|effect| effect.subject).collect();
    subjects.sort();
    assert_eq!(subjects, [1, 2, 3].map(sscc));
}

/// Two gateways of one group: each message goes to one of them, and the ERP has all, each once.
fn share(version: u8) {
    let Some(program) = mosquitto() else { return };
    let (broker, erp) = (Broker::start(&program, Settings::Shipped), Erp::start());
    let gateways = ["one", "two"].map(|id| {
        let more = format!("version = {version}\nshare = \"gateways\"");
        let links = link(id, &format!("mqtt://127.0.0.1:{}", broker.port), &more);
        let site = Site::new().links(&links).links(&device("hand", id, "dc1/scan")).erp(&erp.url());
        (Gateway::start(&site), site)
    });
    for (gateway, _) in &gateways {
        wait_for("the subscription", || gateway.log().contains("connected to the broker"));
    }
    scan(&broker, "dc1/scan", 1..=40);
    wait_for("all scans", || erp.count() >= 40);
    let mut ids = erp.ids();
    ids.sort();
    ids.dedup();
    assert_eq!((erp.count(), ids.len(), erp.absorbed()), (40, 40, 0), "each went to one of the two");
    for (gateway, _) in &gateways {
        let counts = gateway.status()["counts"].to_string();
        assert!(counts.contains("gap"), "each sees gaps where the other got the message: {counts}");
    }
}

#[test]
fn a_shared_subscription_gives_each_message_to_one_gateway_over_mqtt_5() {
    share(5);
}

#[test]
fn a_shared_subscription_gives_each_message_to_one_gateway_over_mqtt_3() {
    share(3);
}
