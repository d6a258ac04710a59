//! The facts about a provider, as data. The rules about sending a refund again, about looking for it and about
//! believing an answer follow from these facts; `provider_words` tells both to people.

use crate::money::{Currency, Money};
use crate::payment::Capture;
use crate::refund::State;
use crate::time::Timestamp;
use std::collections::BTreeMap;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// The smallest and the largest part of the time a key is kept in which it is no longer relied on.
const MARGIN_MS: (i64, i64) = (10 * MINUTE_MS, 24 * HOUR_MS);

/// The facts about a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits {
    pub idempotency: Idempotency,
    pub funds: Funds,
    pub outcome: OutcomeBy,
    pub lookup: LookupBy,
    pub webhook: WebhookTrust,
    pub times: Times,
    pub partials: Partials,
    pub per_payment: PerPayment,
    pub pace: Pace,
    pub key: KeyForm,
    pub amounts: Amounts,
    /// How long after the capture a refund is possible, milliseconds, where there is one limit.
    pub window_ms: Option<i64>,
}

/// The traits of the providers of a node, by name.
pub type TraitsByName = BTreeMap<&'static str, Traits>;

/// The effect of a second call under the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// It makes a second refund.
    None,
    /// It returns the result of the first one for `kept_ms` after the first call, for ever when `None`.
    Key {
        kept_ms: Option<i64>,
        /// A refusal or a fault is returned again, too.
        replays_errors: bool,
    },
    /// It is refused with the id of the first one.
    Twin { kept_ms: Option<i64> },
}

/// The fate of a refund that the merchant's balance does not cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Funds {
    /// The provider holds the refund and makes it later.
    Holds,
    /// The provider refuses the refund, and it must be sent again.
    Refuses,
}

/// How the outcome of a refund becomes known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeBy {
    /// By the answer to the call.
    Answer,
    /// By asking.
    Poll,
    /// By a person: nobody can be asked, and nothing is sent anywhere.
    Person,
    /// By a webhook alone. Without one after `overdue_after_ms` a person must look.
    Webhook { overdue_after_ms: i64 },
}

/// How a refund can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupBy {
    /// By the provider's refund id.
    pub id: bool,
    /// By our key.
    pub our_key: bool,
    /// In the list of the payment's refunds.
    pub list: bool,
    /// How long a booked refund may stay invisible, milliseconds.
    pub lag_ms: i64,
    /// How long after the last call a complete look without the refund proves that there is none,
    /// milliseconds. `None` where it never does.
    pub proves_absence_after_ms: Option<i64>,
}

/// How far a webhook is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookTrust {
    /// The signature covers everything it says.
    Signed,
    /// The signature covers a part; the rest is asked for.
    SignedHint,
    /// Nothing is signed; everything is asked for.
    Hint,
    /// The provider sends none.
    None,
}

/// Whether the provider says when a refund reached its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    None,
    /// To the unit of `resolution_ms`.
    Ordered {
        resolution_ms: i64,
    },
}

/// Which parts of a payment can be refunded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partials {
    Any,
    WholeOnly,
    /// In so many refunds at most.
    AtMost(u16),
}

/// Whether refunds of one payment may be under way side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerPayment {
    Parallel,
    /// One after another, `gap_ms` apart.
    OneAtATime {
        gap_ms: i64,
    },
}

/// How fast one credential may call. A zero counts as one: calls are stopped by pausing the provider
/// account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    pub per_second: u32,
    pub burst: u32,
    /// Calls under way at the same time.
    pub at_once: u32,
}

/// The keys that the provider takes. They are made from the refund's id and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyForm {
    pub longest: u16,
    /// The characters it takes, for people.
    pub characters: &'static str,
}

/// How amounts are written, and where the provider's digits differ from ISO 4217.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amounts {
    pub unit: AmountUnit,
    /// Digits behind the decimal point by currency code, where they are not those of ISO 4217.
    pub exponents: &'static [(&'static str, u32)],
}

/// The unit of amounts on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmountUnit {
    /// A whole number of the smallest unit.
    Minor,
    /// A decimal text of the main unit.
    DecimalText,
    /// A JSON number of the main unit.
    DecimalNumber,
}

/// Why a provider can never make a refund: a stable word, and a sentence for people.
pub type Unable = (&'static str, String);

impl Traits {
    /// The traits of a provider of which nothing is known: it keeps nothing and cannot be asked.
    pub const UNKNOWN: Self = Self {
        idempotency: Idempotency::None,
        funds: Funds::Refuses,
        outcome: OutcomeBy::Answer,
        lookup: LookupBy {
            id: false,
            our_key: false,
            list: false,
            lag_ms: 0,
            proves_absence_after_ms: None,
        },
        webhook: WebhookTrust::None,
        times: Times::None,
        partials: Partials::Any,
        per_payment: PerPayment::Parallel,
        pace: Pace { per_second: 10, burst: 10, at_once: 10 },
        key: KeyForm { longest: 255, characters: "" },
        amounts: Amounts { unit: AmountUnit::Minor, exponents: &[] },
        window_ms: None,
    };

    /// Whether a refund of `money` of a payment can be made at all, as far as these facts tell.
    pub fn check(&self, capture: &Capture, money: Money, now: Timestamp) -> Result<(), Unable> {
        let name = &capture.provider;
        if let Some(window) = self.window_ms
            && capture.captured_at.plus_ms(window) < now
        {
            let days = window / (24 * HOUR_MS);
            let message = format!("{name} takes refunds until {days} days after the payment");
            return Err(("too_old", message));
        }
        if self.partials == Partials::WholeOnly && money.minor != capture.captured {
            let message = format!("{name} refunds a payment as a whole; ask for all of it");
            return Err(("partial_not_possible", message));
        }
        let digits = self.amounts.exponent(money.currency);
        let surplus = money.currency.exponent().saturating_sub(digits);
        let unit = 10_i64.checked_pow(surplus).unwrap_or(i64::MAX);
        if money.minor % unit != 0 {
            let code = money.currency;
            let message =
                format!("{name} takes amounts in {code} with {digits} digits behind the point");
            return Err(("too_precise", message));
        }
        Ok(())
    }
}

/// The rules that hold for one refund: its provider's traits and the operator's patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub traits: Traits,
    /// How long a refund in doubt is looked for before a person must, counted from its first call.
    pub give_up_after_ms: i64,
    pub attention_after: AttentionAfter,
}

/// How long a refund may stay in a state before a person is told once, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "units stand last in names")]
pub struct AttentionAfter {
    pub unknown_ms: i64,
    /// For a provider whose outcome comes by webhook alone its own limit goes first.
    pub submitted_ms: i64,
    pub waiting_for_funds_ms: i64,
    pub needs_review_ms: i64,
}

impl Default for AttentionAfter {
    fn default() -> Self {
        Self {
            unknown_ms: HOUR_MS,
            submitted_ms: 7 * 24 * HOUR_MS,
            waiting_for_funds_ms: 24 * HOUR_MS,
            needs_review_ms: 24 * HOUR_MS,
        }
    }
}

impl Rules {
    /// How long a refund may stay in `state` before a person is told; `None` where nobody waits for it.
    pub const fn attention_after_ms(&self, state: State) -> Option<i64> {
        let after = &self.attention_after;
        match state {
            State::Unknown => Some(after.unknown_ms),
            State::Submitted | State::RequiresAction => Some(match self.traits.outcome {
                OutcomeBy::Webhook { overdue_after_ms } => overdue_after_ms,
                OutcomeBy::Answer | OutcomeBy::Poll | OutcomeBy::Person => after.submitted_ms,
            }),
            State::WaitingForFunds | State::Held => Some(after.waiting_for_funds_ms),
            State::NeedsReview => Some(after.needs_review_ms),
            State::AwaitingApproval
            | State::Scheduled
            | State::Queued
            | State::Sending
            | State::Succeeded
            | State::Failed
            | State::Canceled => None,
        }
    }
}

impl Amounts {
    /// The digits behind the decimal point that the provider gives a currency.
    pub fn exponent(&self, currency: Currency) -> u32 {
        let own = self.exponents.iter().find(|(code, _)| *code == currency.as_str());
        own.map_or_else(|| currency.exponent(), |(_, digits)| *digits)
    }
}

impl Idempotency {
    /// True when a second call under the same key cannot make a second refund at `now`, for a refund
    /// whose first call was made at `first`. A margin at the end of the time is not relied on.
    pub fn protects(self, first: Timestamp, now: Timestamp) -> bool {
        match self {
            Self::None => false,
            Self::Key { .. } | Self::Twin { .. } => {
                self.relied_on_ms().is_none_or(|ms| now < first.plus_ms(ms))
            }
        }
    }

    /// How long after the first call a key is relied on, milliseconds; `None` where there is no end, or
    /// no key.
    pub fn relied_on_ms(self) -> Option<i64> {
        let (Self::Key { kept_ms, .. } | Self::Twin { kept_ms }) = self else { return None };
        kept_ms.map(|kept| kept.saturating_sub(margin(kept)))
    }

    /// When a refusal under a key that was first used at `first` is no longer returned again; `None`
    /// when it is not returned again at all.
    pub fn refusal_fades_at(self, first: Timestamp) -> Option<Timestamp> {
        self.refusal_fades_after_ms().map(|ms| first.plus_ms(ms))
    }

    /// The same as a time after the first call, milliseconds.
    pub fn refusal_fades_after_ms(self) -> Option<i64> {
        match self {
            Self::Key { kept_ms: Some(kept), replays_errors: true } => {
                Some(kept.saturating_add(margin(kept)))
            }
            Self::None | Self::Key { .. } | Self::Twin { .. } => None,
        }
    }
}

fn margin(kept_ms: i64) -> i64 {
    (kept_ms / 24).clamp(MARGIN_MS.0, MARGIN_MS.1).min(kept_ms)
}

impl LookupBy {
    /// True when a refund can be found by its key, by its id if `has_id`, or in the payment's list.
    pub const fn can_find(&self, has_id: bool) -> bool {
        self.our_key || self.list || self.id && has_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_protects_until_a_margin_before_the_provider_forgets_it() {
        let first = Timestamp(1_000_000);
        for (hours, safe_minutes) in [(1, 50), (24, 23 * 60), (45 * 24, 44 * 24 * 60)] {
            let kept_ms = Some(hours * HOUR_MS);
            let end = first.plus_ms(safe_minutes * MINUTE_MS);
            for kind in
                [Idempotency::Key { kept_ms, replays_errors: true }, Idempotency::Twin { kept_ms }]
            {
                assert!(kind.protects(first, end.plus_ms(-1)), "{hours}");
                assert!(!kind.protects(first, end), "{hours}");
            }
        }
        assert!(!Idempotency::None.protects(first, first));
        let always = Idempotency::Key { kept_ms: None, replays_errors: false };
        assert!(always.protects(first, Timestamp(i64::MAX)));
        let short = Idempotency::Twin { kept_ms: Some(5) };
        assert!(!short.protects(first, first));
    }

    #[test]
    fn a_replayed_refusal_fades_after_the_key() {
        let kept_ms = Some(24 * HOUR_MS);
        let replays = Idempotency::Key { kept_ms, replays_errors: true };
        assert_eq!(replays.refusal_fades_at(Timestamp(0)), Some(Timestamp(25 * HOUR_MS)));
        let fresh = Idempotency::Key { kept_ms, replays_errors: false };
        assert_eq!(fresh.refusal_fades_at(Timestamp(0)), None);
    }

    #[test]
    fn digits_that_differ_from_iso_4217_go_first() {
        let amounts = Amounts { unit: AmountUnit::Minor, exponents: &[("ISK", 2)] };
        let of = |code| amounts.exponent(Currency::parse(code).expect("a currency"));
        assert_eq!((of("ISK"), of("JPY"), of("USD")), (2, 0, 2));
    }
}
