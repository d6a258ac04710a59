//! Starts servers as child processes, watches them and stops them.

use crate::measure::{Stopwatch, sleep_blocking, to_f64};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const TIME_LIMIT: Duration = Duration::from_secs(30);

pub struct Server {
    child: Child,
    log: PathBuf,
    pub address: SocketAddr,
    /// Time from the start of the process to its first answer.
    pub first_answer: Duration,
}

/// A free port on this machine.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Server {
    /// Starts `command`, which listens on `address`, and waits for the first answer.
    pub fn start(mut command: Command, address: SocketAddr, log: &Path) -> Result<Self> {
        let output = File::create(log).with_context(|| format!("{}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let stopwatch = Stopwatch::start();
        let child = command.spawn().with_context(|| format!("{command:?} cannot be started"))?;
        let log = log.to_owned();
        let mut server = Self { child, log, address, first_answer: Duration::ZERO };
        loop {
            if matches!(get(address, "/health", ""), Ok((200, _))) {
                server.first_answer = stopwatch.elapsed();
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                bail!("{command:?} ended with {status}:\n{}", server.log());
            }
            if stopwatch.elapsed() > TIME_LIMIT {
                bail!("{command:?} does not answer:\n{}", server.log());
            }
            sleep_blocking(Duration::from_millis(1));
        }
    }

    /// Output of the process.
    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Resident memory of the process now and at its peak, in MB.
    pub fn memory_mb(&self) -> Result<(f64, f64)> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).context(path)?;
        let field = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let word = line.and_then(|line| line.split_whitespace().next());
            let kib: u64 = word.with_context(|| format!("no {name}"))?.parse()?;
            Ok(to_f64(kib) * 1024.0 / 1e6)
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// Sends SIGTERM and waits for the end of the process.
    pub fn stop(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().context("kill")?;
        let stopwatch = Stopwatch::start();
        while self.child.try_wait()?.is_none() {
            if stopwatch.elapsed() > TIME_LIMIT * 2 {
                bail!("the server does not stop:\n{}", self.log());
            }
            sleep_blocking(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `stop`, the process has already ended and both calls fail, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a GET on a new connection. Returns status and body.
pub fn get(address: SocketAddr, target: &str, bearer: &str) -> Result<(u16, String)> {
    exchange(address, &format!("GET {target}"), bearer, "")
}

/// Sends a POST of JSON on a new connection. Returns status and body.
pub fn post(address: SocketAddr, target: &str, bearer: &str, json: &str) -> Result<(u16, String)> {
    let rest = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", json.len());
    exchange(address, &format!("POST {target}"), bearer, &format!("{rest}\r\n{json}"))
}

/// `rest` follows the headers that every request has and includes the empty line.
fn exchange(address: SocketAddr, ask: &str, bearer: &str, rest: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    let rest = if rest.is_empty() { "\r\n" } else { rest };
    let request = format!(
        "{ask} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {bearer}\r\n\
         Connection: close\r\n{rest}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok((status, body.to_owned()))
}

/// Processor time since boot, in clock ticks.
#[derive(Clone, Copy)]
pub struct CpuTicks {
    machine: u64,
    ours: u64,
}

impl CpuTicks {
    /// Reads the time of all processes, and that of this process and its ended children.
    pub fn now() -> Result<Self> {
        let stat = std::fs::read_to_string("/proc/stat")?;
        let words = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
        // User, nice and system time. Time spent in interrupts belongs to no process.
        let machine = words.take(3).map(|word| word.parse::<u64>().unwrap_or(0)).sum();
        Ok(Self { machine, ours: our_ticks()? })
    }

    /// Processors that other programs used since `earlier`, `elapsed` ago. 1 means one whole
    /// processor.
    pub fn others_since(self, earlier: Self, elapsed: Duration) -> f64 {
        const PER_SECOND: f64 = 100.0;
        let machine = self.machine.saturating_sub(earlier.machine);
        let ours = self.ours.saturating_sub(earlier.ours);
        to_f64(machine.saturating_sub(ours)) / PER_SECOND / elapsed.as_secs_f64()
    }
}

fn our_ticks() -> Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The process name in parentheses may contain spaces. User and system time are the 12th and
    // 13th words after it, those of children the next two.
    let after = stat.rsplit(')').next().unwrap_or_default();
    let words = after.split_whitespace().skip(11).take(4);
    Ok(words.map(|word| word.parse::<u64>().unwrap_or(0)).sum())
}
