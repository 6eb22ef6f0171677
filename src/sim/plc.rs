//! A sorter PLC with an event ring behind Modbus TCP, as the map `sorter@1` describes it.
//!
//! Holding registers, modicon addresses: 40001 mode, 40002 heartbeat, 40101 head, 40102 ack, 40103 epoch, 32 slots of 16
//! words from 40201. The PLC writes a slot while fewer than 32 are unacknowledged; what it sorts beyond that waits
//! inside it (bounded by the world's length). A write outside the ack register, or of a number that is not between
//! the old ack and the head, is refused with an exception.

use std::collections::VecDeque;
use std::future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};
use tokio_util::sync::CancellationToken;

use crate::sim::oracle::{Happening, Kind, Oracle};

const SLOTS: u16 = 32;
const WORDS: usize = 16;
const HEAD: usize = 100;
const ACK: usize = 101;
const EPOCH: usize = 102;
const FIRST_SLOT: usize = 200;
const REGISTERS: usize = FIRST_SLOT + SLOTS as usize * WORDS;
/// The spec's limit of one read.
const MAX_READ: u16 = 125;
const UNIT: u8 = 1;

/// What a divert came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Divert {
    /// The carton went down its chute.
    Confirmed = 1,
    /// It passed its chute.
    Missed = 2,
    /// It goes round again.
    Recirculated = 3,
    /// The photo eyes disagree.
    Unknown = 9,
}

#[derive(Debug)]
struct Sorted {
    number: u64,
    sscc: String,
    lane: u16,
    result: Divert,
    ms_since_boot: u32,
}

#[derive(Debug)]
struct State {
    registers: [u16; REGISTERS],
    /// Number of the last event made, of the last in the ring, of the last acknowledged: not cut to 16 bits.
    made: u64,
    head: u64,
    ack: u64,
    waiting: VecDeque<Sorted>,
    happened: u64,
    skipped: u64,
    last_asked: Option<Instant>,
}

/// The PLC.
#[derive(Debug)]
pub struct Plc {
    state: Mutex<State>,
    device: String,
    epoch: u16,
    boot: Instant,
    skip_every: Option<u64>,
    oracle: Arc<Oracle>,
}

impl Plc {
    /// A PLC known to the gateway as `device`, in its restart count `epoch`; with `skip_every` it forgets every so
    /// many'th event before it numbers it.
    pub fn new(device: &str, epoch: u16, skip_every: Option<u64>, oracle: Arc<Oracle>) -> Self {
        let mut registers = [0; REGISTERS];
        registers[0] = 1; // mode: auto
        registers[EPOCH] = epoch;
        let state = State {
            registers,
            made: 0,
            head: 0,
            ack: 0,
            waiting: VecDeque::new(),
            happened: 0,
            skipped: 0,
            last_asked: None,
        };
        Self { state: Mutex::new(state), device: device.to_owned(), epoch, boot: Instant::now(), skip_every, oracle }
    }

    /// Serves the Modbus master until `stop`.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let server = Server::new(listener);
        let on_connected = |stream: tokio::net::TcpStream, address| {
            let plc = Arc::clone(&self);
            async move {
                stream.set_nodelay(true)?;
                accept_tcp_connection(stream, address, move |_| Ok(Some(Registers(Arc::clone(&plc)))))
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            // Ends on an error of the listener alone: then the link stays down and the verdict says what is missing.
            _ = server.serve(&on_connected, |_| ()) => {}
        }
    }

    /// A carton passes the sorter.
    pub fn sort(&self, sscc: &str, lane: u16, result: Divert) {
        let mut state = self.lock();
        state.happened += 1;
        if self.skip_every.is_some_and(|n| state.happened.is_multiple_of(n)) {
            state.skipped += 1;
            let what = Happening { device: self.device.clone(), epoch: "never numbered".into(), seq: state.skipped };
            self.oracle.produced(Kind::Divert, &what, sscc);
            return;
        }
        state.made += 1;
        let number = state.made;
        self.oracle.produced(Kind::Divert, &self.happening(number), sscc);
        let ms_since_boot = self.boot.elapsed().as_millis() as u32;
        state.waiting.push_back(Sorted { number, sscc: sscc.to_owned(), lane, result, ms_since_boot });
        state.fill();
    }

    /// Events lost by sabotage.
    pub fn skipped(&self) -> u64 {
        self.lock().skipped
    }

    /// Whether a master has asked within the last second.
    pub fn asked(&self) -> bool {
        self.lock().last_asked.is_some_and(|at| at.elapsed() < Duration::from_secs(1))
    }

    fn happening(&self, number: u64) -> Happening {
        Happening { device: self.device.clone(), epoch: format!("d:{:04X}", self.epoch), seq: number }
    }

    fn answer(&self, request: &SlaveRequest<'_>) -> Result<Response, ExceptionCode> {
        if request.slave != UNIT {
            return Err(ExceptionCode::GatewayTargetDevice);
        }
        let mut state = self.lock();
        state.last_asked = Some(Instant::now());
        match request.request {
            Request::ReadHoldingRegisters(_, count) if count == 0 || count > MAX_READ => {
                Err(ExceptionCode::IllegalDataValue)
            }
            Request::ReadHoldingRegisters(at, count) => {
                state.registers[1] = self.boot.elapsed().as_secs() as u16; // heartbeat
                let at = usize::from(at);
                let words =
                    state.registers.get(at..at + usize::from(count)).ok_or(ExceptionCode::IllegalDataAddress)?;
                Ok(Response::ReadHoldingRegisters(words.to_vec()))
            }
            Request::WriteSingleRegister(at, value) if usize::from(at) == ACK => {
                let step = u64::from(value.wrapping_sub(state.ack as u16));
                if state.ack + step > state.head {
                    return Err(ExceptionCode::IllegalDataValue);
                }
                let newly = state.ack + 1..=state.ack + step;
                state.ack += step;
                state.registers[ACK] = value;
                state.fill();
                drop(state);
                newly.for_each(|number| self.oracle.acknowledged(&self.happening(number)));
                Ok(Response::WriteSingleRegister(at, value))
            }
            Request::WriteSingleRegister(..) => Err(ExceptionCode::IllegalDataAddress),
            _ => Err(ExceptionCode::IllegalFunction),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Moves what waits into free slots: the slot first, the head after it.
    fn fill(&mut self) {
        while self.head - self.ack < u64::from(SLOTS)
            && let Some(sorted) = self.waiting.pop_front()
        {
            let at = FIRST_SLOT + ((sorted.number - 1) % u64::from(SLOTS)) as usize * WORDS;
            self.registers[at..at + WORDS].copy_from_slice(&slot(&sorted));
            self.head = sorted.number;
            self.registers[HEAD] = self.head as u16;
        }
    }
}

/// 0 seq, 1-2 time CDAB, 3 lane, 4 result, 5-14 SSCC with the high byte first, 15 CRC-16/MODBUS of the words before.
fn slot(sorted: &Sorted) -> [u16; WORDS] {
    let mut words = [0; WORDS];
    words[0] = sorted.number as u16;
    words[1] = sorted.ms_since_boot as u16;
    words[2] = (sorted.ms_since_boot >> 16) as u16;
    words[3] = sorted.lane;
    words[4] = sorted.result as u16;
    for (word, pair) in words[5..15].iter_mut().zip(sorted.sscc.as_bytes().chunks(2)) {
        *word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
    }
    let bytes: Vec<u8> = words[..15].iter().flat_map(|w| w.to_be_bytes()).collect();
    words[15] = crc::Crc::<u16>::new(&crc::CRC_16_MODBUS).checksum(&bytes);
    words
}

struct Registers(Arc<Plc>);

impl Service for Registers {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = future::Ready<Result<Response, ExceptionCode>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        future::ready(self.0.answer(&request))
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;
    use tokio_modbus::client::{Context, Reader as _, Writer as _, tcp};
    use tokio_modbus::slave::Slave;

    use super::*;

    const SSCC: &str = "395212345000000125";

    async fn plc(skip_every: Option<u64>) -> (Arc<Plc>, Context, JoinSet<()>) {
        let plc = Arc::new(Plc::new("sorter-1", 3, skip_every, Arc::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&plc).serve(listener, CancellationToken::new()));
        (plc, tcp::connect_slave(address, Slave(UNIT)).await.unwrap(), tasks)
    }

    async fn head_ack_epoch(master: &mut Context) -> Vec<u16> {
        master.read_holding_registers(100, 3).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_slot_reads_as_the_map_says() {
        let (plc, mut master, _tasks) = plc(None).await;
        (1..=7).for_each(|lane| plc.sort(SSCC, lane, Divert::Missed));
        assert_eq!(head_ack_epoch(&mut master).await, [7, 0, 3]);
        let words = master.read_holding_registers(296, 16).await.unwrap().unwrap(); // 40297
        assert_eq!((words[0], words[3], words[4]), (7, 7, 2));
        let text: Vec<u8> = words[5..14].iter().flat_map(|w| w.to_be_bytes()).collect();
        assert_eq!(text, SSCC.as_bytes());
        assert_eq!(words[14], 0);
        let bytes: Vec<u8> = words[..15].iter().flat_map(|w| w.to_be_bytes()).collect();
        assert_eq!(words[15], crc::Crc::<u16>::new(&crc::CRC_16_MODBUS).checksum(&bytes));
    }

    #[tokio::test]
    async fn a_full_ring_waits_for_the_ack_register() {
        let (plc, mut master, _tasks) = plc(None).await;
        (0..40).for_each(|_| plc.sort(SSCC, 1, Divert::Confirmed));
        assert_eq!(head_ack_epoch(&mut master).await, [32, 0, 3]);
        master.write_single_register(101, 5).await.unwrap().unwrap();
        assert_eq!(head_ack_epoch(&mut master).await, [37, 5, 3]);
        let first = master.read_holding_registers(200, 1).await.unwrap().unwrap();
        assert_eq!(first, [33], "slot of 1 now holds 33");
        assert_eq!(plc.oracle.counts().acknowledged, 5);
        let beyond = master.write_single_register(101, 38).await.unwrap();
        assert_eq!(beyond, Err(ExceptionCode::IllegalDataValue));
        let elsewhere = master.write_single_register(100, 0).await.unwrap();
        assert_eq!(elsewhere, Err(ExceptionCode::IllegalDataAddress));
    }

    #[tokio::test]
    async fn the_count_wraps_at_16_bits() {
        let (plc, mut master, _tasks) = plc(None).await;
        for round in 0..2100u64 {
            (0..32).for_each(|_| plc.sort(SSCC, 1, Divert::Confirmed));
            let ack = (round * 32 + 32) as u16;
            master.write_single_register(101, ack).await.unwrap().unwrap();
        }
        assert_eq!(head_ack_epoch(&mut master).await[0], (2100u64 * 32) as u16);
        assert_eq!(plc.oracle.counts().acknowledged, 2100 * 32);
    }

    #[tokio::test]
    async fn sabotage_happens_without_a_number() {
        let (plc, mut master, _tasks) = plc(Some(3)).await;
        (0..7).for_each(|_| plc.sort(SSCC, 1, Divert::Confirmed));
        assert_eq!(head_ack_epoch(&mut master).await[0], 5);
        assert_eq!((plc.skipped(), plc.oracle.counts().produced), (2, 7));
    }
}
