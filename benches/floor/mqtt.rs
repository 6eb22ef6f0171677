//! A bare rumqttc subscriber with manual acknowledgements behind mosquitto: what can be fed through a broker here.

use std::fs::read_to_string;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use tokio::runtime::Builder;

use crate::row::{Baseline, Meter, Row, cpu_of, scaled};

const MESSAGES: usize = 100_000;
const PAYLOAD: usize = 320;
/// Sent by the publisher and not yet acknowledged.
const WINDOW: u32 = 500;
const TOPIC: &[u8] = b"dc1/scan/pack-07/read";

pub(crate) fn measure(dir: &Path) -> anyhow::Result<Vec<Row>> {
    let broker = Broker::start(dir)?;
    let (rate, cpu) = subscribed(&broker)?;
    let broker_cpu = cpu_of(broker.child.id())? / f64::from(messages());
    let name = "bare rumqttc behind mosquitto, QoS 1, 320 bytes";
    let hint = "mosquitto, publisher and subscriber share the cores of this machine";
    Ok(vec![
        Row::rate(name, rate, "messages/s", Baseline::Reference(29_000.0)).hint(hint),
        Row::cost(format!("{name}, CPU"), cpu * 1e6, "us/message", Baseline::Reference(12.5)).hint(hint),
        Row::cost(format!("{name}, CPU of mosquitto"), broker_cpu * 1e6, "us/message", Baseline::None),
    ])
}

/// The bare subscriber alone: what the whole path is held against.
pub(crate) fn bare(dir: &Path) -> anyhow::Result<(f64, f64)> {
    subscribed(&Broker::start(dir)?)
}

/// Messages of this run.
fn messages() -> u32 {
    u32::try_from(scaled(MESSAGES)).unwrap_or(u32::MAX)
}

fn subscribed(broker: &Broker) -> anyhow::Result<(f64, f64)> {
    Builder::new_current_thread().enable_all().build()?.block_on(subscriber(broker.address))
}

/// Messages a second from the first to the last one, and the subscriber's CPU for one.
async fn subscriber(address: SocketAddr) -> anyhow::Result<(f64, f64)> {
    let mut options = MqttOptions::new("bench-subscriber", address.ip().to_string(), address.port());
    options.set_manual_acks(true).set_clean_session(false).set_keep_alive(Duration::from_secs(30));
    // Acknowledgements go through this queue. It holds them all: mosquitto 2.0.11 was seen to send 28,000 messages past
    // its window of 512 in some runs, and the bare client takes what comes.
    let (client, mut events) = AsyncClient::new(options, MESSAGES + 1);
    events.network_options.set_tcp_nodelay(true);
    client.subscribe("dc1/scan/+/read", QoS::AtLeastOnce).await?;
    let (mut received, mut first, mut publisher) = (0, None, None);
    while received < messages() {
        match events.poll().await? {
            Event::Incoming(Packet::SubAck(_)) => {
                publisher = Some(std::thread::spawn(move || publish(address)));
            }
            Event::Incoming(Packet::Publish(message)) => {
                if first.is_none() {
                    first = Some(Meter::start()?);
                }
                client.try_ack(&message)?;
                received += 1;
            }
            _ => {}
        }
    }
    let meter = first.context("no message came")?;
    let result = (f64::from(received) / meter.seconds(), meter.thread_cpu()? / f64::from(received));
    publisher.context("no SUBACK came")?.join().map_err(|_| anyhow::anyhow!("the publisher panicked"))??;
    Ok(result)
}

/// Publishes as fast as the broker acknowledges, in MQTT 3.1.1 by hand: no client library in the way.
fn publish(address: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05bench")?;
    let mut connack = [0; 4];
    stream.read_exact(&mut connack)?;
    ensure!(connack == [0x20, 2, 0, 0], "the broker refused the publisher: {connack:?}");
    let length = 2 + TOPIC.len() + 2 + PAYLOAD;
    let mut sent = 0;
    let mut acks = vec![0; 4 * WINDOW as usize];
    while sent < messages() {
        let group = WINDOW.min(messages() - sent);
        let mut out = Vec::with_capacity((length + 3) * group as usize);
        for n in 0..group {
            out.extend([0x32, (length & 0x7f) as u8 | 0x80, (length >> 7) as u8, 0, TOPIC.len() as u8]);
            out.extend(TOPIC);
            out.extend((n as u16 + 1).to_be_bytes());
            out.resize(out.len() + PAYLOAD, b'x');
        }
        stream.write_all(&out)?;
        stream.read_exact(&mut acks[..4 * group as usize])?;
        sent += group;
    }
    Ok(())
}

/// mosquitto with the shipped configuration, on a free port.
pub(crate) struct Broker {
    child: Child,
    pub address: SocketAddr,
}

impl Broker {
    pub(crate) fn start(dir: &Path) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/mosquitto.conf");
        // The window and the limits are what counts; where it listens, logs and saves is the bench's.
        let limits =
            read_to_string(shipped).unwrap_or_else(|_| "max_inflight_messages 512\nmax_queued_messages 0\n".into());
        let kept = limits.lines().filter(|line| line.starts_with("max_"));
        let config = dir.join("mosquitto.conf");
        let own = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nlog_type none\n",
            address.port()
        );
        std::fs::write(&config, kept.fold(own, |all, line| all + line + "\n"))?;
        let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto"];
        let program = program.iter().find(|p| Path::new(p).exists()).unwrap_or(&"mosquitto");
        let mut command = Command::new(program);
        command.arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().context("mosquitto does not start (apt-get install mosquitto)")?;
        let mut broker = Self { child, address };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            ensure!(begun.elapsed() < Duration::from_secs(10), "mosquitto does not listen");
            ensure!(broker.child.try_wait()?.is_none(), "mosquitto ended at its start");
            std::thread::yield_now();
        }
        Ok(broker)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("mosquitto did not end: {error}");
        }
    }
}
