//! When a delivery that failed is tried again.

use rand_core::Rng;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// The wait after each failed attempt, milliseconds. After the last one a delivery is given up, a
/// little more than three days after the event.
const WAITS_MS: [i64; 9] = [
    5_000,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
];

/// How often a delivery is tried.
pub const MOST_ATTEMPTS: u32 = 10;

/// The longest wait that a receiver can ask for, milliseconds.
pub const LONGEST_WAIT_MS: i64 = 24 * HOUR;

/// The wait after attempt number `attempts`, with a tenth of jitter either way so that what failed
/// together does not come back together; `None` when that was the last attempt. A receiver that
/// asks for a longer wait gets it, within [`LONGEST_WAIT_MS`].
pub fn wait_ms(attempts: u32, asked_ms: Option<i64>, rng: &mut impl Rng) -> Option<i64> {
    let at = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let wait = *WAITS_MS.get(at)?;
    let tenth = wait / 10;
    let spread = u64::try_from(tenth * 2 + 1).unwrap_or(1);
    let jitter = i64::try_from(rng.next_u64() % spread).unwrap_or(0);
    Some((wait - tenth + jitter).max(asked_ms.unwrap_or(0).min(LONGEST_WAIT_MS)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    #[test]
    fn the_waits_are_those_of_the_schedule_give_or_take_a_tenth() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for (at, expected) in WAITS_MS.iter().enumerate() {
            let attempts = u32::try_from(at).expect("a few") + 1;
            for _ in 0..100 {
                let wait = wait_ms(attempts, None, &mut rng).expect("a wait");
                assert!((expected * 9 / 10..=expected * 11 / 10).contains(&wait), "{wait}");
            }
        }
        assert_eq!(wait_ms(MOST_ATTEMPTS, None, &mut rng), None);
        assert_eq!(wait_ms(0, None, &mut rng), None);
        assert_eq!(WAITS_MS.len() + 1, usize::try_from(MOST_ATTEMPTS).expect("a few"));
    }

    #[test]
    fn a_receiver_can_ask_for_a_longer_wait_within_a_day() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(wait_ms(1, Some(60_000), &mut rng), Some(60_000));
        assert!(wait_ms(2, Some(60_000), &mut rng).is_some_and(|wait| wait > 60_000));
        assert_eq!(wait_ms(1, Some(i64::MAX), &mut rng), Some(LONGEST_WAIT_MS));
        assert!(wait_ms(1, Some(-5), &mut rng).is_some_and(|wait| wait > 4_000));
    }
}
