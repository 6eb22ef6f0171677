//! Links over TLS, shared subscriptions, sockets and serial lines.

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;

const PLAIN: &str = "address = \"mqtt://127.0.0.1:1883\"       # config/mosquitto.conf is the broker to run here";

fn tls(address: &str, keys: &str) -> String {
    edited(&[(PLAIN, &format!("address = \"{address}\"\n{keys}"))])
}

fn with_tls(address: &str, keys: &str) -> String {
    Site::new(&tls(address, keys)).told()
}

/// A certificate that ends on the first of a year, and its key.
fn certificate(year: i32) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(["broker".to_owned()]).expect("a name");
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(year, 1, 1);
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

#[test]
fn tls_has_its_files() {
    let site = Site::new(&tls(
        "mqtts://broker.dc1",
        "tls = { ca_file = \"ca.pem\", cert_file = \"gw.pem\", key_file = \"gw.key\", warn_before_expiry = \"60d\" }",
    ));
    let (pem, key) = certificate(2200);
    for (name, text, mode) in [("ca.pem", &pem, 0o644), ("gw.pem", &pem, 0o644), ("gw.key", &key, 0o600)] {
        site.file(name, text, mode);
    }
    assert_eq!(site.told(), "");
    let config = site.check().config.expect("no fault");
    let tls = config.mqtt[0].tls.clone().expect("TLS");
    assert_eq!((config.mqtt[0].host.as_str(), config.mqtt[0].port), ("broker.dc1", 8883));
    assert_eq!(tls.ca_file, site.0.path().join("ca.pem"));
    assert_eq!(tls.warn_before_expiry, std::time::Duration::from_hours(60 * 24));
    site.file("gw.key", &key, 0o644);
    insta::assert_snapshot!(site.told(), @r#"
    warning: gateway.toml:23:62: link[1].tls.key_file: gw.key may be read by everyone (chmod 0600, owned by the service's user)
    "#);
}

#[test]
fn what_is_missing_of_tls_is_told() {
    insta::assert_snapshot!(with_tls("mqtts://b", ""), @r#"
    gateway.toml:19:1: link[1].tls: is missing (write tls = { ca_file = "…" }: whom the broker's certificate is signed by)
    "#);
    insta::assert_snapshot!(with_tls("mqtt://127.0.0.1", "tls = { ca_file = \"ca.pem\" }"), @r#"
    gateway.toml:23:7: link[1].tls: stands beside an address without TLS (write "mqtts://host:8883" as the address)
    "#);
    insta::assert_snapshot!(with_tls("mqtts://b", "tls = { cert_file = \"gw.pem\", ca = \"ca.pem\" }"), @r#"
    gateway.toml:23:7: link[1].tls.ca_file: is missing (add `ca_file = …` here)
    gateway.toml:23:7: link[1].tls.key_file: is missing (name the file with the private key of cert_file)
    gateway.toml:23:31: link[1].tls.ca: unknown key (known here: `ca_file`, `cert_file`, `key_file`, `warn_before_expiry`)
    "#);
    insta::assert_snapshot!(with_tls("ws://b", ""), @r#"
    gateway.toml:22:11: link[1].address: ws:// is not in this version (write "mqtt://host:1883", or "mqtts://host:8883" for TLS)
    "#);
}

/// A certificate must not keep the gateway from capturing on its other links.
#[test]
fn certificates_are_doubts_and_no_faults() {
    let site = Site::new(&tls("mqtts://b", "tls = { ca_file = \"ca.pem\" }"));
    insta::assert_snapshot!(site.told(), @r#"
    warning: gateway.toml:23:19: link[1].tls.ca_file: ca.pem: there is no such file (until it is right this link can't connect; the others can)
    "#);
    assert!(site.check().config.is_ok());
    site.file("ca.pem", &certificate(2020).0, 0o644);
    insta::assert_snapshot!(site.told(), @r#"
    warning: gateway.toml:23:19: link[1].tls.ca_file: ca.pem: a certificate expired on 2020-01-01 00:00 UTC (renew it; the file is read again for each connection, without a restart)
    "#);
    assert!(site.check().config.is_ok());
}

#[test]
fn scans_over_the_network_in_the_clear_are_doubtful() {
    insta::assert_snapshot!(with_tls("mqtt://10.20.0.5", ""), @r#"
    warning: gateway.toml:22:11: link[1].address: TLS is off, and 10.20.0.5 is another machine: scans and passwords can be read on the way (write mqtts://, and tls = { ca_file = "…" })
    "#);
}

#[test]
fn a_shared_subscription_is_doubtful() {
    let share = |group: &str| with_tls("mqtt://127.0.0.1", &format!("share = \"{group}\""));
    insta::assert_snapshot!(share("gateways"), @r#"
    warning: gateway.toml:23:9: link[1].share: the broker deals the messages of a device out among the group: their order is not kept, and a device that counts shows gaps where another member got its messages (leave it out where order or gaps matter; docs/mqtt.md tells what is left of them)
    "#);
    insta::assert_snapshot!(share("a/b"), @r#"
    gateway.toml:23:9: link[1].share: "a/b" is no name of a group (write a word without /, + and #)
    "#);
}

fn scanner(link: &str, devices: &str) -> String {
    told_with(&format!("[[link]]\nid = \"line\"\n{link}\n{devices}"))
}

const DEVICE: &str = "[[device]]\nid = \"s-1\"\nlink = \"line\"\nmap = \"fixed-scanner@1\"\n";

#[test]
fn scanners_on_sockets_and_serial_lines() {
    let more = format!(
        "[[link]]\nid = \"line\"\nkind = \"tcp\"\nlisten = \"0.0.0.0:9004\"\n{DEVICE}[[link]]\nid = \"bench\"\nkind = \
         \"serial\"\nserial = {{ port = \"/dev/serial/by-path/p-1\", baud = 19200, data_bits = 7, parity = \"even\", \
         stop_bits = 2 }}\n[[device]]\nid = \"s-2\"\nlink = \"bench\"\nmap = \"serial-scanner@1\"\naccept_weak_identity = true\n"
    );
    let site = Site::new(&format!("{SHIPPED}{more}"));
    insta::assert_snapshot!(site.told(), @"warning: gateway.toml:87:7: device[3].map: no lane takes scan.no_read (they are kept and not posted; a lane that is added later takes those that come from then on)");
    let config = site.check().config.expect("no fault");
    let places: Vec<String> = config.sockets.iter().map(|link| link.place.to_string()).collect();
    assert_eq!(places, ["listening on 0.0.0.0:9004", "/dev/serial/by-path/p-1"]);
    assert!(config.sockets.iter().all(|link| link.device.is_some()));
}

#[test]
fn what_is_wrong_with_a_scanners_link_is_told() {
    let two = format!(
        "{DEVICE}[[device]]\nid = \"s-2\"\nlink = \"line\"\nmap = \"serial-scanner@1\"\naccept_weak_identity = true\n"
    );
    insta::assert_snapshot!(scanner("kind = \"tcp\"\naddress = \"10.20.0.9\"", DEVICE), @r#"
    gateway.toml:83:11: link[3].address: "10.20.0.9" is no address with a port (write "host:port")
    warning: gateway.toml:87:7: device[3].map: no lane takes scan.no_read (they are kept and not posted; a lane that is added later takes those that come from then on)
    "#);
    insta::assert_snapshot!(scanner("kind = \"tcp\"\naddress = \"127.0.0.300:9004\"", DEVICE), @r#"
    gateway.toml:83:11: link[3].address: "127.0.0.300" is neither an address (four numbers up to 255) nor a name (write "host:port")
    warning: gateway.toml:87:7: device[3].map: no lane takes scan.no_read (they are kept and not posted; a lane that is added later takes those that come from then on)
    "#);
    insta::assert_snapshot!(scanner("kind = \"tcp\"\naddress = \"h:1\"\nlisten = \"h:1\"", DEVICE), @"
    gateway.toml:84:10: link[3].listen: stands beside `address` (one of the two: who of both connects?)
    warning: gateway.toml:88:7: device[3].map: no lane takes scan.no_read (they are kept and not posted; a lane that is added later takes those that come from then on)
    ");
    insta::assert_snapshot!(scanner("kind = \"tcp\"\nlisten = \"0.0.0.0:9004\"", &two), @r#"
    gateway.toml:90:8: device[4].link: the link "line" is that of device "s-1" (give each device its own link)
    warning: gateway.toml:87:7: device[3].map: no lane takes scan.no_read (they are kept and not posted; a lane that is added later takes those that come from then on)
    "#);
    insta::assert_snapshot!(scanner("kind = \"tcp\"\naddress = \"h:1\"", &DEVICE.replace("fixed-scanner@1", "sorter@1")), @r#"
    gateway.toml:87:7: device[3].map: sorter@1 is for Modbus, the link "line" is for sockets and serial lines (name a map for that link, or a link for that map)
    "#);
    insta::assert_snapshot!(scanner("kind = \"tcp\"\naddress = \"h:1\"", &DEVICE.replace("map", "unit = 1\nmap")), @"
    gateway.toml:87:8: device[3].unit: means nothing with sockets and serial lines (remove it)
    warning: gateway.toml:88:7: device[3].map: no lane takes scan.no_read (they are kept and not posted; a lane that is added later takes those that come from then on)
    ");
    insta::assert_snapshot!(scanner("kind = \"serial\"", DEVICE), @"
    gateway.toml:80:1: link[3].serial: is missing (add `serial = { … }` here)
    warning: gateway.toml:86:7: device[3].map: no lane takes scan.no_read (they are kept and not posted; a lane that is added later takes those that come from then on)
    ");
    insta::assert_snapshot!(scanner("kind = \"serial\"\nserial = { port = \"/dev/ttyUSB0\", data_bits = 9, parity = \"evn\" }", DEVICE), @r#"
    gateway.toml:83:47: link[3].serial.data_bits: is 9 (write 7 or 8)
    gateway.toml:83:59: link[3].serial.parity: "evn" is not known here (did you mean `even`? One of "none", "even", "odd")
    warning: gateway.toml:83:19: link[3].serial.port: /dev/ttyUSB0 may be another adapter after the next start (write the name below /dev/serial/by-path that `ls -l /dev/serial/by-path` shows for it)
    warning: gateway.toml:87:7: device[3].map: no lane takes scan.no_read (they are kept and not posted; a lane that is added later takes those that come from then on)
    "#);
}

#[test]
fn a_serial_port_has_one_reader() {
    let line = |id: &str| {
        format!("[[link]]\nid = \"{id}\"\nkind = \"serial\"\nserial = {{ port = \"/dev/serial/by-path/p\" }}\n")
    };
    let device = DEVICE.replace("s-1", "s-2").replace("line", "line-2");
    insta::assert_snapshot!(told_with(&format!("{}{DEVICE}{}{device}", line("line"), line("line-2"))), @"
    gateway.toml:91:19: link[4].serial.port: /dev/serial/by-path/p is also the port of link[3].serial (two readers would each get a part; one link carries all units of a Modbus line)
    warning: gateway.toml:87:7: device[3].map: no lane takes scan.no_read (they are kept and not posted; a lane that is added later takes those that come from then on)
    warning: gateway.toml:95:7: device[4].map: no lane takes scan.no_read (they are kept and not posted; a lane that is added later takes those that come from then on)
    ");
}

#[test]
fn a_serial_port_has_one_reader_under_two_names() {
    let site = Site::new("");
    let dir = site.0.path();
    std::fs::write(dir.join("tty"), "").expect("a file");
    std::os::unix::fs::symlink(dir.join("tty"), dir.join("by-path")).expect("a link");
    let (a, b) = (dir.join("tty").display().to_string(), dir.join("by-path").display().to_string());
    let scanner = format!("[[link]]\nid = \"line\"\nkind = \"serial\"\nserial = {{ port = \"{b}\" }}\n{DEVICE}");
    let other = format!("[[link]]\nid = \"line-2\"\nkind = \"serial\"\nserial = {{ port = \"{a}\" }}\n");
    let bus = format!(
        "[[link]]\nid = \"bus\"\nkind = \"modbus-rtu\"\nserial = {{ port = \"{b}\", baud = 9600, parity = \"none\" }}\n"
    );
    for more in [other, bus] {
        let told = told_with(&format!("{scanner}{more}"));
        assert!(told.contains("is also the port of"), "not told: {told}");
    }
}
#[test]
fn a_password_in_an_address_is_not_printed() {
    for address in ["mqtt://gw:s3cret@127.0.0.1:1883", "mqtt://gw:s3cret@127.0.0.1", "mqtts://gw:s3cret@b"] {
        let told = with_tls(address, "tls = { ca_file = \"ca.pem\" }");
        assert!(!told.contains("s3cret"), "{told}");
    }
    let told = with_tls("mqtt://user@broker.dc1", "");
    assert!(told.contains("holds a user") && told.contains("password_file"), "{told}");
}

#[test]
fn digits_and_dots_are_an_address_or_nothing() {
    use crate::config::{broker_address, modbus_address};
    for wrong in ["127.0.0.300:15502", "10.20.0", "1.2.3.4.5:502", "10.20.0.021", "7"] {
        assert_eq!((modbus_address(wrong), broker_address(wrong, false)), (None, None), "{wrong}");
    }
    for right in ["127.0.0.30", "plc-7", "7up.example.com", "[::1]"] {
        assert!(modbus_address(right).is_some(), "{right}");
    }
}
