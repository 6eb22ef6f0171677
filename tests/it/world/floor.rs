//! A whole floor: broker, scanners and PLC on one side, the ERP on the other, the gateway between them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Broker, Database, Erp, Gateway, Plc, Proxy, Scanner, Settings, Site, mosquitto, python, sscc, wait_for};
use crate::oracle::{Judgement, Produced, judge};

const STATIONS: [&str; 4] = ["A", "B", "C", "D"];
/// Few codes for many scans: the same carton truly passes several times.
const CODES: u32 = 40;
const BETWEEN_SCANS: Duration = Duration::from_millis(4);

/// The scanners' own count.
#[derive(Default)]
pub(crate) struct Scans {
    /// Boot id and sequence as a scanner would count them.
    counts: [u64; STATIONS.len()],
    number: u32,
    /// Bytes that each message has beside its scan.
    pad: usize,
}

/// One scan: topic, payload and what the oracle calls it.
pub(crate) struct Scan {
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) produced: Produced,
}

impl Scans {
    /// The next scan: cartons mostly, now and then an item.
    pub(crate) fn next(&mut self) -> Scan {
        self.number += 1;
        let at = (self.number * 7) as usize % STATIONS.len();
        let code = if self.number.is_multiple_of(5) {
            format!("ITEM-{}", self.number % CODES)
        } else {
            sscc(self.number * 13 % CODES)
        };
        self.scan(at, &code)
    }

    /// A scan of `code` at the station of this index.
    pub(crate) fn scan(&mut self, station: usize, code: &str) -> Scan {
        self.counts[station] += 1;
        let (name, seq) = (STATIONS[station], self.counts[station]);
        Scan {
            topic: format!("dc1/scan/{name}/read"),
            payload: format!(
                r#"{{"barcode":"{code}","ts":"2026-03-03T10:00:00Z","boot":"b1","seq":{seq},"pad":"{:0>1$}"}}"#,
                seq, self.pad
            ),
            produced: Produced { id: format!("hand-{name}/d:b1/{seq}"), line: format!("mqtt {code}") },
        }
    }
}

/// The id in a hand scanner's message as it went over the wire: `None` for other messages.
fn id_in(topic_and_payload: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(topic_and_payload);
    let station = text.split("dc1/scan/").nth(1)?.split('/').next()?.to_owned();
    let seq: String = text.split("\"seq\":").nth(1)?.chars().take_while(char::is_ascii_digit).collect();
    Some(format!("hand-{station}/d:b1/{seq}"))
}

/// The floor.
pub(crate) struct Floor {
    pub(crate) gateway: Gateway,
    pub(crate) broker: Broker,
    pub(crate) proxy: Proxy,
    pub(crate) plc: Plc,
    pub(crate) erp: Erp,
    pub(crate) site: Site,
    produced: Arc<Mutex<Vec<Produced>>>,
    scans: Arc<Mutex<Scans>>,
    publishing: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Floor {
    /// Everything started, the gateway subscribed; `None`, told as SKIPPED, where a peer is missing.
    pub(crate) fn start(version: u8, settings: Settings, site: impl FnOnce(Site) -> Site) -> Option<Self> {
        let (mosquitto, python) = (mosquitto()?, python()?);
        let broker = Broker::start(&mosquitto, settings);
        let proxy = Proxy::start(broker.port);
        let plc = Plc::start(&python, &[]);
        let erp = Erp::start();
        let site = site(Site::new().broker(proxy.port, version).plc(plc.port).erp(&erp.url()));
        let gateway = Gateway::start(&site);
        proxy.wait_subscribed(0);
        Some(Self {
            gateway,
            broker,
            proxy,
            plc,
            erp,
            site,
            produced: Arc::default(),
            scans: Arc::default(),
            publishing: None,
        })
    }

    /// Publishes `count` scans, and waits until the broker has them.
    pub(crate) fn scan(&mut self, count: usize) {
        let mut scanner = Scanner::connect(self.broker.port, "bench-scanner");
        for _ in 0..count {
            publish(&mut scanner, &self.scans, &self.produced);
        }
        scanner.flush();
    }

    /// From now on scanners send so many bytes more with each scan.
    pub(crate) fn large_scans(&self, pad: usize) {
        self.scans.lock().expect("nobody panics with the scans in hand").pad = pad;
    }

    /// Scanners and PLC work by themselves from now on, until [`Floor::quiet`].
    pub(crate) fn work(&mut self) {
        let going = Arc::new(AtomicBool::new(true));
        let (flag, scans, produced) = (Arc::clone(&going), Arc::clone(&self.scans), Arc::clone(&self.produced));
        let mut scanner = Scanner::connect(self.broker.port, "working-scanner");
        let thread = std::thread::spawn(move || {
            while flag.load(Ordering::SeqCst) {
                publish(&mut scanner, &scans, &produced);
                std::thread::sleep(BETWEEN_SCANS);
            }
            scanner.flush();
        });
        self.publishing = Some((going, thread));
        self.plc.tell("rate 40");
    }

    /// No more scans and diverts; what was made is with the broker and in the PLC.
    pub(crate) fn quiet(&mut self) {
        self.plc.tell("rate 0");
        if let Some((going, thread)) = self.publishing.take() {
            going.store(false, Ordering::SeqCst);
            thread.join().expect("the scanners do not panic");
        }
    }

    /// All that was produced on the floor, in order for each line.
    pub(crate) fn produced(&mut self) -> Vec<Produced> {
        let mut all = self.produced.lock().expect("nobody panics with the list in hand").clone();
        all.extend(self.plc.list("produced"));
        all
    }

    /// Waits until all that was produced has its effect and is settled, and judges.
    #[track_caller]
    pub(crate) fn judge(&mut self) -> Judgement {
        let produced = self.produced();
        let wanted: HashSet<&str> = produced.iter().map(|p| p.id.as_str()).collect();
        let complete = |erp: &Erp| {
            erp.count() >= produced.len() && {
                let ids: HashSet<String> = erp.ids().into_iter().collect();
                wanted.iter().all(|id| ids.contains(*id))
            }
        };
        // What is lost never comes: the wait is bounded by the time without any progress.
        let (mut count, mut idle) = (0, 0);
        while !complete(&self.erp) && idle < 3_000 {
            idle = if self.erp.count() > count { 0 } else { idle + 1 };
            count = self.erp.count();
            std::thread::sleep(Duration::from_millis(5));
        }
        let data = self.site.data().to_owned();
        wait_for("the outbox to settle everything", || Database::read(&data).pending.is_empty());
        judge(&produced, &self.erp.ids())
    }

    /// Messages that the gateway had committed when it died and whose PUBACK the broker never got.
    pub(crate) fn committed_without_puback(&self, database: &Database) -> usize {
        let open = self.proxy.open();
        open.iter().filter_map(|message| id_in(message)).filter(|id| database.events.contains(id)).count()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        if let Some((going, _)) = &self.publishing {
            going.store(false, Ordering::SeqCst);
        }
    }
}

fn publish(scanner: &mut Scanner, scans: &Mutex<Scans>, produced: &Mutex<Vec<Produced>>) {
    let scan = scans.lock().expect("nobody panics with the scans in hand").next();
    scanner.publish(&scan.topic, scan.payload.as_bytes());
    produced.lock().expect("nobody panics with the list in hand").push(scan.produced);
}
