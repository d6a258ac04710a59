//! Clocks, stopwatches, rng and percentiles. The one place of the benchmark that asks what time it
//! is.

use domain::time::{Clock, Timestamp};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The system's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that the engine is given")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Time that has passed.
#[derive(Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to measure.
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Microseconds since the start.
    pub fn micros(self) -> u32 {
        u32::try_from(self.elapsed().as_micros()).unwrap_or(u32::MAX)
    }
}

/// Lets time pass.
#[expect(clippy::disallowed_methods, reason = "a benchmark watches other processes")]
pub fn sleep_blocking(duration: Duration) {
    std::thread::sleep(duration);
}

/// Lets time pass on the runtime.
#[expect(clippy::disallowed_methods, reason = "a benchmark runs for a given time")]
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// A whole number as a real one; exact up to 2^53.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "figures are far below 2^53"
)]
pub fn to_f64(number: u64) -> f64 {
    number as f64
}

/// Cheap random numbers that are the same in every run (splitmix64).
#[derive(Clone)]
pub struct SplitMix(u64);

impl SplitMix {
    /// SplitMix that fall as `seed` decides.
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

    /// A number below `limit`.
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

/// How long things took.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_field_names, reason = "a name that holds a measure ends in its unit")]
pub struct Latencies {
    /// Half took at most this long, milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 took at most this long, milliseconds.
    pub p99_ms: f64,
    /// The longest, milliseconds.
    pub max_ms: f64,
}

impl Latencies {
    /// Sorts out `micros`.
    pub fn of(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        let at = |hundredths: usize| {
            let index = (micros.len() * hundredths / 100).min(micros.len().saturating_sub(1));
            micros.get(index).map_or(0.0, |us| f64::from(*us) / 1000.0)
        };
        Self { p50_ms: at(50), p99_ms: at(99), max_ms: at(100) }
    }
}

/// The middle one. 0 when there is none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
