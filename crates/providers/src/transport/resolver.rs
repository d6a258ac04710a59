//! Addresses of names.
//!
//! The system's resolver blocks a thread, for many seconds when a name server does not answer. The
//! threads here belong to one [`SystemResolver`] alone, are few, and run one lookup per name at a
//! time. So a slow name server delays lookups of this resolver and nothing else, and one name
//! occupies at most one thread however often it is asked for.

use async_trait::async_trait;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// Lookups that run at the same time.
const THREADS: usize = 16;

/// Names that are looked up or wait for a thread.
const NAMES: usize = 512;

/// Longest wait for one lookup, its wait for a thread included. The system asks a name server a
/// second time after 5 seconds, so one lost packet does not fail a lookup.
const LONGEST: Duration = Duration::from_secs(6);

#[async_trait]
pub trait Resolver: Send + Sync {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// Resolves with the system's resolver, on threads of its own.
pub struct SystemResolver {
    lookups: Arc<Lookups>,
    /// Only its blocking threads are used. `None` while it is dropped.
    threads: Option<Runtime>,
}

type Lookup = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;
type Found = Result<Vec<IpAddr>, (io::ErrorKind, String)>;

struct Lookups {
    lookup: Box<Lookup>,
    /// The result of each lookup that waits or runs, as soon as there is one.
    running: Mutex<HashMap<Box<str>, watch::Receiver<Option<Found>>>>,
}

impl SystemResolver {
    pub fn new() -> io::Result<Self> {
        Self::with(|host| Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
    }

    fn with(
        lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let threads = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(THREADS)
            .thread_name("dns")
            .build()?;
        let lookups = Lookups { lookup: Box::new(lookup), running: Mutex::default() };
        Ok(Self { lookups: Arc::new(lookups), threads: Some(threads) })
    }

    /// Joins the lookup of this name that runs, or starts one.
    fn lookup(&self, host: &str) -> io::Result<watch::Receiver<Option<Found>>> {
        let mut running = self.lookups.running.lock().unwrap_or_else(PoisonError::into_inner);
        // A lookup that ended without a result has dropped its sender.
        if let Some(found) = running.get(host).filter(|found| found.has_changed().is_ok()) {
            return Ok(found.clone());
        }
        let threads = self.threads.as_ref().filter(|_| running.len() < NAMES);
        let threads = threads.ok_or_else(|| io::Error::other("too many names are looked up"))?;
        let (tell, found) = watch::channel(None);
        let name: Box<str> = host.into();
        running.insert(name.clone(), found.clone());
        let lookups = self.lookups.clone();
        threads.spawn_blocking(move || lookups.run(&name, &tell));
        Ok(found)
    }
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut lookup = self.lookup(host)?;
        let found = tokio::time::timeout(LONGEST, lookup.wait_for(Option::is_some)).await?;
        match found.ok().and_then(|found| found.clone()) {
            Some(Ok(addresses)) => Ok(addresses),
            Some(Err((kind, text))) => Err(io::Error::new(kind, text)),
            None => Err(io::Error::other("the lookup was given up")),
        }
    }
}

impl Lookups {
    fn run(&self, name: &str, tell: &watch::Sender<Option<Found>>) {
        if self.give_up(name, tell) {
            return;
        }
        let found = (self.lookup)(name).map_err(|error| (error.kind(), error.to_string()));
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        tell.send_replace(Some(found));
    }

    /// Drops a lookup for which nobody waits any more. Under the lock, so that nobody joins it
    /// meanwhile.
    fn give_up(&self, name: &str, tell: &watch::Sender<Option<Found>>) -> bool {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // The map holds one receiver.
        let unwanted = tell.receiver_count() <= 1;
        if unwanted {
            running.remove(name);
        }
        unwanted
    }
}

impl Drop for SystemResolver {
    /// Does not wait for lookups that still run; a runtime that is simply dropped would.
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    /// Lookups that stop until the sender is dropped, and how many have begun.
    fn stuck() -> (SystemResolver, Arc<AtomicUsize>, mpsc::Sender<()>) {
        let (gate, closed) = mpsc::channel::<()>();
        let closed = Mutex::new(closed);
        let begun = Arc::new(AtomicUsize::new(0));
        let count = begun.clone();
        let resolver = SystemResolver::with(move |host| {
            count.fetch_add(1, Ordering::SeqCst);
            if host != "quick.example" {
                let _ = closed.lock().unwrap_or_else(PoisonError::into_inner).recv();
            }
            Ok(vec![Ipv4Addr::LOCALHOST.into()])
        });
        (resolver.expect("threads"), begun, gate)
    }

    async fn within_limit<T>(work: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(20), work).await.expect("in time")
    }

    #[tokio::test]
    async fn the_system_knows_this_machine_and_no_invalid_name() {
        let resolver = SystemResolver::new().expect("threads");
        let found = resolver.resolve("localhost").await.expect("addresses");
        assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
        assert!(resolver.resolve("refundry.invalid").await.is_err());
        assert!(resolver.resolve("").await.is_err());
    }

    #[tokio::test]
    async fn a_name_takes_one_thread_however_often_it_is_asked_for() {
        let (resolver, begun, gate) = stuck();
        let asked = (0..THREADS * 4).map(|_| resolver.resolve("slow.example"));
        let mut asked: Vec<_> = asked.collect();
        for asked in &mut asked {
            assert!(poll_once(asked).is_none());
        }
        let quick = within_limit(resolver.resolve("quick.example")).await;
        assert_eq!(quick.expect("an address"), [IpAddr::from(Ipv4Addr::LOCALHOST)]);
        drop(gate);
        for asked in asked {
            within_limit(asked).await.expect("an address");
        }
        assert_eq!(begun.load(Ordering::SeqCst), 2);
        assert!(resolver.lookups.running.lock().expect("a lock").is_empty());
    }

    #[tokio::test]
    async fn lookups_are_bounded_and_those_nobody_waits_for_are_skipped() {
        let (resolver, begun, gate) = stuck();
        let mut asked = Vec::new();
        for number in 0..NAMES {
            let name: &'static str = format!("name{number}.example").leak();
            let mut lookup = resolver.resolve(name);
            assert!(poll_once(&mut lookup).is_none());
            asked.push(lookup);
        }
        let refused = resolver.resolve("one-more.example").await;
        assert_eq!(refused.expect_err("refused").to_string(), "too many names are looked up");
        within_limit(async {
            while begun.load(Ordering::SeqCst) < THREADS {
                tokio::task::yield_now().await;
            }
        })
        .await;
        drop(asked);
        drop(gate);
        within_limit(async {
            while !resolver.lookups.running.lock().expect("a lock").is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(begun.load(Ordering::SeqCst), THREADS, "the others were skipped");
        within_limit(resolver.resolve("quick.example")).await.expect("an address");
    }

    #[test]
    fn a_slow_name_server_leaves_the_threads_of_its_caller_alone() {
        let mut caller = tokio::runtime::Builder::new_current_thread();
        let caller = caller.enable_all().max_blocking_threads(1).build().expect("a runtime");
        caller.block_on(async {
            let (resolver, begun, gate) = stuck();
            let mut asked: Vec<_> =
                ["a", "b", "c"].into_iter().map(|name| resolver.resolve(name)).collect();
            for asked in &mut asked {
                assert!(poll_once(asked).is_none());
            }
            let read = tokio::task::spawn_blocking(|| "a row");
            assert_eq!(within_limit(read).await.expect("a thread"), "a row");
            drop(gate);
            for asked in asked {
                within_limit(asked).await.expect("an address");
            }
            assert_eq!(begun.load(Ordering::SeqCst), 3);
        });
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_ends_in_time_though_its_thread_does_not() {
        let (resolver, _, gate) = stuck();
        let lookup = resolver.resolve("slow.example");
        let late = tokio::time::timeout(Duration::from_secs(10), lookup).await;
        let late = late.expect("in time").expect_err("too late");
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        drop(gate);
    }

    fn poll_once<T>(work: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(work).poll(&mut context) {
            std::task::Poll::Ready(done) => Some(done),
            std::task::Poll::Pending => None,
        }
    }
}
