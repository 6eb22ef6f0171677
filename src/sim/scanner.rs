//! Hand scanners that publish over MQTT 3.1.1, QoS 1, and wait for each PUBACK: they never lose a scan.
//!
//! Mostly cartons, each new; now and then the same carton once more, truly scanned twice; now and then an item whose
//! code comes again and again, so that order by subject has something to hold.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, NetworkOptions, Packet, QoS};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::sim::labels;
use crate::sim::oracle::{Happening, Kind, Oracle};

/// The scanner's boot id, and the epoch that the gateway makes of it.
const BOOT: &str = "b1";
const EPOCH: &str = "d:b1";
/// Codes of items at one station.
const ITEMS: u64 = 40;

/// One hand scanner.
#[derive(Debug)]
pub struct Scanner {
    /// The station it belongs to: 1, 2, 3 …
    pub station: u64,
    /// Port of the broker on this machine.
    pub broker: u16,
    /// Topics are `{root}/{station}/read`.
    pub root: String,
    /// The gateway's device id: that of this scanner is `{device}-s{station}`.
    pub device: String,
    /// Time from scan to scan.
    pub every: Duration,
    /// Where scans are told.
    pub oracle: Arc<Oracle>,
    /// What is scanned is chosen by this seed.
    pub seed: u64,
}

impl Scanner {
    /// Scans until `stop`; a scan in hand is brought to its PUBACK.
    pub async fn run(self, stop: CancellationToken) {
        let mut options = MqttOptions::new(format!("scanner-{}", self.station), "127.0.0.1", self.broker);
        options.set_keep_alive(Duration::from_mins(1));
        let (client, mut events) = AsyncClient::new(options, 10);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        events.set_network_options(network);
        let mut random = fastrand::Rng::with_seed(self.seed ^ self.station);
        let mut tick = tokio::time::interval(self.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut cartons = 0;
        for seq in 1.. {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            let (barcode, subject) = self.scan(&mut random, &mut cartons);
            let payload = serde_json::json!({
                "barcode": barcode, "ts": jiff::Timestamp::now().to_string(), "boot": BOOT, "seq": seq,
            });
            self.oracle.produced(Kind::Scan, &happening(&self.device, &format!("s{}", self.station), seq), &subject);
            let topic = format!("{}/s{}/read", self.root, self.station);
            // The one other end of this channel is `events`, which lives as long as this function.
            drop(client.publish(topic, QoS::AtLeastOnce, false, payload.to_string()).await);
            acknowledged(&mut events).await;
        }
    }

    /// The next barcode, and the subject that it is about.
    fn scan(&self, random: &mut fastrand::Rng, cartons: &mut u64) -> (String, String) {
        match random.u32(0..100) {
            0..5 => {
                let code = labels::item(self.station, random.u64(0..ITEMS));
                (code.clone(), code)
            }
            kind => {
                let again = kind < 10 && *cartons > 0;
                if !again {
                    *cartons += 1;
                }
                let back = if again { random.u64(0..(*cartons).min(8)) } else { 0 };
                let sscc = labels::packed(self.station, *cartons - back);
                (format!("00{sscc}"), sscc)
            }
        }
    }
}

async fn acknowledged(events: &mut EventLoop) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::PubAck(_))) => return,
            Ok(_) => {}
            // The client connects anew with the next poll and publishes again what has no PUBACK.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

fn happening(device: &str, station: &str, seq: u64) -> Happening {
    Happening { device: format!("{device}-{station}"), epoch: EPOCH.into(), seq }
}

/// The happening that a message tells of, for who sees its PUBACK.
pub fn told_by(device: &str, topic: &str, payload: &[u8]) -> Option<Happening> {
    #[derive(serde::Deserialize)]
    struct Payload {
        seq: u64,
    }
    let station = topic.rsplit('/').nth(1)?;
    let payload: Payload = serde_json::from_slice(payload).ok()?;
    Some(happening(device, station, payload.seq))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_tells_its_happening() {
        let told = told_by("pack", "dc1/scan/s3/read", br#"{"barcode":"x","boot":"b1","seq":9}"#);
        assert_eq!(told, Some(happening("pack", "s3", 9)));
        assert_eq!(told_by("pack", "read", b"{}"), None);
    }

    #[test]
    fn the_same_carton_is_scanned_twice_now_and_then() {
        let scanner = Scanner {
            station: 1,
            broker: 0,
            root: String::new(),
            device: String::new(),
            every: Duration::ZERO,
            oracle: Arc::default(),
            seed: 1,
        };
        let (mut random, mut cartons) = (fastrand::Rng::with_seed(1), 0);
        let mut subjects: Vec<String> = (0..1000).map(|_| scanner.scan(&mut random, &mut cartons).1).collect();
        subjects.sort();
        subjects.dedup();
        assert!((900..980).contains(&subjects.len()), "{} subjects of 1000 scans", subjects.len());
    }
}
