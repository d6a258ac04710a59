//! Providers of every kind that the rules tell apart.

use domain::provider::{
    AmountUnit, Amounts, AttentionAfter, Funds, Idempotency, KeyForm, LookupBy, OutcomeBy, Pace,
    Partials, PerPayment, Rules, Times, Traits, TraitsByName, WebhookTrust,
};

pub const MINUTE_MS: i64 = 60_000;
pub const HOUR_MS: i64 = 60 * MINUTE_MS;

/// A provider that keeps keys for ever and can be asked in every way.
pub const SIMULATOR: Traits = Traits {
    idempotency: Idempotency::Key { kept_ms: None, replays_errors: false },
    funds: Funds::Refuses,
    outcome: OutcomeBy::Answer,
    lookup: LookupBy {
        id: true,
        our_key: true,
        list: true,
        lag_ms: 0,
        proves_absence_after_ms: None,
    },
    webhook: WebhookTrust::Signed,
    times: Times::Ordered { resolution_ms: 1 },
    partials: Partials::Any,
    per_payment: PerPayment::Parallel,
    pace: Pace { per_second: 1_000, burst: 1_000, at_once: 256 },
    key: KeyForm { longest: 255, characters: "0-9 A-Z a-z _" },
    amounts: Amounts { unit: AmountUnit::Minor, exponents: &[] },
    window_ms: None,
};

const NO_LOOKUP: LookupBy =
    LookupBy { id: false, our_key: false, list: false, lag_ms: 0, proves_absence_after_ms: None };

/// Keys are kept for an hour, the list shows a refund after five minutes.
pub const HOUR: Traits = Traits {
    idempotency: Idempotency::Key { kept_ms: Some(HOUR_MS), replays_errors: false },
    lookup: LookupBy {
        list: true,
        lag_ms: MINUTE_MS,
        proves_absence_after_ms: Some(5 * MINUTE_MS),
        ..NO_LOOKUP
    },
    ..SIMULATOR
};

/// Keys are kept for a day, and so are refusals. Refunds are found by key and by id.
pub const DAY: Traits = Traits {
    idempotency: Idempotency::Key { kept_ms: Some(24 * HOUR_MS), replays_errors: true },
    lookup: LookupBy {
        id: true,
        our_key: true,
        proves_absence_after_ms: Some(HOUR_MS),
        ..NO_LOOKUP
    },
    ..SIMULATOR
};

/// A second call makes a second refund. The list shows a refund after ten minutes.
pub const KEYLESS: Traits = Traits {
    idempotency: Idempotency::None,
    lookup: LookupBy {
        list: true,
        lag_ms: MINUTE_MS,
        proves_absence_after_ms: Some(10 * MINUTE_MS),
        ..NO_LOOKUP
    },
    times: Times::None,
    ..SIMULATOR
};

/// Keeps no keys, cannot be asked and takes whole refunds only; webhooks bring the outcome.
pub const BLIND: Traits = Traits {
    idempotency: Idempotency::None,
    outcome: OutcomeBy::Webhook { overdue_after_ms: 3 * HOUR_MS },
    lookup: NO_LOOKUP,
    partials: Partials::WholeOnly,
    ..SIMULATOR
};

/// A second call is refused with the id of the first refund. Refunds are found by their id.
pub const TWIN: Traits = Traits {
    idempotency: Idempotency::Twin { kept_ms: Some(HOUR_MS) },
    lookup: LookupBy { id: true, ..NO_LOOKUP },
    times: Times::None,
    ..SIMULATOR
};

/// Payments that were taken by hand.
pub const BY_HAND: Traits = Traits { outcome: OutcomeBy::Person, lookup: NO_LOOKUP, ..SIMULATOR };

pub fn traits_by_name() -> TraitsByName {
    [
        ("simulator", SIMULATOR),
        ("hour", HOUR),
        ("day", DAY),
        ("keyless", KEYLESS),
        ("blind", BLIND),
        ("twin", TWIN),
        ("by_hand", BY_HAND),
    ]
    .into()
}

/// The rules for a provider, with the patience of an operator who never changed it.
pub fn rules(traits: Traits) -> Rules {
    Rules { traits, give_up_after_ms: 7 * 24 * HOUR_MS, attention_after: AttentionAfter::default() }
}
