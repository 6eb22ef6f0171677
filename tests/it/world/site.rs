//! The configuration of a test's gateway.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder with a configuration and a data directory.
pub(crate) struct Site {
    dir: Arc<tempfile::TempDir>,
    data: PathBuf,
    outbox: String,
    links: String,
    keep_alive: &'static str,
    target: String,
    target_keys: String,
    batch: u32,
    /// `[[target]]` and lanes as they stand in the file, where they are a test's own.
    delivery: Option<String>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temp folder");
        Self {
            data: dir.path().join("data"),
            dir: Arc::new(dir),
            outbox: "preset = \"fast\"".to_owned(),
            links: String::new(),
            keep_alive: "30s",
            target: String::new(),
            target_keys: String::new(),
            batch: 20,
            delivery: None,
        }
    }

    /// Keep alive of the broker that is named next.
    pub(crate) fn keep_alive(mut self, time: &'static str) -> Self {
        self.keep_alive = time;
        self
    }

    /// The broker behind `port`, in MQTT `version`, with its hand scanners.
    pub(crate) fn broker(self, port: u16, version: u8) -> Self {
        let devices = "[[device]]\nid = \"hand\"\nlink = \"broker\"\nmap = \"hand-scanner@1\"\n\
            params = { topic_root = \"dc1/scan\" }\n";
        self.broker_with(port, version, devices)
    }

    /// The same with other devices.
    pub(crate) fn broker_with(mut self, port: u16, version: u8, devices: &str) -> Self {
        write!(
            self.links,
            "[[link]]\nid = \"broker\"\nkind = \"mqtt\"\naddress = \"mqtt://127.0.0.1:{port}\"\nversion = {version}\n\
             client_id = \"floorgate-test\"\nreconnect = {{ min = \"100ms\", max = \"500ms\" }}\n\
             keep_alive = \"{}\"\n{devices}",
            self.keep_alive
        )
        .expect("writing to a String cannot fail");
        self
    }

    /// Links and devices as they stand in the file.
    pub(crate) fn links(mut self, text: &str) -> Self {
        self.links.push_str(text);
        self
    }

    /// Messages that the broker's link may have in flight.
    pub(crate) fn in_flight(mut self, messages: u16) -> Self {
        self.links = self.links.replace("client_id =", &format!("max_in_flight = {messages}\nclient_id ="));
        self
    }

    /// The sorter PLC behind `port`.
    pub(crate) fn plc(mut self, port: u16) -> Self {
        write!(
            self.links,
            "[[link]]\nid = \"sorter-net\"\nkind = \"modbus-tcp\"\naddress = \"127.0.0.1:{port}\"\n\
             reconnect = {{ min = \"100ms\", max = \"500ms\" }}\n\
             [[device]]\nid = \"sorter-1\"\nlink = \"sorter-net\"\nunit = 1\nmap = \"sorter@1\"\n"
        )
        .expect("writing to a String cannot fail");
        self
    }

    /// Where the ERP is, and lanes for all that the devices of the tests say.
    pub(crate) fn erp(mut self, url: &str) -> Self {
        url.clone_into(&mut self.target);
        self
    }

    /// `[[target]]` and `[[lane]]`s of the test's own.
    pub(crate) fn delivery(mut self, text: String) -> Self {
        self.delivery = Some(text);
        self
    }

    /// More lines of its target.
    pub(crate) fn target_keys(mut self, keys: &str) -> Self {
        keys.clone_into(&mut self.target_keys);
        self
    }

    /// Keys of `[outbox]`.
    pub(crate) fn outbox(mut self, keys: &str) -> Self {
        keys.clone_into(&mut self.outbox);
        self
    }

    /// Most events of a batch.
    pub(crate) fn batch(mut self, events: u32) -> Self {
        self.batch = events;
        self
    }

    /// Another place for the data.
    pub(crate) fn data_at(mut self, data: &Path) -> Self {
        data.clone_into(&mut self.data);
        self
    }

    /// A map of the site's own, beside its configuration.
    pub(crate) fn map(&self, folder: &str, text: &str) {
        let folder = self.dir().join("devices").join(folder);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("map.toml"), text).expect("a map");
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The folder lives as long as somebody holds it.
    pub(crate) fn hold(&self) -> Arc<tempfile::TempDir> {
        Arc::clone(&self.dir)
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Writes the configuration; its path.
    pub(crate) fn write(&self) -> PathBuf {
        let (data, outbox, links, url, batch) =
            (self.data.display(), &self.outbox, &self.links, &self.target, self.batch);
        let lane = |id: &str, take: &str| {
            format!("[[lane]]\nid = \"{id}\"\ntarget = \"erp\"\nclass = \"document\"\ntake = [{take}]\n")
        };
        let mut takes = Vec::new();
        let has = |map: &str| links.contains(map);
        if has("sorter@") {
            takes.push("\"divert.*\"");
        }
        if has("mailbox-plc@") {
            takes.push("\"weigh.*\"");
        }
        if has("checkweigher@") {
            takes.push("\"weight.*\"");
        }
        if has("fc24-plc@") {
            takes.push("\"wrap.*\"");
        }
        if has("lane@") {
            takes.push("\"lane.*\"");
        }
        if has("scanner@") {
            takes.push("\"scan.carton\"");
        }
        if has("dimensioner@") {
            takes.push("\"dimension.*\"");
        }
        let mut lanes = lane("outbound", &takes.join(", "));
        if has("scanner@") {
            lanes += &lane("inbound", "\"scan.item\"");
        }
        let usual = format!(
            "[[target]]\nid = \"erp\"\nkind = \"http\"\nurl = \"{url}\"\n\
             batch = {{ max_events = {batch}, max_size = \"512 KiB\", linger = \"20ms\", format = \"json-array\", \
             wrap = \"events\" }}\nidempotency = \"key\"\ndedup_horizon = \"24h\"\ntimeout = \"10s\"\n\
             answers = {{ items = \"/results\", key = \"/key\", status = \"/status\", reason = \"/reason\" }}\n\
             retry = {{ first = \"100ms\", max = \"500ms\" }}\n{}\n{lanes}",
            self.target_keys
        );
        let text = format!(
            "[site]\nid = \"dc1\"\ntimezone = \"Europe/Berlin\"\n[gateway]\nid = \"gw-test\"\ndata_dir = \"{data}\"\n\
             [outbox]\n{outbox}\n{links}{}",
            self.delivery.as_ref().unwrap_or(&usual)
        );
        let file = self.dir().join("gateway.toml");
        fs::write(&file, text).expect("the configuration can be written");
        file
    }
}

/// A valid SSCC of 18 digits with this running number.
pub(crate) fn sscc(number: u32) -> String {
    let body = format!("39521234{number:09}");
    let weigh = |(place, digit): (usize, u8)| u32::from(digit - b'0') * if place % 2 == 0 { 3 } else { 1 };
    let sum: u32 = body.bytes().rev().enumerate().map(weigh).sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}
