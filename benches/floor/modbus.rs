//! Bare tokio-modbus: 125 holding registers a read, one request at a time on each connection.

use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio_modbus::client::{Reader as _, tcp};
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};
use tokio_modbus::{ExceptionCode, Request, Response};

use crate::row::{Baseline, Meter, Row, Times, cpu_of, run};

const REGISTERS: u16 = 125;

/// Connections; what the reference reached: reads a second, p99 in ms.
const STEPS: [(usize, f64, f64); 3] = [(1, 13_000.0, 0.18), (4, 122_000.0, 0.15), (32, 150_000.0, 0.37)];

pub(crate) fn measure(_: &Path) -> anyhow::Result<Vec<Row>> {
    const HINT: &str = "server and client share the cores of this machine";
    let address = serve()?;
    let mut rows = Vec::new();
    for (connections, rate, p99) in STEPS {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let before = cpu_of(std::process::id())?;
        let (reads, mut times, cpu) = runtime.block_on(read(address, connections))?;
        let both = cpu_of(std::process::id())? - before;
        let name = format!("bare tokio-modbus, {REGISTERS} registers, {connections} connections");
        rows.push(Row::rate(&name, reads / run().as_secs_f64(), "reads/s", Baseline::Reference(rate)).hint(HINT));
        rows.push(Row::cost(format!("{name}, p99"), times.ms(0.99), "ms", Baseline::Reference(p99)).hint(HINT));
        rows.push(Row::cost(format!("{name}, CPU"), cpu / reads * 1e6, "us/read", Baseline::None));
        rows.push(Row::cost(format!("{name}, CPU with server"), both / reads * 1e6, "us/read", Baseline::None));
    }
    Ok(rows)
}

async fn read(address: SocketAddr, connections: usize) -> anyhow::Result<(f64, Times, f64)> {
    let mut tasks = JoinSet::new();
    let meter = Meter::start()?;
    for _ in 0..connections {
        tasks.spawn(async move {
            let mut plc = tcp::connect(address).await?;
            let (begun, mut times, mut n) = (Instant::now(), Times::default(), 0.0);
            while begun.elapsed() < run() {
                let asked = Instant::now();
                let words = plc.read_holding_registers(0, REGISTERS).await??;
                anyhow::ensure!(words.len() == usize::from(REGISTERS), "a short answer");
                times.add(asked);
                n += 1.0;
            }
            Ok::<_, anyhow::Error>((n, times))
        });
    }
    let (mut reads, mut times) = (0.0, Times::default());
    while let Some(task) = tasks.join_next().await {
        let (n, some) = task??;
        reads += n;
        times.merge(some);
    }
    Ok((reads, times, meter.thread_cpu()?))
}

#[derive(Clone)]
struct Plc;

impl Service for Plc {
    type Request = Request<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Response, ExceptionCode>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        ready(match request {
            Request::ReadHoldingRegisters(_, n) => Ok(Response::ReadHoldingRegisters(vec![0x1234; n.into()])),
            _ => Err(ExceptionCode::IllegalFunction),
        })
    }
}

/// A PLC on its own thread.
fn serve() -> anyhow::Result<SocketAddr> {
    let (started, address) = sync_channel(1);
    std::thread::Builder::new().name("plc".into()).spawn(move || -> anyhow::Result<()> {
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            started.send(listener.local_addr()?)?;
            let connected = async |stream, from| accept_tcp_connection(stream, from, |_| Ok(Some(Plc)));
            Server::new(listener).serve(&connected, drop).await?;
            Ok(())
        })
    })?;
    Ok(address.recv()?)
}
