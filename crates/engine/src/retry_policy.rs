//! When to look again at a refund whose outcome is not known.

use domain::outcome::ProviderOutcome;
use domain::provider::{AttentionAfter, Rules, Traits};
use rand_core::Rng;
use std::collections::BTreeMap;

/// Waits that double from `first_ms` to `most_ms`, each with a fifth of jitter either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub first_ms: i64,
    pub most_ms: i64,
}

impl Backoff {
    /// The wait before look number `checks`, counted from 0.
    pub fn wait_ms(self, checks: u32, rng: &mut impl Rng) -> i64 {
        let doubled = 1_i64.checked_shl(checks.min(40)).unwrap_or(i64::MAX);
        let wait = self.first_ms.saturating_mul(doubled).clamp(1, self.most_ms.max(1));
        let fifth = wait / 5;
        let spread = u64::try_from(fifth.saturating_mul(2)).unwrap_or(0).saturating_add(1);
        let jitter = i64::try_from(rng.next_u64() % spread).unwrap_or(0);
        wait - fifth + jitter
    }
}

/// When one provider is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// When nothing reached it, or it waits for the merchant's money.
    pub retry: Backoff,
    /// When its answer was lost.
    pub unknown: Backoff,
    /// When it has the refund and works on it.
    pub pending: Backoff,
    /// How long an unknown refund is looked for before a person must, milliseconds.
    pub give_up_after_ms: i64,
    /// How long a refund may stay in a state before a person is told.
    pub attention_after: AttentionAfter,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retry: Backoff { first_ms: 1_000, most_ms: 15 * 60_000 },
            unknown: Backoff { first_ms: 500, most_ms: 5 * 60_000 },
            pending: Backoff { first_ms: 2_000, most_ms: 60 * 60_000 },
            give_up_after_ms: 7 * 24 * 60 * 60_000,
            attention_after: AttentionAfter::default(),
        }
    }
}

/// The policy of each provider.
#[derive(Clone, Debug, Default)]
pub struct RetryPolicies {
    /// For providers that are not named.
    pub default: RetryPolicy,
    pub by_provider: BTreeMap<String, RetryPolicy>,
}

impl RetryPolicies {
    /// The policy of `provider`.
    pub fn of(&self, provider: &str) -> RetryPolicy {
        self.by_provider.get(provider).copied().unwrap_or(self.default)
    }
}

impl RetryPolicy {
    /// The waits after an outcome.
    pub(crate) fn after(&self, outcome: ProviderOutcome) -> Backoff {
        match outcome {
            ProviderOutcome::NeverSent
            | ProviderOutcome::WaitingForFunds
            | ProviderOutcome::NotDone => self.retry,
            ProviderOutcome::Unknown
            | ProviderOutcome::InProgress
            | ProviderOutcome::Spent
            | ProviderOutcome::Impossible
            | ProviderOutcome::Absent => self.unknown,
            ProviderOutcome::Accepted
            | ProviderOutcome::ActionRequired
            | ProviderOutcome::Held
            | ProviderOutcome::Twin
            | ProviderOutcome::Completed
            | ProviderOutcome::Failed
            | ProviderOutcome::Canceled => self.pending,
        }
    }

    /// The rules for refunds at a provider.
    pub(crate) const fn rules(&self, traits: Traits) -> Rules {
        Rules {
            traits,
            give_up_after_ms: self.give_up_after_ms,
            attention_after: self.attention_after,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn waits_double_up_to_the_limit_with_a_fifth_of_jitter() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let backoff = Backoff { first_ms: 1_000, most_ms: 60_000 };
        for (checks, expected) in [(0, 1_000), (1, 2_000), (5, 32_000), (6, 60_000), (400, 60_000)]
        {
            for _ in 0..100 {
                let wait = backoff.wait_ms(checks, &mut rng);
                assert!((expected * 4 / 5..=expected * 6 / 5).contains(&wait), "{checks}: {wait}");
            }
        }
    }
}
