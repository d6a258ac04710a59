//! Rate limits per account and mode, and per client for requests without a key.
//!
//! A request counts for an account only once its key is authenticated, so that others cannot use up
//! the account's share. Memory is bounded: full buckets are dropped, and beyond a number clients
//! share the buckets of their networks.

use domain::tenant::Tenant;
use governor::RateLimiter;
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::keyed::DashMapStateStore;
use http::{HeaderMap, HeaderName};
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// The configured limits. A bucket holds the requests of one span and refills evenly.
#[derive(Clone, Debug)]
pub struct RateLimits {
    /// Requests that read, per second, account and mode.
    pub reads_per_second: NonZeroU32,
    /// Requests that write, per second, account and mode.
    pub writes_per_second: NonZeroU32,
    /// Exports, per minute, account and mode.
    pub heavy_per_minute: NonZeroU32,
    /// Requests that need no key, per second and client.
    pub public_per_second: NonZeroU32,
    /// Requests with a wrong key, per minute and client.
    pub failures_per_minute: NonZeroU32,
    /// The header in which a proxy names the client. Without it, the client is the peer of the
    /// connection.
    pub client_header: Option<HeaderName>,
}

/// The peer of a request's connection. The server adds it to every request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// The share of an account that an operation counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Read,
    Write,
    Heavy,
}

/// The state of a bucket after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests in a full bucket.
    pub limit: u32,
    /// Requests left.
    pub remaining: u32,
    /// Time until the bucket is full again.
    pub full_in: Duration,
    /// Set when the bucket is empty: time until the next request is allowed.
    pub retry_in: Option<Duration>,
}

/// Every bucket.
pub struct Limits<C: Clock = MonotonicClock> {
    reads: Buckets<Tenant, C>,
    writes: Buckets<Tenant, C>,
    heavy: Buckets<Tenant, C>,
    public: Buckets<Client, C>,
    failures: Buckets<Client, C>,
    client_header: Option<HeaderName>,
}

impl<C: Clock + Clone> Limits<C> {
    pub fn new(limits: &RateLimits, clock: &C) -> Self {
        let second = governor::Quota::per_second;
        let minute = governor::Quota::per_minute;
        Self {
            reads: Buckets::new(second(limits.reads_per_second), clock),
            writes: Buckets::new(second(limits.writes_per_second), clock),
            heavy: Buckets::new(minute(limits.heavy_per_minute), clock),
            public: Buckets::new(second(limits.public_per_second), clock),
            failures: Buckets::new(minute(limits.failures_per_minute), clock),
            client_header: limits.client_header.clone(),
        }
    }

    /// Takes one request out of an account's share.
    pub fn account(&self, tenant: Tenant, class: Class) -> Quota {
        let buckets = match class {
            Class::Read => &self.reads,
            Class::Write => &self.writes,
            Class::Heavy => &self.heavy,
        };
        buckets.take(&tenant)
    }

    /// Takes one request without a key out of a client's share.
    pub fn public(&self, client: IpAddr) -> Quota {
        self.public.take(&Client::of(client, self.public.crowded()))
    }

    /// Takes one failed authentication out of a client's share.
    pub fn failure(&self, client: IpAddr) -> Quota {
        self.failures.take(&Client::of(client, self.failures.crowded()))
    }

    /// The client that sent a request; the proxy's header wins where one is configured.
    pub fn client(&self, headers: &HeaderMap, peer: Option<Peer>) -> Option<IpAddr> {
        let said = self.client_header.as_ref().and_then(|name| {
            // Proxies append to the header, so only the last entry is from our own proxy.
            let line = headers.get_all(name).iter().next_back()?.to_str().ok()?;
            line.rsplit(',').next()?.trim().parse().ok()
        });
        said.or(peer.map(|peer| peer.0))
    }
}

/// Clients remembered one by one; beyond that, they share the bucket of their network.
const MOST_CLIENTS: usize = 50_000;

/// A client as it is counted: an IPv4 address, or a /64 of IPv6, which is the least that one
/// household has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    V4([u8; 4]),
    V6([u8; 8]),
    Network(bool, [u8; 2]),
}

impl Client {
    fn of(address: IpAddr, crowded: bool) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let octets = address.octets();
                if crowded { Self::Network(false, first(&octets)) } else { Self::V4(octets) }
            }
            IpAddr::V6(address) => {
                let octets = address.octets();
                if crowded { Self::Network(true, first(&octets)) } else { Self::V6(first(&octets)) }
            }
        }
    }
}

/// The start of an address.
fn first<const N: usize>(octets: &[u8]) -> [u8; N] {
    octets.first_chunk().copied().unwrap_or([0; N])
}

type Limiter<K, C> = RateLimiter<K, DashMapStateStore<K>, C, StateInformationMiddleware>;

/// Fewest requests between two sweeps. The interval grows with the number of buckets, so that the
/// cost per request stays constant.
const SWEEP_AFTER: usize = 1_024;

struct Buckets<K: Hash + Eq + Clone, C: Clock> {
    limiter: Limiter<K, C>,
    clock: C,
    quota: governor::Quota,
    until_sweep: AtomicUsize,
    crowded: AtomicBool,
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Buckets<K, C> {
    fn new(quota: governor::Quota, clock: &C) -> Self {
        let limiter = RateLimiter::dashmap_with_clock(quota, clock.clone())
            .with_middleware::<StateInformationMiddleware>();
        Self {
            limiter,
            clock: clock.clone(),
            quota,
            until_sweep: AtomicUsize::new(SWEEP_AFTER),
            crowded: AtomicBool::new(false),
        }
    }

    fn crowded(&self) -> bool {
        self.crowded.load(Ordering::Relaxed)
    }

    fn take(&self, key: &K) -> Quota {
        if self.until_sweep.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.sweep();
        }
        match self.limiter.check_key(key) {
            Ok(state) => self.quota(&state, None),
            Err(refused) => {
                let wait = refused.wait_time_from(self.clock.now());
                Quota {
                    limit: self.quota.burst_size().get(),
                    remaining: 0,
                    full_in: self.time_for(self.quota.burst_size().get()),
                    retry_in: Some(wait),
                }
            }
        }
    }

    fn quota(&self, state: &StateSnapshot, retry_in: Option<Duration>) -> Quota {
        let (limit, remaining) = (self.quota.burst_size().get(), state.remaining_burst_capacity());
        let full_in = self.time_for(limit.saturating_sub(remaining));
        Quota { limit, remaining, full_in, retry_in }
    }

    /// Time in which a bucket gains this many requests.
    fn time_for(&self, requests: u32) -> Duration {
        self.quota.replenish_interval().saturating_mul(requests)
    }

    /// Drops full buckets; a new key starts with a full bucket anyway.
    fn sweep(&self) {
        self.limiter.retain_recent();
        let left = self.limiter.len();
        self.crowded.store(left > MOST_CLIENTS, Ordering::Relaxed);
        self.until_sweep.store(SWEEP_AFTER.max(left), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::tenant::Mode;
    use governor::clock::FakeRelativeClock;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn limits(clock: &FakeRelativeClock) -> Limits<FakeRelativeClock> {
        let number = |n| NonZeroU32::new(n).expect("not zero");
        let limits = RateLimits {
            reads_per_second: number(10),
            writes_per_second: number(2),
            heavy_per_minute: number(5),
            public_per_second: number(3),
            failures_per_minute: number(2),
            client_header: Some(HeaderName::from_static("x-forwarded-for")),
        };
        Limits::new(&limits, clock)
    }

    fn v4(last: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + last))
    }

    #[test]
    fn a_bucket_empties_says_when_and_fills_again() {
        let clock = FakeRelativeClock::default();
        let limits = limits(&clock);
        let tenant = Tenant::new(1, Mode::Test);
        let take = || limits.account(tenant, Class::Write);
        let first = take();
        assert_eq!((first.limit, first.remaining, first.retry_in), (2, 1, None));
        assert_eq!(first.full_in, Duration::from_millis(500));
        assert_eq!(take().remaining, 0);
        let refused = take();
        assert_eq!((refused.limit, refused.remaining), (2, 0));
        let wait = refused.retry_in.expect("it is empty");
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(500), "{wait:?}");
        clock.advance(wait);
        assert_eq!(take().retry_in, None);
        assert!(take().retry_in.is_some());
    }

    #[test]
    fn accounts_modes_and_classes_have_shares_of_their_own() {
        let clock = FakeRelativeClock::default();
        let limits = limits(&clock);
        let tenant = Tenant::new(1, Mode::Test);
        while limits.account(tenant, Class::Write).retry_in.is_none() {}
        for (tenant, class) in [
            (Tenant::new(1, Mode::Live), Class::Write),
            (Tenant::new(2, Mode::Test), Class::Write),
            (tenant, Class::Read),
            (tenant, Class::Heavy),
        ] {
            assert_eq!(limits.account(tenant, class).retry_in, None, "{tenant:?} {class:?}");
        }
        for _ in 0..4 {
            assert_eq!(limits.account(tenant, Class::Heavy).retry_in, None);
        }
        let wait = limits.account(tenant, Class::Heavy).retry_in.expect("five a minute");
        assert!(wait > Duration::from_secs(11) && wait <= Duration::from_secs(12), "{wait:?}");
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_a_64_of_ipv6() {
        let clock = FakeRelativeClock::default();
        let limits = limits(&clock);
        while limits.public(v4(1)).retry_in.is_none() {}
        assert_eq!(limits.public(v4(2)).retry_in, None);
        let mapped = IpAddr::V6(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
        assert!(limits.public(mapped).retry_in.is_some(), "the same client in other clothes");
        let v6 = |net, host| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, net, 0, 0, 0, host));
        while limits.public(v6(1, 1)).retry_in.is_none() {}
        assert!(limits.public(v6(1, 2)).retry_in.is_some());
        assert_eq!(limits.public(v6(2, 1)).retry_in, None);
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let clock = FakeRelativeClock::default();
        let limits = limits(&clock);
        for n in 0..200_000 {
            limits.failure(v4(n));
        }
        let kept = limits.failures.limiter.len();
        assert!(kept <= 2 * MOST_CLIENTS + SWEEP_AFTER, "{kept} buckets");
        assert!(limits.failures.crowded());
        clock.advance(Duration::from_hours(1));
        for _ in 0..=kept.max(SWEEP_AFTER) {
            limits.failure(v4(1));
        }
        assert!(limits.failures.limiter.len() < 10);
        assert!(!limits.failures.crowded());
    }

    #[test]
    fn only_the_last_word_of_the_proxy_counts() {
        let limits = limits(&FakeRelativeClock::default());
        let peer = Some(Peer(v4(9)));
        let mut headers = HeaderMap::new();
        assert_eq!(limits.client(&headers, peer), Some(v4(9)));
        assert_eq!(limits.client(&headers, None), None);
        headers.append("x-forwarded-for", http::HeaderValue::from_static("10.0.0.7"));
        headers.append("x-forwarded-for", http::HeaderValue::from_static("1.1.1.1, 10.0.0.5"));
        assert_eq!(limits.client(&headers, peer), Some(v4(5)));
        headers.append("x-forwarded-for", http::HeaderValue::from_static("unknown"));
        assert_eq!(limits.client(&headers, peer), Some(v4(9)));
    }
}
