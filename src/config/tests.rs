//! What a person reads when a configuration is wrong. Each case is the shipped file with some edits.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;

const SHIPPED: &str = include_str!("../../config/gateway.toml");

/// A configuration in a directory of its own.
struct Site(tempfile::TempDir);

impl Site {
    fn new(text: &str) -> Self {
        let site = Self(tempfile::tempdir().expect("a temp directory"));
        site.file("gateway.toml", text, 0o644);
        site
    }

    fn file(&self, name: &str, text: &str, mode: u32) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().expect("below the directory")).expect("a directory");
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its permissions");
    }

    fn check(&self) -> Checked {
        check(&self.0.path().join("gateway.toml"))
    }

    /// Every line that `check` tells, files named from the site's directory.
    fn told(&self) -> String {
        let checked = self.check();
        let faults = checked.config.err().unwrap_or_default().into_iter().map(|f| f.to_string());
        let lines = faults.chain(checked.warnings.iter().map(|w| format!("warning: {w}")));
        let here = format!("{}/", self.0.path().display());
        lines.map(|line| line.replace(&here, "")).collect::<Vec<_>>().join("\n")
    }
}

/// The shipped file with each `from` (which stands in it once) replaced.
fn edited(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(SHIPPED.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from:?} in the shipped file");
        text.replace(from, to)
    })
}

pub(super) fn told(edits: &[(&str, &str)]) -> String {
    Site::new(&edited(edits)).told()
}

/// The shipped file with `more` behind it.
pub(super) fn told_with(more: &str) -> String {
    Site::new(&format!("{SHIPPED}{more}")).told()
}

mod auth;
mod links;
mod mutated;
mod profiles;

#[test]
fn the_shipped_file_is_without_fault_or_doubt() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/gateway.toml");
    let checked = check(&shipped);
    assert!(checked.warnings.is_empty(), "{:?}", checked.warnings);
    let config = checked.config.expect("no fault");
    assert_eq!((config.site.as_str(), config.gateway.as_str()), ("dc1", "gw-7"));
    assert_eq!((config.mqtt[0].host.as_str(), config.mqtt[0].port), ("127.0.0.1", 1883));
    assert_eq!(config.mqtt[0].devices[0].1.name.as_ref(), "hand-scanner@1");
    assert_eq!(config.modbus[0].devices[0].unit, 1);
    assert_eq!(config.lanes[1].system, "erp");
    assert_eq!(config.lanes[0].dedup_horizon_ms, 86_400_000);
    assert_eq!(config.targets[0].answers.items.as_deref(), Some("/results"));
    assert_eq!(config.outbox.max_size, 2 << 30);
}

#[test]
fn the_shortest_configuration_is_what_has_no_default() {
    let text = r#"
        [site]
        id = "dc1"
        timezone = "UTC"
        [gateway]
        id = "gw-1"
        data_dir = "data"
        [[link]]
        id = "broker"
        kind = "mqtt"
        address = "localhost"
        [[device]]
        id = "hand"
        link = "broker"
        map = "hand-scanner@1"
        params = { topic_root = "scan" }
        [[target]]
        id = "erp"
        kind = "http"
        url = "http://127.0.0.1:8000/events"
        idempotency = "key"
        dedup_horizon = "1h"
        [[lane]]
        id = "all"
        target = "erp"
        take = ["*"]
    "#;
    let site = Site::new(text);
    let doubt = "warning: gateway.toml:17:9: target[1].answers: is missing: a 200, 201 or 204 counts the whole batch as posted \
                 (add `answers = { items = \"/results\" }` to read one result for each key)";
    assert_eq!(site.told(), doubt);
    let config = site.check().config.expect("no fault");
    assert_eq!(config.outbox.dir, site.0.path().join("data"));
    assert_eq!(config.mqtt[0].client_id, "floorgate-gw-1-broker");
    assert_eq!(config.targets[0].answers.items, None);
    assert_eq!(config.business_unit, "main");
}

#[test]
fn a_file_that_is_not_there_is_told() {
    insta::assert_snapshot!(check(Path::new("no/such.toml")).config.expect_err("no file")[0], @r#"
    no/such.toml:1:1: can't be read: there is no such file (name the configuration with --config FILE, or in FLOORGATE_CONFIG)
    "#);
}

#[test]
fn text_that_is_not_toml_is_told() {
    insta::assert_snapshot!(told(&[("[site]", "[site")]), @r#"
    gateway.toml:5:6: not TOML: unclosed table, expected `]` (see https://toml.io)
    "#);
}

#[test]
fn a_missing_section_is_told() {
    insta::assert_snapshot!(Site::new("").told(), @r#"
    gateway.toml:1:1: site: is missing (add a table: `[site]`)
    gateway.toml:1:1: gateway: is missing (add a table: `[gateway]`)
    gateway.toml:1:1: target: is missing (add a [[target]]: where events are posted)
    gateway.toml:1:1: lane: is missing (add a [[lane]]: which events go to the target)
    "#);
}

#[test]
fn ids_follow_the_rule_and_are_told_apart_without_case() {
    insta::assert_snapshot!(told(&[("id = \"dc1\"", "id = \"dc 1\""), ("\"inbound\"", "\"OutBound\"")]), @r#"
    gateway.toml:6:6: site.id: "dc 1" is not an id (write letters, digits, - and _, at most 32, a letter or digit first)
    gateway.toml:76:6: lane[2].id: "OutBound" is taken by lane[1].id (choose another: ids differ also when case is ignored)
    "#);
}

#[test]
fn an_unknown_key_names_the_nearest() {
    insta::assert_snapshot!(told(&[("max_packet", "max_paket"), ("preset", "presett")]), @r#"
    gateway.toml:15:1: outbox.presett: unknown key (did you mean `preset`?)
    gateway.toml:30:1: link[1].max_paket: unknown key (did you mean `max_packet`?)
    "#);
}

#[test]
fn a_value_of_another_type_says_what_to_write() {
    insta::assert_snapshot!(told(&[("unit = 1\n", "unit = \"1\"\n"), ("gzip = false", "gzip = 0"), ("\"7d\"", "7")]), @r#"
    gateway.toml:28:18: link[1].session_expiry: is the number 7 (write a duration with its unit, such as "500ms", "20s", "5m", "24h" or "30d")
    gateway.toml:49:8: device[2].unit: is the text "1" (write a whole number from 0 to 255)
    gateway.toml:65:8: target[1].gzip: is the number 0 (write true or false)
    "#);
}

#[test]
fn values_out_of_range_say_the_range() {
    insta::assert_snapshot!(told(&[("max_in_flight = 512", "max_in_flight = 0"), ("\"2 GiB\"", "\"1 KiB\""), ("\"2s\"", "\"1ms\"")]), @r#"
    gateway.toml:16:12: outbox.max_size: is 1 KiB (write at least 1 MiB and at most 1 TiB)
    gateway.toml:27:17: link[1].max_in_flight: is 0 (write at least 1 and at most 65535)
    gateway.toml:37:19: link[2].connect_timeout: is 1ms (write at least 10ms and at most 1m)
    "#);
}

#[test]
fn a_time_zone_must_be_known() {
    insta::assert_snapshot!(told(&[("Europe/Berlin", "Europe/Berlyn")]), @r#"
    gateway.toml:7:12: site.timezone: "Europe/Berlyn" is no time zone known here (write an IANA name such as "Europe/Berlin")
    "#);
}

#[test]
fn references_name_the_nearest() {
    insta::assert_snapshot!(told(&[("link = \"broker\"", "link = \"brokr\""), ("\"sorter@1\"", "\"sorter@2\"")]), @r#"
    gateway.toml:42:8: device[1].link: there is no link "brokr" (did you mean `broker`?)
    gateway.toml:50:7: device[2].map: there is no map "sorter@2" (did you mean `sorter@1`? Your own maps stand in devices/<vendor>-<model>/map.toml)
    "#);
    insta::assert_snapshot!(told(&[("id = \"erp\"", "id = \"erp2\"")]), @r#"
    gateway.toml:71:10: lane[1].target: there is no target "erp" (did you mean `erp2`?)
    gateway.toml:77:10: lane[2].target: there is no target "erp" (did you mean `erp2`?)
    "#);
}

#[test]
fn links_of_other_kinds_are_not_in_this_version() {
    insta::assert_snapshot!(told(&[("kind = \"modbus-tcp\"", "kind = \"modbus-tls\"\ntls = {}")]), @r#"
    gateway.toml:35:8: link[2].kind: "modbus-tls" is not in this version (this version has "mqtt", "modbus-tcp", "modbus-rtu", "modbus-rtu-over-tcp", "tcp", "serial")
    "#);
    insta::assert_snapshot!(told(&[("kind = \"mqtt\"", "kind = \"mqttt\"")]), @r#"
    gateway.toml:21:8: link[1].kind: "mqttt" is not known here (did you mean `mqtt`? One of "mqtt", "modbus-tcp", "modbus-rtu", "modbus-rtu-over-tcp", "tcp", "serial")
    "#);
}

#[test]
fn addresses_are_read() {
    insta::assert_snapshot!(told(&[("mqtt://127.0.0.1:1883", "mqtt://127.0.0.1:188300"), ("10.20.0.21:502", "http://plc")]), @r#"
    gateway.toml:22:11: link[1].address: "mqtt://127.0.0.1:188300" is not the address of a broker (write "mqtt://host:1883", or "mqtts://host:8883" for TLS)
    gateway.toml:36:11: link[2].address: "http://plc" is not the address of a Modbus server (write "host:502")
    "#);
}

#[test]
fn two_links_may_not_share_a_client_id() {
    let more = "[[link]]\nid = \"b2\"\nkind = \"mqtt\"\naddress = \"localhost\"\nclient_id = \"floorgate-gw-7\"\n";
    insta::assert_snapshot!(told_with(more), @r#"
    gateway.toml:84:13: link[3].client_id: "floorgate-gw-7" is also the client id of link[1] (give each link its own: the broker drops one for the other)
    warning: gateway.toml:81:6: link[3].id: no device uses this link (remove it, or add its devices)
    "#);
}

#[test]
fn a_password_stands_in_a_file() {
    insta::assert_snapshot!(told(&[("# username = \"gw-7\"", "username = \"gw-7\"\npassword = \"secret\"")]), @r#"
    gateway.toml:26:12: link[1].password: a secret does not belong in the configuration (write it into a file that only the service may read, and `password_file = "…"` here)
    "#);
    insta::assert_snapshot!(told(&[("# username = \"gw-7\"", "username = \"gw-7\"\npassword_file = \"no/such\"")]), @r#"
    gateway.toml:26:17: link[1].password_file: no/such: there is no such file (name a file that holds the password and nothing else)
    "#);
    insta::assert_snapshot!(told(&[("# auth = { bearer_file = \"/run/credentials/floorgate.service/erp\" }", "auth = { bearer = \"x\" }")]), @r#"
    gateway.toml:60:19: target[1].auth.bearer: a secret does not belong in the configuration (write it into a file that only the service may read, and `bearer_file = "…"` here)
    "#);
}

#[test]
fn secrets_are_read_without_their_line_end_and_told_when_everyone_may_read_them() {
    let text = edited(&[
        ("# username = \"gw-7\"", "username = \"gw-7\"\npassword_file = \"mqtt.secret\""),
        (
            "# auth = { bearer_file = \"/run/credentials/floorgate.service/erp\" }",
            "auth = { bearer_file = \"erp.secret\" }",
        ),
    ]);
    let site = Site::new(&text);
    site.file("mqtt.secret", "geheim\n", 0o644);
    site.file("erp.secret", "token\n", 0o600);
    insta::assert_snapshot!(site.told(), @r#"
    warning: gateway.toml:26:17: link[1].password_file: mqtt.secret may be read by everyone (chmod 0600, owned by the service's user)
    "#);
    let config = site.check().config.expect("a warning is no fault");
    assert_eq!(config.mqtt[0].login, Some(("gw-7".to_owned(), "geheim".to_owned())));
    let token_file = site.0.path().join("erp.secret");
    assert_eq!(config.targets[0].login, Some(crate::target::Login::Bearer { token_file }));
}

#[test]
fn a_device_states_its_unit_and_its_maps_parameters() {
    insta::assert_snapshot!(told(&[("unit = 1\n", ""), ("topic_root = \"dc1/scan\"", "topic_rot = \"dc1/scan\"")]), @"
    gateway.toml:44:24: device[1].params.topic_rot: is no parameter of hand-scanner@1 (did you mean `topic_root`?)
    gateway.toml:46:1: device[2].unit: is missing (add the Modbus unit id: `unit = 1`)
    ");
}

#[test]
fn a_map_suits_its_link() {
    insta::assert_snapshot!(told(&[("link = \"sorter-net\"\nunit = 1\n", "link = \"broker\"\n")]), @r#"
    gateway.toml:49:7: device[2].map: sorter@1 is for Modbus, the link "broker" is for MQTT (name a map for that link, or a link for that map)
    warning: gateway.toml:34:6: link[2].id: no device uses this link (remove it, or add its devices)
    "#);
}

#[test]
fn lanes_of_one_map_may_share_a_unit() {
    let lane = |lane: u8| {
        format!(
            "[[device]]\nid = \"lane-{lane}\"\nlink = \"sorter-net\"\nunit = 1\nmap = \"divert-lane@1\"\n\
             params = {{ lane = {lane}, coil_base = {}, reg_base = {} }}\n",
            lane * 4,
            lane * 10
        )
    };
    let told = told_with(&format!("{}{}", lane(1), lane(2)));
    assert!(told.lines().all(|line| line.contains("no lane takes")), "{told}");
    let beyond = lane(1).replace("lane = 1,", "lane = 100,");
    insta::assert_snapshot!(told_with(&beyond), @"
    gateway.toml:85:19: device[3].params.lane: is 100 (write 1 to 99: divert-lane@1 declares it so, built-in:devices/acme-photo-eyes/map.toml:14)
    warning: gateway.toml:84:7: device[3].map: no lane takes lane.blocked, lane.cleared, lane.entered, lane.full (they are kept and not posted; a lane that is added later takes those that come from then on)
    ");
}

#[test]
fn one_event_queue_has_one_reader() {
    insta::assert_snapshot!(told_with("[[device]]\nid = \"sorter-2\"\nlink = \"sorter-net\"\nunit = 1\nmap = \"sorter@1\"\n"), @r#"
    gateway.toml:83:8: device[3].unit: is 1, as of device "sorter-1" with the same link and map (remove one of the two: they would acknowledge each other's events)
    "#);
}

#[test]
fn a_device_may_not_have_the_id_of_a_scanner_behind_another() {
    insta::assert_snapshot!(told(&[("id = \"sorter-1\"", "id = \"Hand-A1\"")]), @r#"
    gateway.toml:47:6: device[2].id: "Hand-A1" could be one of the devices "hand-…" behind "hand" (choose an id with another beginning)
    "#);
}

#[test]
fn devices_of_one_link_may_not_share_topics() {
    let more = "[[device]]\nid = \"packing\"\nlink = \"broker\"\nmap = \"hand-scanner@1\"\nparams = { topic_root = \"dc1/+\" }\n";
    insta::assert_snapshot!(told_with(more), @r#"
    gateway.toml:84:10: device[3].params: the topics "dc1/+/+/read" and "dc1/scan/+/read" of device "hand" meet (give one of them another `topic_root`: a message may be of one device alone. Scanners that share their topics are one device)
    "#);
    assert_eq!(told_with(&more.replace("dc1/+", "dc1/packing")), "");
    let set = |root: &str| {
        let set =
            "[[device_set]]\nfor = { n = [1, 2] }\nid = \"pack-{n}\"\nlink = \"broker\"\nmap = \"hand-scanner@1\"\n";
        told_with(&format!("{set}{root}"))
    };
    insta::assert_snapshot!([set("params = { topic_root = \"dc1/pack\" }\n"), set("")].join("\n"), @r#"
    gateway.toml:85:10: device_set[1](n = 2).params: the topics "dc1/pack/+/read" and "dc1/pack/+/read" of device "pack-1" meet (give each member its own: params = { topic_root = "floor/{n}" })
    gateway.toml:80:1: device_set[1](n = 1).params: the map needs the parameter `topic_root`, and so it is with 1 other members (write params = { topic_root = "floor/{n}" } with the device's own levels: that makes the topics "floor/{n}/+/read")
    "#);
    assert_eq!(set("params = { topic_root = \"dc1/pack/{n}\" }\n"), "");
}

#[test]
fn a_token_is_one_line() {
    let auth = "# auth = { bearer_file = \"/run/credentials/floorgate.service/erp\" }";
    let site = Site::new(&edited(&[(auth, "auth = { bearer_file = \"token\" }")]));
    site.file("token", "one\ntwo\n", 0o600);
    insta::assert_snapshot!(site.told(), @r#"
    gateway.toml:60:24: target[1].auth.bearer_file: token: a token is one line of visible ASCII (name a file that holds the token and nothing else)
    "#);
}

#[test]
fn a_business_unit_has_lanes_of_its_own() {
    let device = ("unit = 1\n", "unit = 1\nbusiness_unit = \"b2b\"\n");
    insta::assert_snapshot!(told(&[device]), @r#"warning: gateway.toml:51:7: device[2].map: no lane takes divert.confirmed, divert.missed, divert.recirculated, divert.unknown of business unit "b2b" (they are kept and not posted; a lane that is added later takes those that come from then on)"#);
    let lane = |unit: &str| {
        let text = edited(&[device]);
        let lane = "[[lane]]\nid = \"theirs\"\ntarget = \"erp\"\nclass = \"document\"\ntake = [\"*\"]\n";
        Site::new(&format!("{text}{lane}business_unit = \"{unit}\"\n")).told()
    };
    insta::assert_snapshot!(lane("b2b"), @"");
    insta::assert_snapshot!(lane("b2"), @r#"
    gateway.toml:86:17: lane[3].business_unit: no device is of the business unit "b2" (did you mean `b2b`?)
    warning: gateway.toml:51:7: device[2].map: no lane takes divert.confirmed, divert.missed, divert.recirculated, divert.unknown of business unit "b2b" (they are kept and not posted; a lane that is added later takes those that come from then on)
    "#);
    insta::assert_snapshot!(lane("b 2"), @r#"
    gateway.toml:86:17: lane[3].business_unit: "b 2" is not an id (write letters, digits, - and _, at most 32, a letter or digit first)
    warning: gateway.toml:51:7: device[2].map: no lane takes divert.confirmed, divert.missed, divert.recirculated, divert.unknown of business unit "b2b" (they are kept and not posted; a lane that is added later takes those that come from then on)
    "#);
    insta::assert_snapshot!(lane("main"), @r#"
    gateway.toml:85:8: lane[3].take: "*" and "divert.*" of lane "outbound" both take the same types (take each transaction type in one lane of a target)
    gateway.toml:85:8: lane[3].take: "*" and "scan.item" of lane "inbound" both take the same types, such as "scan.item" (take each transaction type in one lane of a target)
    warning: gateway.toml:51:7: device[2].map: no lane takes divert.confirmed, divert.missed, divert.recirculated, divert.unknown of business unit "b2b" (they are kept and not posted; a lane that is added later takes those that come from then on)
    "#);
}

#[test]
fn a_category_is_one_that_there_is_and_a_reason_belongs_to_one() {
    let told = told_with(
        "\n[category.shipment_bloked]\nowner = \"x\"\n[category.invoice_delayed]\nwarn = \"9h\"\ncodes = [\"closed\"]\n\
         [category.master_stale]\ncodes = [\"closed\"]\n",
    );
    insta::assert_snapshot!(told, @r#"
    gateway.toml:81:11: category.shipment_bloked: unknown key (did you mean `shipment_blocked`?)
    gateway.toml:84:8: category.invoice_delayed.warn: is later than `breach` (write a `warn` that comes first)
    gateway.toml:87:9: category.master_stale.codes: "closed" is one of invoice_delayed already (a reason belongs to one category)
    "#);
}

#[test]
fn faults_of_a_map_name_the_map() {
    let site = Site::new(SHIPPED);
    let map = "schema = 1\n[map]\nid = \"sorter\"\nversion = 1\nprotocol = \"modbuss\"\naddresses = \"modicon\"\n";
    site.file("devices/acme-sorter/map.toml", map, 0o644);
    site.file("devices/broken/map.toml", "[map", 0o644);
    insta::assert_snapshot!(site.told(), @r#"
    devices/acme-sorter/map.toml:5:12: map.protocol: "modbuss" is not known here (did you mean `modbus`? One of "modbus", "mqtt", "socket")
    warning: devices/broken/map.toml:1:5: not TOML: unclosed table, expected `]` (see https://toml.io)
    "#);
}

#[test]
fn a_target_states_how_it_knows_a_posting_again() {
    insta::assert_snapshot!(told(&[("dedup_horizon = \"24h\" ", "# ")]), @r#"gateway.toml:52:1: target[1].dedup_horizon: is missing (add how long the target remembers a key: `dedup_horizon = "24h"`)"#);
    insta::assert_snapshot!(told(&[("idempotency = \"key\"", "idempotency = \"lookup\"")]), @r#"
    gateway.toml:52:1: target[1].lookup: is missing (add where keys can be looked up: `lookup = { url = "https://…" }`)
    gateway.toml:59:17: target[1].dedup_horizon: goes with idempotency = "key" only (remove it)
    "#);
    insta::assert_snapshot!(told(&[("dedup_horizon = \"24h\" ", "replays_errors = true # "), ("idempotency = \"key\"", "idempotency = \"natural\"")]), @r#"
    gateway.toml:59:18: target[1].replays_errors: goes with idempotency = "key" only (remove it)
    "#);
    insta::assert_snapshot!(told(&[("dedup_horizon = \"24h\" ", "settle_delay = \"1m\"\nlookup = { url = \"erp/lookup\" } # "), ("idempotency = \"key\"", "idempotency = \"natural\"")]), @r#"
    gateway.toml:60:18: target[1].lookup.url: "erp/lookup" is not an http or https address (write "https://host/path")
    "#);
    insta::assert_snapshot!(told(&[("dedup_horizon = \"24h\"", "dedup_horizon = \"90s\"")]), @r#"
    gateway.toml:59:17: target[1].dedup_horizon: is 90s, too short for a timeout of 1m (write more than twice the timeout, or shorten the timeout)
    "#);
}

#[test]
fn a_target_is_http() {
    insta::assert_snapshot!(told(&[("https://erp.example.com", "http://user:pw@erp.example.com")]), @r#"
    gateway.toml:55:7: target[1].url: carries a user or a password (remove it and use auth = { user = "…", password_file = "…" })
    "#);
    insta::assert_snapshot!(told(&[("https://erp.example.com", "http://erp.example.com")]), @r#"
    warning: gateway.toml:55:7: target[1].url: events and the token travel in clear to another machine (use https://)
    "#);
    insta::assert_snapshot!(told(&[("kind = \"http\"", "kind = \"nats\""), ("https://erp.example.com", "erp.example.com")]), @r#"
    gateway.toml:54:8: target[1].kind: "nats" is not in this version (this version has "http")
    gateway.toml:55:7: target[1].url: "erp.example.com/floorgate/v1/events" is not an http or https address (write "https://host/path")
    "#);
}

#[test]
fn an_address_has_a_host_and_a_port_that_there_is() {
    insta::assert_snapshot!(told(&[("https://erp.example.com", "https://erp.example.com:99999")]), @r#"
    gateway.toml:55:7: target[1].url: "https://erp.example.com:99999/floorgate/v1/events" is not an http or https address: invalid port number (write "https://host/path")
    "#);
    insta::assert_snapshot!(told(&[("https://erp.example.com", "http://")]), @r#"
    gateway.toml:55:7: target[1].url: "http:///floorgate/v1/events" is not an http or https address (write "https://host/path")
    "#);
    for hostless in ["https:erp.example.com", "http:/erp.example.com", "https:/h://x", "http://\\\\erp.example.com"] {
        let told = told(&[("https://erp.example.com", hostless)]);
        assert!(told.contains("is not an http or https address (write"), "{hostless}: {told}");
    }
}

#[test]
fn batches_and_answers_are_checked() {
    let edits = [
        ("\"json-array\"", "\"ndjson\""),
        ("status = \"/status\"", "status = \"status\""),
        ("\"500ms\", max = \"5m\"", "\"5m\", max = \"1s\""),
    ];
    insta::assert_snapshot!(told(&edits), @r#"
    gateway.toml:56:93: target[1].batch.wrap: goes with format = "json-array" only (remove it)
    gateway.toml:57:56: target[1].answers.status: "status" is not a JSON Pointer (write "/status")
    gateway.toml:64:31: target[1].retry.max: is 1s, less than first = 5m (write a max that is not below first)
    "#);
}

#[test]
fn a_transaction_type_has_one_lane_of_a_target() {
    insta::assert_snapshot!(told(&[("[\"scan.item\"]", "[\"scan.*\"]")]), @r#"
    gateway.toml:79:8: lane[2].take: "scan.*" and "scan.carton" of lane "outbound" both take the same types, such as "scan.carton" (take each transaction type in one lane of a target)
    "#);
    insta::assert_snapshot!(told(&[("[\"scan.item\"]", "[\"Scan Item\"]")]), @r#"
    gateway.toml:79:8: lane[2].take: "Scan Item" can't be a transaction type (write dotted lower-case words, `*` for any run of characters: "divert.*")
    "#);
}

#[test]
fn what_no_lane_takes_and_a_lane_that_takes_nothing_are_doubtful() {
    insta::assert_snapshot!(told(&[("[\"scan.item\"]", "[\"scan.pallet\"]")]), @"
    warning: gateway.toml:43:7: device[1].map: no lane takes scan.item (they are kept and not posted; a lane that is added later takes those that come from then on)
    warning: gateway.toml:79:8: lane[2].take: takes nothing that the gateway emits with these maps (there are: divert.confirmed, divert.missed, divert.recirculated, divert.unknown, scan.carton, scan.item, sequence_gap)
    ");
}

#[test]
fn an_unused_link_is_doubtful() {
    insta::assert_snapshot!(told_with("[[link]]\nid = \"b2\"\nkind = \"mqtt\"\naddress = \"localhost\"\n"), @r#"
    warning: gateway.toml:81:6: link[3].id: no device uses this link (remove it, or add its devices)
    "#);
}

#[test]
fn parts_to_come_are_not_in_this_version() {
    insta::assert_snapshot!(told_with("[control]\nlisten = \"127.0.0.1:8470\"\n"), @r#"
    gateway.toml:80:1: control: is not in this version (remove it: there is no HTTP API yet, and the control socket in data_dir needs no key)
    "#);
}

#[test]
fn what_a_system_allows_is_read_and_its_faults_are_told() {
    let with = |text: &str| told(&[("gzip = false", text)]);
    assert_eq!(with("rate = { per_minute = 90, burst = 5 }\nmax_concurrent = 3"), told(&[]));
    insta::assert_snapshot!(with("rate = { per_second = 2, per_minute = 3 }\nmax_concurrent = 0"), @r"
    gateway.toml:65:23: target[1].rate.per_second: stands beside per_minute (write one of them)
    gateway.toml:66:18: target[1].max_concurrent: is 0 (write at least 1 and at most 1024)
    ");
    insta::assert_snapshot!(with("rate = { burst = 2 }"), @"gateway.toml:65:8: target[1].rate.per_second: is missing (write how many requests the system takes: `per_second = 10` or `per_minute = 120`)");
}

#[test]
fn what_is_accepted_can_be_asked_for_where_there_is_a_lookup() {
    let asked = |text: &str| {
        let config = Site::new(&edited(&[("gzip = false", text)])).check().config.expect("no fault");
        config.targets[0].answers.lookup
    };
    assert_eq!(["gzip = false", "lookup = { url = \"https://erp.example.com/lookup\" }"].map(asked), [false, true]);
}

#[test]
fn the_data_directory_can_be_made() {
    for (dir, expected) in [
        ("plain", "gateway.toml:12:12: gateway.data_dir: plain is not a directory (name a directory)"),
        (
            "plain/data",
            "warning: gateway.toml:12:12: gateway.data_dir: plain/data can't be made: plain is a file \
             (make it, or name another: the outbox lives there)",
        ),
        ("not/yet", ""),
    ] {
        let site = Site::new(&edited(&[("/var/lib/floorgate", dir)]));
        site.file("plain", "", 0o644);
        let told = site.told().replace(&format!("{}", site.0.path().display()), "");
        assert_eq!(told, expected);
    }
}

/// Whatever is done to one key, the file is read or every fault points into it.
#[test]
fn every_mutation_of_the_shipped_file_is_valid_or_points_to_its_line() {
    let lines = SHIPPED.lines().count();
    let mut refused = 0;
    let mut cases = 0;
    for (i, line) in SHIPPED.lines().enumerate() {
        for changed in mutations(line) {
            let text: Vec<&str> = SHIPPED
                .lines()
                .enumerate()
                .filter_map(|(j, l)| if i == j { changed.as_deref() } else { Some(l) })
                .collect();
            let checked = Site::new(&text.join("\n")).check();
            cases += 1;
            let Err(faults) = checked.config else { continue };
            refused += 1;
            assert!(!faults.is_empty(), "line {} as {changed:?}: refused without a fault", i + 1);
            for fault in faults {
                let inside = fault.file.ends_with("gateway.toml") && (1..=lines).contains(&fault.line);
                assert!(inside && !fault.message.is_empty(), "line {} as {changed:?}: {fault}", i + 1);
            }
        }
    }
    assert!(cases > 250 && refused > 150, "{refused} of {cases} refused");
}

/// The line left out, its key misspelled, its value of another type, cut in half.
fn mutations(line: &str) -> Vec<Option<String>> {
    let code = line.split(" # ").next().unwrap_or_default().trim_end();
    if code.is_empty() || code.starts_with('#') {
        return Vec::new();
    }
    let mut made = vec![None, Some(code[..code.len() / 2].to_owned())];
    if let Some((key, value)) = code.split_once(" = ") {
        made.push(Some(format!("{key}x = {value}")));
        for other in
            ["true", "-1", "0", "99999999999", "\"\"", "\"x y\"", "[]", "[[1]]", "{}", "{ x = 1 }", "1.5", "1979-05-27"]
        {
            made.push(Some(format!("{key} = {other}")));
        }
    } else {
        made.push(Some(code.replace(']', "x]")));
        made.push(Some(code.replace("[[", "[").replace("]]", "]")));
    }
    made
}

const LANES: &str = r#"
[[link]]
id = "lanes-net"
kind = "modbus-tcp"
address = "10.20.0.31"
answer_time = "1ms"
[[device_set]]
for = { lane = { from = 1, to = 40 } }
except = [17]
id = "lane-{lane:02}"
link = "lanes-net"
unit = "= (lane - 1) / 8 + 1"
map = "divert-lane"
params = { lane = "= lane", coil_base = "= 100 + (lane - 1) % 8 * 4", reg_base = "= 1000 + (lane - 1) % 8 * 2" }
[[device_set.override]]
lane = 33
params = { full_delay = "8s", coil_base = 900 }
"#;

/// What the members of a set are.
fn members(checked: &Checked) -> Vec<(&str, u8)> {
    let config = checked.config.as_ref().unwrap_or_else(|faults| panic!("{faults:?}"));
    let link = config.modbus.iter().find(|link| &*link.link == "lanes-net").expect("the link of the set");
    link.devices.iter().map(|device| (&*device.id, device.unit)).collect()
}

#[test]
fn a_set_makes_a_device_of_each_value() {
    let site = Site::new(&format!("{SHIPPED}{LANES}"));
    let checked = site.check();
    let made = members(&checked);
    assert_eq!((made.len(), made[0], made[7], made[8]), (39, ("lane-01", 1), ("lane-08", 1), ("lane-09", 2)));
    assert!(made.iter().all(|(id, _)| *id != "lane-17"));
    assert_eq!(checked.devices.iter().filter(|device| device.set == Some(1)).count(), 39);
    let reads = |id: &str| {
        let link = checked.config.as_ref().ok()?.modbus.iter().find(|link| &*link.link == "lanes-net")?;
        let device = link.devices.iter().find(|device| &*device.id == id)?;
        let points = device.map.points.as_ref()?;
        points.polls().first()?.reads.iter().map(|read| read.at).min()
    };
    assert_eq!((reads("lane-02"), reads("lane-33")), (Some(104), Some(900)), "the template, and what it has instead");
}

#[test]
fn what_is_wrong_with_a_set_is_told_once_and_names_a_member() {
    let told = |edits: &[(&str, &str)]| {
        let text = edits.iter().fold(LANES.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from:?}");
            text.replace(from, to)
        });
        told_with(&text)
    };
    let cases: [&[(&str, &str)]; 22] = [
        &[("lanes-net\"\nunit", "lane-net\"\nunit")],
        &[("unit = \"= (lane", "unit = \"= (lain")],
        &[("lane-{lane:02}", "lane")],
        &[("(lane - 1) % 8 * 4", "lane / (lane - 5)")],
        &[("unit = ", "units = ")],
        &[("from = 1, to = 40", "from = 40, to = 1")],
        &[("{ from = 1, to = 40 }", "[1, 2, 2]")],
        &[("except = [17]", "except = [41]")],
        &[("lane = 33", "lane = 41")],
        &[("full_delay = \"8s\"", "full_delay = \"8\"")],
        &[("map = \"divert-lane\"", "map = \"divert-lne\"")],
        &[("for = { lane = { from = 1, to = 40 } }\n", "")],
        &[("{ lane = { from = 1, to = 40 } }", "40")],
        &[("{ from = 1, to = 40 }", "40")],
        &[("lane = \"= lane\", ", ""), ("from = 1, to = 40", "from = 1, to = 100")],
        &[("{lane:02}", "{lain:02}")],
        &[("device_set.override", "device_set.overide")],
        &[("[[device_set.override]]\nlane = 33\nparams = { full_delay = \"8s\", coil_base = 900 }", "override = 33")],
        &[("coil_base = 900", "coil_base = \"900a\"")],
        &[("full_delay = \"8s\"", "full_delay = 8")],
        &[("coil_base = \"= 100", "coil_bse = \"= 100")],
        &[("\nparams = { lane", "\nparm = { lane")],
    ];
    let here =
        |told: String| told.lines().filter(|line| !line.contains("no lane takes")).collect::<Vec<_>>().join("\n");
    let lines: Vec<String> = cases.iter().map(|edits| here(told(edits))).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    gateway.toml:90:8: device_set[1](lane = 1).link: there is no link "lane-net", and so it is with 38 other members (did you mean `lanes-net`?)
    gateway.toml:91:12: device_set[1](lane = 1).unit: there is no `lain`, and so it is with 38 other members (did you mean `lane`?)
    gateway.toml:89:6: device_set[1](lane = 2).id: "lane" is taken by device_set[1](lane = 1).id, and so it is with 37 other members (write {lane} in it, so that each member has its own: ids differ also when case is ignored)
    gateway.toml:93:55: device_set[1](lane = 5).params.coil_base: divides 5 by 0 (divide by another number)
    gateway.toml:91:1: device_set[1](lane = 1).units: unknown key, and so it is with 38 other members (did you mean `unit`?)
    gateway.toml:87:16: device_set[1].for.lane: goes from 40 to 1 (write the lower one first; at most 1000 members)
    gateway.toml:87:16: device_set[1].for.lane: has 3 values, 2 of them different (write for = { lane = { from = 1, to = 40 } }, or for = { lane = [1, 2, 5] })
    gateway.toml:88:10: device_set[1].except: 41 is none of the set's values (remove it, or widen `for`)
    gateway.toml:95:8: device_set[1].override[1].lane: 41 is none of the set's values (name one that `for` has)
    gateway.toml:96:25: device_set[1](lane = 33).params.full_delay: is 8 (write a duration with its unit, such as "500ms", "20s", "5m", "24h" or "30d": divert-lane@1 declares it so, built-in:devices/acme-photo-eyes/map.toml:17)
    gateway.toml:92:7: device_set[1](lane = 1).map: there is no map "divert-lne", and so it is with 38 other members (did you mean `divert-lane@1`? Your own maps stand in devices/<vendor>-<model>/map.toml)
    gateway.toml:86:1: device_set[1].for: is missing (add `for = …` here)
    gateway.toml:87:7: device_set[1].for: is no loop (write for = { lane = { from = 1, to = 40 } }, or for = { lane = [1, 2, 5] })
    gateway.toml:87:16: device_set[1].for.lane: is neither a range nor a list (write for = { lane = { from = 1, to = 40 } }, or for = { lane = [1, 2, 5] })
    gateway.toml:93:10: device_set[1](lane = 100).params: `lane` is 100 (write 1 to 99: divert-lane@1 declares it so, built-in:devices/acme-photo-eyes/map.toml:14)
    warning: gateway.toml:82:6: link[3].id: can't keep its periods: 26 polls take 143 % of the time if each answer takes 1ms; the largest is io of lane-33 and 7 others (4 requests each 20ms: 4.0 ms, and 2s if none is answered) (poll less often, read less, or share the units out among links; if they answer faster, write answer_time: floorgate status shows it)
    gateway.toml:89:6: device_set[1](lane = 1).id: "lane-{lain:02}" is not an id, and so it is with 38 other members (the name of this loop is `lane`: write {lane})
    gateway.toml:94:14: device_set[1](lane = 1).overide: unknown key, and so it is with 38 other members (did you mean `override`?)
    gateway.toml:94:12: device_set[1].override: is not a list of tables (write `[[device_set.override]]` above each)
    gateway.toml:96:43: device_set[1](lane = 33).params.coil_base: is "900a" (write a whole number: divert-lane@1 declares it so, built-in:devices/acme-photo-eyes/map.toml:15)
    gateway.toml:96:25: device_set[1](lane = 33).params.full_delay: is 8 (write a duration with its unit, such as "500ms", "20s", "5m", "24h" or "30d": divert-lane@1 declares it so, built-in:devices/acme-photo-eyes/map.toml:17)
    gateway.toml:93:40: device_set[1](lane = 1).params.coil_bse: is no parameter of divert-lane@1, and so it is with 38 other members (did you mean `coil_base`?)
    gateway.toml:93:1: device_set[1](lane = 1).parm: unknown key, and so it is with 38 other members (did you mean `params`?)
    gateway.toml:96:10: device_set[1](lane = 33).params: the map needs the parameter `reg_base` (write params = { reg_base = … })
    "#);
}

/// What somebody writes who has not read the reference.
#[test]
fn first_tries_are_told_what_to_write() {
    let cases: [&[(&str, &str)]; 16] = [
        &[("[[link]]\nid = \"sorter-net\"", "[link]\nid = \"sorter-net\"")],
        &[("[gateway]", "[site]")],
        &[
            ("[[link]]\nid = \"broker\"", "[[links]]\nid = \"broker\""),
            ("[[link]]\nid = \"sorter", "[[links]]\nid = \"sorter"),
        ],
        &[("kind = \"mqtt\"", "type = \"mqtt\"")],
        &[("address = \"10.20.0.21:502\"", "host = \"10.20.0.21\"")],
        &[("kind = \"modbus-tcp\"\naddress = \"10.20.0.21:502\"\nconnect_timeout = \"2s\"", "kind = \"modbus-rtu\"")],
        &[("unit = 1\n", "unit_id = 1\n")],
        &[("map = \"sorter@1\"", "map = \"acme-sorter\"")],
        &[("map = \"sorter@1\"", "map = \"devices/acme-sorter/map.toml\"")],
        &[("map = \"sorter@1\"", "map = \"conveyor\"")],
        &[("params = { topic_root = \"dc1/scan\" }", "params = \"dc1/scan\"")],
        &[("dc1/scan", "dc1/#")],
        &[("dc1/scan", "{station}")],
        &[("unit = 1\n", "unit = 1\nlimits = { max_words = 0 }\n")],
        &[("unit = 1\n", "unit = 1\nidentity_check = { vendor = \"ACME\", equals = \"x\" }\n")],
        &[("idempotency = \"key\"", "idempotency = true")],
    ];
    let lines: Vec<String> = cases.iter().map(|edits| told(edits)).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    gateway.toml:33:2: not TOML: duplicate key ([link] stands once; where there may be many, write [[link]])
    gateway.toml:10:2: not TOML: duplicate key ([site] stands once; where there may be many, write [[site]])
    gateway.toml:19:3: links: unknown key (did you mean `link`?)
    gateway.toml:19:1: link[1].kind: is missing (write kind = one of "mqtt", "modbus-tcp", "modbus-rtu", "modbus-rtu-over-tcp", "tcp", "serial")
    gateway.toml:33:1: link[2].address: is missing (write address = "host:502")
    gateway.toml:36:1: link[2].host: unknown key (known here: `address`, `after_timeout`, `answer_time`, `check_transaction_id`, `connect_timeout`, `id`, `idle_close`, `kind`, `max_in_flight`, `pause_after_connect`, `pause_between_requests`, `quarantine`, `reconnect`, `request_timeout`, `retries`, `serial`, `standby`)
    gateway.toml:33:1: link[2].serial: is missing (add `serial = { … }` here)
    gateway.toml:49:1: device[2].unit_id: unknown key (did you mean `unit`?)
    gateway.toml:50:7: device[2].map: there is no map "acme-sorter" (write "sorter@1": a map is named by what stands in it. Your own maps stand in devices/<vendor>-<model>/map.toml)
    gateway.toml:50:7: device[2].map: there is no map "devices/acme-sorter/map.toml" (write "sorter@1": a map is named by what stands in it. Your own maps stand in devices/<vendor>-<model>/map.toml)
    gateway.toml:50:7: device[2].map: there is no map "conveyor" (known here: `checkweigher@2`, `dimensioner@1`, `divert-lane@1`, `fc24-plc@1`, `fixed-scanner@1`, `gs1-scanner@1`, `hand-scanner@1`, `mailbox-plc@1`, `plain-scanner@1`, `serial-scanner@1`, `sorter@1`. Your own maps stand in devices/<vendor>-<model>/map.toml)
    gateway.toml:44:10: device[1].params: is the text "dc1/scan" (write a table: { key = value, … })
    gateway.toml:44:25: device[1].params.topic_root: makes the topics "dc1/#/+/read": that has levels after `#` (write whole levels, without + and #: "floor/scan")
    gateway.toml:44:25: device[1].params.topic_root: makes the topics "{station}/+/read": that has the level "{station}": `+`, `#` and a parameter stand for whole levels (write whole levels, without + and #: "floor/scan")
    gateway.toml:50:24: device[2].limits.max_words: is more than a request may have, or nothing (write 1 to 125)
    gateway.toml:50:18: device[2].identity_check.object: is missing (write object = "vendor_name" and the like)
    gateway.toml:50:20: device[2].identity_check.vendor: unknown key (known here: `equals`, `object`)
    gateway.toml:58:15: target[1].idempotency: is true (one of "key", "natural", "lookup", "none")
    "#);
}

/// Versions stand side by side; without one the only one is meant.
#[test]
fn maps_of_several_versions_are_told_apart() {
    let site = Site::new(&edited(&[("map = \"sorter@1\"", "map = \"sorter\"")]));
    let map = include_str!("../../devices/acme-sorter/map.toml");
    assert!(site.check().config.is_ok(), "one version: {}", site.told());
    site.file("devices/acme-sorter/map-2.toml", &map.replacen("version = 1", "version = 2", 1), 0o644);
    insta::assert_snapshot!(site.told(), @r#"gateway.toml:50:7: device[2].map: "sorter" has several versions (write one of sorter@1, sorter@2)"#);
    site.file("gateway.toml", &edited(&[("map = \"sorter@1\"", "map = \"sorter@2\"")]), 0o644);
    let checked = site.check();
    assert!(checked.devices.iter().any(|device| device.map == "sorter@2"), "{:?}", checked.devices);
}
