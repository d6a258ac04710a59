//! A person's decision about a refund that nothing else settles.

use super::advance::{Arrival, advance, rebalance};
use super::statement::refund_key;
use super::unique_keys::{insert_key, live_key};
use super::{Done, KEY_LIFETIME_MS, KeyedRequest, RefundRef, Refusal, Rows, rows};
use crate::ids::{Ids, RefundId};
use crate::money::MAX_AMOUNT;
use crate::outcome::{Failure, Observation, ProviderOutcome, Said, Source};
use crate::payment::Payment;
use crate::refund::{Bucket, Fact, Refund, State, Status};
use crate::time::Timestamp;
use crate::unique_keys::{KeyHash, KeyTarget, UniqueKey};
use crate::view::{Row, View};
use rand_core::Rng;

/// How long a call to a provider may be under way before its answer counts as lost. Longer than any
/// lease.
const LONGEST_CALL_MS: i64 = 5 * 60_000;

/// The result of a person's search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The provider made the refund.
    Succeeded {
        /// The amount that really moved, minor units, where it is not the one that was asked for.
        amount: Option<i64>,
    },
    /// The provider did not make it, or took it back.
    Failed,
    /// The provider does not have it; it is sent again under the same key.
    SendAgain,
}

/// Records a person's decision about a refund in doubt.
#[derive(Clone, Debug)]
pub struct ResolveRefund {
    pub of: RefundRef,
    pub resolution: Resolution,
    /// The provider's refund id that the person saw.
    pub provider_refund_id: Option<Box<str>>,
    /// Name of that id.
    pub name: Option<KeyHash>,
    /// The finding in the person's own words.
    pub text: Option<Box<str>>,
    /// The caller's idempotency key.
    pub key: Option<KeyedRequest>,
}

pub(super) fn decide<R: Rng>(
    view: &mut View,
    resolve: &ResolveRefund,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let of = resolve.of;
    if let Some(key) = resolve.key
        && let Some(taken) = live_key(view, of.tenant, key.hash, now)
    {
        if taken.request != key.request || taken.target != KeyTarget::Resolve {
            return Err(Refusal::KeyReused);
        }
        let (refund, payment, _) = rows(view, of)?;
        let (refund, payment) = (refund.value.clone(), payment.value.clone());
        return Ok(Done::Refund { refund: Box::new(refund), payment, replayed: true });
    }
    let taken = resolve.name.and_then(|name| live_key(view, of.tenant, name, now));
    if let Some(other) = taken.map(|key| RefundId::from_ulid(key.id)).filter(|id| *id != of.refund)
    {
        return Err(Refusal::ProviderRefundTaken(other));
    }
    let (refund, payment, _) = rows(view, of)?;
    check(&refund.value, &payment.value, resolve, now)?;
    let learns = refund.value.provider_refund_id.is_none() && resolve.provider_refund_id.is_some();
    let before = (refund.clone(), payment.clone(), view.new_rows.clone());
    if let Err(refusal) = apply(rows(view, of)?, resolve, now, ids) {
        // The second of two moves did not fit, so the first is undone.
        let (refund, payment, new_rows) = rows(view, of)?;
        (*refund, *payment, *new_rows) = before;
        return Err(refusal);
    }
    let (row, payment, _) = rows(view, of)?;
    row.change().needs_attention = false;
    let (refund, payment) = (Box::new(row.value.clone()), payment.value.clone());
    if let Some(name) = resolve.name.filter(|_| learns) {
        insert_key(view, refund_key(of, name));
    }
    if let Some(key) = resolve.key {
        let key = UniqueKey {
            tenant: of.tenant,
            hash: key.hash,
            request: key.request,
            target: KeyTarget::Resolve,
            id: of.refund.ulid(),
            state: None,
            expires_at: Some(now.plus_ms(KEY_LIFETIME_MS)),
        };
        insert_key(view, key);
    }
    Ok(Done::Refund { refund, payment, replayed: false })
}

/// All that can be wrong with a decision, before anything changes.
fn check(
    refund: &Refund,
    payment: &Payment,
    resolve: &ResolveRefund,
    now: Timestamp,
) -> Result<(), Refusal> {
    let is_open = matches!(
        refund.state,
        State::NeedsReview
            | State::Unknown
            | State::Submitted
            | State::RequiresAction
            | State::WaitingForFunds
            | State::Held
    );
    let is_disputed = refund.needs_attention && refund.state.status() != Status::Pending;
    if !is_open && !is_disputed {
        return Err(Refusal::CannotResolve(refund.state));
    }
    match resolve.resolution {
        Resolution::Succeeded { amount: Some(amount) } => {
            if !(1..=MAX_AMOUNT).contains(&amount) {
                return Err(Refusal::TooLarge);
            }
            let sum = payment.refunded.checked_add(payment.reserved);
            let sum = sum.and_then(|sum| sum.checked_add(payment.on_hold())?.checked_add(amount));
            sum.map(|_| ()).ok_or(Refusal::TooLarge)
        }
        Resolution::Succeeded { amount: None } => Ok(()),
        // The call that is under way may still make it.
        Resolution::Failed | Resolution::SendAgain if is_being_sent(refund, now) => {
            Err(Refusal::AttemptInFlight)
        }
        Resolution::Failed => Ok(()),
        Resolution::SendAgain => {
            if !matches!(refund.state, State::NeedsReview | State::Unknown) {
                return Err(Refusal::CannotResolve(refund.state));
            }
            // A refund that the provider has named an id for is there.
            let is_there =
                refund.provider_refund_id.is_some() || resolve.provider_refund_id.is_some();
            let proved = resolve.text.is_some() && !is_there;
            if proved { Ok(()) } else { Err(Refusal::NoProof) }
        }
    }
}

/// True when a call may still be on its way to the provider.
fn is_being_sent(refund: &Refund, now: Timestamp) -> bool {
    let is_recent = refund.sent_at.is_some_and(|at| now < at.plus_ms(LONGEST_CALL_MS));
    is_recent && refund.answered_at.is_none()
}

fn apply<R: Rng>(
    (row, payment, new_rows): Rows<'_>,
    resolve: &ResolveRefund,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<(), Refusal> {
    let text = resolve.text.as_deref().unwrap_or("a person looked at the provider");
    let seen = |outcome| Observation {
        source: Source::Operator,
        said: Said { provider_refund_id: resolve.provider_refund_id.clone(), ..Said::new(outcome) },
    };
    let mut to = |row: &mut _, payment: &mut _, fact, failure, outcome| {
        let seen = seen(outcome);
        let arrival =
            Arrival { due_at: Some(now), failure, observation: Some(&seen), ..Arrival::default() };
        advance(row, payment, new_rows, fact, arrival, now, ids).map(|_| ())
    };
    let why = |code: &str| Some(Failure::new(code, text));
    match resolve.resolution {
        Resolution::Succeeded { amount } => {
            let amount = amount.filter(|amount| *amount != row.value.amount);
            if let Some(amount) = amount
                && row.value.state.bucket() == Bucket::Refunded
            {
                // The part that was booked is freed, and what moved is booked instead.
                let failed = ProviderOutcome::Failed;
                to(row, payment, Fact::Failed, why("other_amount_moved"), failed)?;
                row.change().amount = amount;
            } else if let Some(amount) = amount {
                reserve_instead(row, payment, amount, now)?;
            }
            to(row, payment, Fact::Completed, None, ProviderOutcome::Completed)
        }
        Resolution::Failed => {
            let failure = why("resolved_as_failed");
            to(row, payment, Fact::Failed, failure, ProviderOutcome::Failed)
        }
        Resolution::SendAgain => {
            let failure = why("sent_again_by_a_person");
            to(row, payment, Fact::SendAgain, failure, ProviderOutcome::Absent)
        }
    }
}

/// The refund is of another amount, of which nothing is booked yet.
fn reserve_instead(
    row: &mut Row<Refund>,
    payment_row: &mut Row<Payment>,
    amount: i64,
    now: Timestamp,
) -> Result<(), Refusal> {
    if row.value.state.bucket() == Bucket::Reserved {
        let payment = &payment_row.value;
        let others = payment.reserved.checked_sub(row.value.amount).ok_or(Refusal::TooLarge)?;
        let reserved = others.checked_add(amount).ok_or(Refusal::TooLarge)?;
        let rebalanced = rebalance(payment, payment.refunded, reserved, payment.on_hold())?;
        *payment_row.change() = Payment { updated_at: now, ..rebalanced };
    }
    row.change().amount = amount;
    Ok(())
}
