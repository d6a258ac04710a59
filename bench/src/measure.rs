//! Clocks, stopwatches, random numbers and percentiles. No other module of the benchmark reads a
//! clock.

use domain::time::{Clock, Timestamp};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Reads the clock of the system.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that the engine is given")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Measures elapsed time.
#[derive(Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Microseconds since the start.
    pub fn micros(self) -> u32 {
        u32::try_from(self.elapsed().as_micros()).unwrap_or(u32::MAX)
    }
}

/// Blocks this thread for `duration`.
#[expect(clippy::disallowed_methods, reason = "a benchmark watches other processes")]
pub fn sleep_blocking(duration: Duration) {
    std::thread::sleep(duration);
}

/// Suspends this task for `duration`.
#[expect(clippy::disallowed_methods, reason = "a benchmark runs for a given time")]
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Converts a whole number to a float. The conversion is exact up to 2^53.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "figures are far below 2^53"
)]
pub fn to_f64(number: u64) -> f64 {
    number as f64
}

/// A cheap random number generator (splitmix64). The same seed gives the same numbers.
#[derive(Clone)]
pub struct SplitMix(u64);

impl SplitMix {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A random number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % limit).unwrap_or(0)
    }

    /// 16 random bytes.
    pub fn bytes(&mut self) -> [u8; 16] {
        let both = (u128::from(self.next()) << 64) | u128::from(self.next());
        both.to_be_bytes()
    }
}

/// Percentiles of measured times.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_field_names, reason = "a name that holds a measure ends in its unit")]
pub struct Latencies {
    /// Half of all took at most this long, in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 took at most this long, in milliseconds.
    pub p99_ms: f64,
    /// The longest, in milliseconds.
    pub max_ms: f64,
}

impl Latencies {
    /// Computes the percentiles of `micros`, in microseconds.
    pub fn of(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        let at = |hundredths: usize| {
            let index = (micros.len() * hundredths / 100).min(micros.len().saturating_sub(1));
            micros.get(index).map_or(0.0, |us| f64::from(*us) / 1000.0)
        };
        Self { p50_ms: at(50), p99_ms: at(99), max_ms: at(100) }
    }
}

/// The median. 0 when `values` is empty.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
