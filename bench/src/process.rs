//! Servers as child processes: started, watched, stopped.

use crate::measure::{Stopwatch, sleep_blocking, to_f64};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const TIME_LIMIT: Duration = Duration::from_secs(30);

/// A server that runs.
pub struct Server {
    child: Child,
    log: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
    /// From its start to its first answer.
    pub first_answer: Duration,
}

/// A free port of this machine.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Server {
    /// Starts `command`, which will listen on `address`, and waits for its first answer.
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

    /// What it printed.
    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its resident memory now and at its highest, MB.
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

    /// Stops it in good order and waits until it is gone.
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
        // After `stop` there is nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A GET on a connection of its own: status and body.
pub fn get(address: SocketAddr, target: &str, bearer: &str) -> Result<(u16, String)> {
    exchange(address, &format!("GET {target}"), bearer, "")
}

/// A POST of JSON on a connection of its own: status and body.
pub fn post(address: SocketAddr, target: &str, bearer: &str, json: &str) -> Result<(u16, String)> {
    let rest = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", json.len());
    exchange(address, &format!("POST {target}"), bearer, &format!("{rest}\r\n{json}"))
}

/// `rest` is what follows the headers that every request has, an empty line included.
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

/// Processor time spent so far, in clock ticks.
#[derive(Clone, Copy)]
pub struct CpuTicks {
    machine: u64,
    ours: u64,
}

impl CpuTicks {
    /// What everybody has used, and what this process and its children that ended have.
    pub fn now() -> Result<Self> {
        let stat = std::fs::read_to_string("/proc/stat")?;
        let words = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
        // User, nice and system; interrupts belong to nobody.
        let machine = words.take(3).map(|word| word.parse::<u64>().unwrap_or(0)).sum();
        Ok(Self { machine, ours: our_ticks()? })
    }

    /// The processors that others used since `earlier`, `elapsed` ago: 1 is one of them all the time.
    pub fn others_since(self, earlier: Self, elapsed: Duration) -> f64 {
        const PER_SECOND: f64 = 100.0;
        let machine = self.machine.saturating_sub(earlier.machine);
        let ours = self.ours.saturating_sub(earlier.ours);
        to_f64(machine.saturating_sub(ours)) / PER_SECOND / elapsed.as_secs_f64()
    }
}

fn our_ticks() -> Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th word after
    // it, those of children follow.
    let after = stat.rsplit(')').next().unwrap_or_default();
    let words = after.split_whitespace().skip(11).take(4);
    Ok(words.map(|word| word.parse::<u64>().unwrap_or(0)).sum())
}
