//! Decisions: one command, the rows it touches, and what becomes of them.
//!
//! A command either is refused and changes nothing, or changes rows and appends to the book. All
//! checks of a command stand before its first change.

use crate::account::Scope;
use crate::event::{Detail, Event, Subject, Type};
use crate::evidence::{Claim, Evidence, Source};
use crate::ids::{Ids, PaymentId, RefundId};
use crate::keys::{Key, KeyHash, Target};
use crate::ledger::{Posting, Reason};
use crate::money::Currency;
use crate::payment::{Facts, Kind, Payment};
use crate::refund::{Bucket, Fact, Failure, Next, Origin, Refund, State, Status, next};
use crate::time::Timestamp;
use crate::view::{Book, Row, View, Wanted};
use rand_core::Rng;

/// The largest amount of one payment in minor units: 2^53 - 1, which every client language reads
/// exactly, JavaScript included.
pub const MAX_AMOUNT: i64 = 9_007_199_254_740_991;

/// How long a name other than a refund's is remembered.
pub const KEY_LIFETIME_MS: i64 = 24 * 60 * 60 * 1000;

/// A caller's idempotency key, and the request it came with.
#[derive(Clone, Copy, Debug)]
pub struct KeyUse {
    /// Hash of the key.
    pub hash: KeyHash,
    /// Hash of the request.
    pub request: [u8; 16],
}

/// How a new refund starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The committing node calls the provider at once and holds the lease until then.
    Send {
        /// When another node may take over.
        lease_until: Timestamp,
    },
    /// Any node sends it when it can.
    Queue,
    /// It waits out a grace delay.
    Schedule {
        /// When the delay is over.
        until: Timestamp,
    },
    /// Somebody else must agree first.
    AwaitApproval,
}

/// Registers a captured payment.
#[derive(Debug)]
pub struct RegisterPayment {
    /// The payment.
    pub facts: Facts,
    /// When it settled, if it has.
    pub settled_at: Option<Timestamp>,
    /// Name of the provider's payment id: a second payment under it is refused.
    pub charge: KeyUse,
    /// The caller's idempotency key.
    pub key: Option<KeyUse>,
}

/// Asks for a refund.
#[derive(Debug)]
pub struct CreateRefund {
    /// Whose payment.
    pub scope: Scope,
    /// Which payment.
    pub payment: PaymentId,
    /// What kind of payment the caller named; another kind is not found.
    pub kind: Option<Kind>,
    /// Minor units; `None` is all that remains.
    pub amount: Option<i64>,
    /// The currency the caller believes in.
    pub currency: Option<Currency>,
    /// What the caller believes is refundable; another balance refuses the refund.
    pub expected_refundable: Option<i64>,
    /// Why.
    pub reason: Option<Box<str>>,
    /// The caller's own id, and its name.
    pub reference: Option<(Box<str>, KeyHash)>,
    /// JSON object.
    pub metadata: Option<Box<str>>,
    /// The caller's idempotency key.
    pub key: Option<KeyHash>,
    /// Hash of everything above but the keys.
    pub request: [u8; 16],
    /// How it starts.
    pub start: Start,
}

/// A refund and the payment it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefundRef {
    /// Whose.
    pub scope: Scope,
    /// The refund.
    pub refund: RefundId,
    /// Its payment.
    pub payment: PaymentId,
}

/// Something to decide.
#[derive(Debug)]
pub enum Command {
    /// Registers a captured payment.
    Register(Box<RegisterPayment>),
    /// Asks for a refund.
    Create(Box<CreateRefund>),
    /// Withdraws a refund that was not sent.
    Cancel {
        /// Which.
        of: RefundRef,
        /// The caller's idempotency key.
        key: Option<KeyUse>,
    },
    /// Takes the work on a refund that is due, until the lease runs out.
    Claim {
        /// Which.
        of: RefundRef,
        /// When another node may take over.
        lease_until: Timestamp,
    },
    /// Records what was said about a refund.
    Record {
        /// Which.
        of: RefundRef,
        /// What was said.
        evidence: Evidence,
        /// When to look again if that does not settle it.
        recheck_at: Timestamp,
    },
    /// Stops looking for evidence of an unknown refund.
    GiveUp {
        /// Which.
        of: RefundRef,
    },
    /// Books a refund that was made at the provider itself.
    Adopt {
        /// Whose payment.
        scope: Scope,
        /// Which payment.
        payment: PaymentId,
        /// Name of the provider's refund id: it is adopted once.
        name: KeyHash,
        /// What the provider says; must carry the money.
        evidence: Evidence,
        /// When to look again if that does not settle it.
        recheck_at: Timestamp,
    },
}

impl Command {
    /// Adds the keys of the rows this command needs.
    pub fn wants(&self, wanted: &mut Wanted) {
        match self {
            Self::Register(register) => {
                let scope = register.facts.scope;
                wanted.keys.insert((scope, register.charge.hash));
                wanted.keys.extend(register.key.map(|key| (scope, key.hash)));
                wanted.payments.insert((scope, register.facts.id));
            }
            Self::Create(create) => {
                wanted.keys.extend(create.key.map(|key| (create.scope, key)));
                wanted.keys.extend(create.reference.as_ref().map(|(_, key)| (create.scope, *key)));
                wanted.payments.insert((create.scope, create.payment));
            }
            Self::Cancel { of, key } => {
                wanted.keys.extend(key.map(|key| (of.scope, key.hash)));
                of.wants(wanted);
            }
            Self::Claim { of, .. } | Self::Record { of, .. } | Self::GiveUp { of } => {
                of.wants(wanted);
            }
            Self::Adopt { scope, payment, name, .. } => {
                wanted.keys.insert((*scope, *name));
                wanted.payments.insert((*scope, *payment));
            }
        }
    }
}

impl RefundRef {
    fn wants(self, wanted: &mut Wanted) {
        wanted.refunds.insert((self.scope, self.refund));
        wanted.payments.insert((self.scope, self.payment));
    }
}

impl From<&Refund> for RefundRef {
    fn from(refund: &Refund) -> Self {
        Self { scope: refund.scope, refund: refund.id, payment: refund.payment }
    }
}

/// What a command did.
#[derive(Clone, Debug)]
pub enum Done {
    /// A payment as it is now.
    Payment {
        /// The payment.
        payment: Payment,
        /// The same request had come before.
        replayed: bool,
    },
    /// A refund (as it is now; as it was created, when replayed) and its payment.
    Refund {
        /// The refund.
        refund: Box<Refund>,
        /// Its payment.
        payment: Payment,
        /// The same request had come before.
        replayed: bool,
    },
}

/// Why a command changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such payment for this account and mode.
    #[error("no such payment")]
    PaymentNotFound,
    /// No such refund for this account and mode.
    #[error("no such refund")]
    RefundNotFound,
    /// The idempotency key came before with another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// The reference belongs to another request.
    #[error("this reference belongs to another refund: {0}")]
    ReferenceTaken(RefundId),
    /// The provider's payment id is registered with other facts.
    #[error("this provider payment id is registered as {0} with other facts")]
    ChargeTaken(PaymentId),
    /// The thing named by this id already has a payment.
    #[error("{0} exists")]
    PaymentExists(PaymentId),
    /// Another currency than the payment's.
    #[error("the payment is in {expected}, not {given}")]
    CurrencyMismatch {
        /// The payment's.
        expected: Currency,
        /// The caller's.
        given: Currency,
    },
    /// More than what remains.
    #[error(
        "amount exceeds refundable balance: {requested} was asked for and {refundable} is refundable"
    )]
    OverRefund {
        /// Asked for, minor units.
        requested: i64,
        /// What remains, minor units.
        refundable: i64,
    },
    /// Nothing remains to refund.
    #[error("nothing is refundable: the payment is refunded or its refunds are under way")]
    NothingRefundable,
    /// The balance is not what the caller expected.
    #[error("{expected} was expected to be refundable and {refundable} is")]
    BalanceChanged {
        /// The caller's, minor units.
        expected: i64,
        /// What remains, minor units.
        refundable: i64,
    },
    /// The refund is past the point where it can be withdrawn.
    #[error("a refund that is {0} cannot be canceled")]
    TooLateToCancel(State),
    /// Another node works on it, or it is not due.
    #[error("the refund is not due")]
    NotDue,
    /// The evidence cannot be true of a refund in this state.
    #[error("{fact} cannot happen to a refund that is {state}")]
    Impossible {
        /// The refund's state.
        state: State,
        /// What was claimed.
        fact: Fact,
    },
    /// The evidence lacks what it takes to book it.
    #[error("the evidence names no amount")]
    NoAmount,
    /// A sum would pass what 64 bits hold.
    #[error("a sum would be too large")]
    TooLarge,
}

/// Decides one command.
pub fn decide<R: Rng>(
    view: &mut View,
    command: &Command,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    match command {
        Command::Register(register) => decide_register(view, register, now, ids),
        Command::Create(create) => decide_create(view, create, now, ids),
        Command::Cancel { of, key } => decide_cancel(view, *of, *key, now, ids),
        Command::Claim { of, lease_until } => decide_claim(view, *of, *lease_until, now, ids),
        Command::Record { of, evidence, recheck_at } => {
            decide_record(view, *of, evidence, *recheck_at, now, ids)
        }
        Command::GiveUp { of } => {
            let (refund, payment, book) = rows(view, *of)?;
            let failure = Failure {
                code: "unresolved".into(),
                message: "no evidence was found of whether the provider made this refund".into(),
            };
            let arrival = Arrival { due_at: None, failure: Some(failure), ..Arrival::default() };
            advance(refund, payment, book, Fact::GivenUp, arrival, now, ids)
        }
        Command::Adopt { scope, payment, name, evidence, recheck_at } => {
            let key = (*scope, *name);
            decide_adopt(view, key, *payment, evidence, *recheck_at, now, ids)
        }
    }
}

fn decide_register<R: Rng>(
    view: &mut View,
    register: &RegisterPayment,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let scope = register.facts.scope;
    if let Some(key) = register.key
        && let Some(taken) = live_key(view, scope, key.hash, now)
    {
        if taken.request != key.request || taken.target != Target::Payment {
            return Err(Refusal::KeyReused);
        }
        return replay_payment(view, scope, PaymentId::from_ulid(taken.id));
    }
    if let Some(taken) = live_key(view, scope, register.charge.hash, now) {
        let id = PaymentId::from_ulid(taken.id);
        if taken.request != register.charge.request {
            return Err(Refusal::ChargeTaken(id));
        }
        return replay_payment(view, scope, id);
    }
    let id = register.facts.id;
    if view.payments.contains_key(&(scope, id)) {
        return Err(Refusal::PaymentExists(id));
    }
    let mut payment = Payment::new(copy_facts(&register.facts), register.settled_at, now);
    let posting = Posting::capture(ids.posting(now), &payment);
    if !view.book.post(posting) {
        return Err(Refusal::TooLarge);
    }
    tell_payment(&mut payment, &mut view.book, Type::PaymentCreated, now, ids);
    let key = |name: KeyUse, expires_at| Key {
        scope,
        hash: name.hash,
        request: name.request,
        target: Target::Payment,
        id: id.ulid(),
        state: None,
        expires_at,
    };
    insert_key(view, key(register.charge, None));
    if let Some(name) = register.key {
        insert_key(view, key(name, Some(now.plus_ms(KEY_LIFETIME_MS))));
    }
    view.payments.insert((scope, id), Row::inserted(payment.clone()));
    Ok(Done::Payment { payment, replayed: false })
}

fn copy_facts(facts: &Facts) -> Facts {
    Facts {
        scope: facts.scope,
        id: facts.id,
        kind: facts.kind,
        captured: facts.captured,
        currency: facts.currency,
        provider: facts.provider.clone(),
        provider_payment_id: facts.provider_payment_id.clone(),
        captured_at: facts.captured_at,
        reference: facts.reference.clone(),
        metadata: facts.metadata.clone(),
    }
}

fn replay_payment(view: &View, scope: Scope, id: PaymentId) -> Result<Done, Refusal> {
    let row = view.payments.get(&(scope, id)).ok_or(Refusal::PaymentNotFound)?;
    Ok(Done::Payment { payment: row.value.clone(), replayed: true })
}

fn decide_create<R: Rng>(
    view: &mut View,
    create: &CreateRefund,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let scope = create.scope;
    if let Some(hash) = create.key
        && let Some(taken) = live_key(view, scope, hash, now)
    {
        if taken.request != create.request || taken.target != Target::Refund {
            return Err(Refusal::KeyReused);
        }
        return replay_refund(view, taken);
    }
    if let Some((_, hash)) = &create.reference
        && let Some(taken) = live_key(view, scope, *hash, now)
    {
        let taken = taken.clone();
        if taken.request != create.request {
            return Err(Refusal::ReferenceTaken(RefundId::from_ulid(taken.id)));
        }
        if let Some(hash) = create.key {
            insert_key(view, Key { hash, ..taken.clone() });
        }
        return replay_refund(view, &taken);
    }

    let payment = &view
        .payments
        .get(&(scope, create.payment))
        .filter(|row| create.kind.is_none_or(|kind| kind == row.value.facts.kind))
        .ok_or(Refusal::PaymentNotFound)?
        .value;
    let amount = check_amount(payment, create)?;
    let reserved = payment.reserved.checked_add(amount).ok_or(Refusal::TooLarge)?;
    let (state, due_at) = match create.start {
        Start::Send { lease_until } => (State::Sending, Some(lease_until)),
        Start::Queue => (State::Queued, Some(now)),
        Start::Schedule { until } => (State::Scheduled, Some(until)),
        Start::AwaitApproval => (State::AwaitingApproval, None),
    };
    let mut refund = Refund {
        scope,
        id: ids.refund(now),
        payment: create.payment,
        amount,
        currency: payment.facts.currency,
        state,
        origin: Origin::Api,
        late: false,
        before_settlement: payment.settled_at.is_some_and(|at| now < at),
        reason: create.reason.clone(),
        reference: create.reference.as_ref().map(|(text, _)| text.clone()),
        metadata: create.metadata.clone(),
        provider_refund_id: None,
        failure: None,
        checks: 0,
        due_at,
        evidence_at: None,
        last_seq: 0,
        updated_at: now,
    };
    tell_refund(&mut refund, &mut view.book, Type::RefundCreated, None, now, ids);
    let names = create.key.into_iter().chain(create.reference.as_ref().map(|(_, hash)| *hash));
    for hash in names {
        let key = Key {
            scope,
            hash,
            request: create.request,
            target: Target::Refund,
            id: refund.id.ulid(),
            state: Some(state),
            expires_at: None,
        };
        insert_key(view, key);
    }
    let row = view.payments.get_mut(&(scope, create.payment)).ok_or(Refusal::PaymentNotFound)?;
    let payment = row.change();
    payment.reserved = reserved;
    payment.updated_at = now;
    assert!(payment.within_limit(), "a refund passed the captured amount");
    let payment = payment.clone();
    view.refunds.insert((scope, refund.id), Row::inserted(refund.clone()));
    Ok(Done::Refund { refund: Box::new(refund), payment, replayed: false })
}

/// The amount to refund, once everything about it has been checked.
fn check_amount(payment: &Payment, create: &CreateRefund) -> Result<i64, Refusal> {
    let refundable = payment.refundable();
    if let Some(given) = create.currency
        && given != payment.facts.currency
    {
        return Err(Refusal::CurrencyMismatch { expected: payment.facts.currency, given });
    }
    if let Some(expected) = create.expected_refundable
        && expected != refundable
    {
        return Err(Refusal::BalanceChanged { expected, refundable });
    }
    match create.amount {
        None if refundable == 0 => Err(Refusal::NothingRefundable),
        None => Ok(refundable),
        Some(requested) if requested < 1 || requested > refundable => {
            Err(Refusal::OverRefund { requested, refundable })
        }
        Some(requested) => Ok(requested),
    }
}

/// The refund as it was when the request that made it was answered.
fn replay_refund(view: &View, taken: &Key) -> Result<Done, Refusal> {
    let id = RefundId::from_ulid(taken.id);
    let now = &view.refunds.get(&(taken.scope, id)).ok_or(Refusal::RefundNotFound)?.value;
    let payment =
        &view.payments.get(&(taken.scope, now.payment)).ok_or(Refusal::PaymentNotFound)?.value;
    let refund = Refund {
        state: taken.state.unwrap_or(now.state),
        late: false,
        provider_refund_id: None,
        failure: None,
        updated_at: id.at(),
        ..now.clone()
    };
    Ok(Done::Refund { refund: Box::new(refund), payment: payment.clone(), replayed: true })
}

fn decide_cancel<R: Rng>(
    view: &mut View,
    of: RefundRef,
    key: Option<KeyUse>,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    if let Some(name) = key
        && let Some(taken) = live_key(view, of.scope, name.hash, now)
    {
        if taken.request != name.request || taken.target != Target::Cancel {
            return Err(Refusal::KeyReused);
        }
        let (refund, payment, _) = rows(view, of)?;
        let (refund, payment) = (refund.value.clone(), payment.value.clone());
        return Ok(Done::Refund { refund: Box::new(refund), payment, replayed: true });
    }
    let (refund, payment, book) = rows(view, of)?;
    let state = refund.value.state;
    let done = advance(refund, payment, book, Fact::Withdrawn, Arrival::default(), now, ids)
        .map_err(|refusal| match refusal {
            Refusal::Impossible { .. } => Refusal::TooLateToCancel(state),
            other => other,
        })?;
    if let Some(name) = key {
        let key = Key {
            scope: of.scope,
            hash: name.hash,
            request: name.request,
            target: Target::Cancel,
            id: of.refund.ulid(),
            state: None,
            expires_at: Some(now.plus_ms(KEY_LIFETIME_MS)),
        };
        insert_key(view, key);
    }
    Ok(done)
}

fn decide_claim<R: Rng>(
    view: &mut View,
    of: RefundRef,
    lease_until: Timestamp,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let (refund, payment, book) = rows(view, of)?;
    if refund.value.due_at.is_none_or(|due| now < due) {
        return Err(Refusal::NotDue);
    }
    let arrival = || Arrival { due_at: Some(lease_until), ..Arrival::default() };
    match refund.value.state {
        State::Scheduled => {
            advance(refund, payment, book, Fact::DelayOver, arrival(), now, ids)?;
            advance(refund, payment, book, Fact::Claimed, arrival(), now, ids)
        }
        State::Queued | State::WaitingForFunds => {
            advance(refund, payment, book, Fact::Claimed, arrival(), now, ids)
        }
        // The node that held the lease is gone; whether it had called the provider is unknown.
        State::Sending => {
            let failure = Failure {
                code: "interrupted".into(),
                message: "the node that sent this refund stopped before it had the answer".into(),
            };
            let arrival = Arrival { failure: Some(failure), ..arrival() };
            advance(refund, payment, book, Fact::Lost, arrival, now, ids)
        }
        State::Submitted | State::Unknown | State::RequiresAction => {
            refund.change().due_at = Some(lease_until);
            let (refund, payment) = (refund.value.clone(), payment.value.clone());
            Ok(Done::Refund { refund: Box::new(refund), payment, replayed: false })
        }
        State::AwaitingApproval
        | State::NeedsReview
        | State::Succeeded
        | State::Failed
        | State::Canceled => Err(Refusal::NotDue),
    }
}

fn decide_record<R: Rng>(
    view: &mut View,
    of: RefundRef,
    evidence: &Evidence,
    recheck_at: Timestamp,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let (refund, payment, book) = rows(view, of)?;
    let (fact, failure) = match contradiction(&refund.value, &payment.value, evidence) {
        Some(failure) => (Fact::Contradicted, Some(failure)),
        None => (fact_of(evidence.claim), failure_of(evidence)),
    };
    let stale = is_stale(&refund.value, fact, evidence);
    let arrival = Arrival { due_at: Some(recheck_at), failure, evidence: Some(evidence), stale };
    advance(refund, payment, book, fact, arrival, now, ids)
}

const fn fact_of(claim: Claim) -> Fact {
    match claim {
        Claim::NeverSent => Fact::NeverSent,
        Claim::Lost => Fact::Lost,
        Claim::Accepted => Fact::Accepted,
        Claim::ActionRequired => Fact::ActionRequired,
        Claim::WaitingForFunds => Fact::FundsMissing,
        Claim::Completed => Fact::Completed,
        Claim::Failed => Fact::Failed,
        Claim::Canceled => Fact::CanceledByProvider,
    }
}

fn failure_of(evidence: &Evidence) -> Option<Failure> {
    match evidence.claim {
        Claim::Accepted | Claim::Completed => None,
        Claim::NeverSent
        | Claim::Lost
        | Claim::ActionRequired
        | Claim::WaitingForFunds
        | Claim::Failed
        | Claim::Canceled => Some(Failure {
            code: evidence.code.clone().unwrap_or_else(|| evidence.claim.as_str().into()),
            message: evidence
                .message
                .clone()
                .unwrap_or_else(|| "the provider gave no reason".into()),
        }),
    }
}

/// Compares what the evidence speaks of with what was asked for.
fn contradiction(refund: &Refund, payment: &Payment, evidence: &Evidence) -> Option<Failure> {
    let differs = |code: &str, said: String, asked: String| Failure {
        code: code.into(),
        message: format!("the provider speaks of {said} and {asked} was asked for").into(),
    };
    if let Some(money) = evidence.money
        && money != refund.money()
    {
        return Some(differs("amount_mismatch", money.to_string(), refund.money().to_string()));
    }
    if let Some(said) = &evidence.provider_payment_id
        && *said != payment.facts.provider_payment_id
    {
        let asked = format!("payment {}", payment.facts.provider_payment_id);
        return Some(differs("payment_mismatch", format!("payment {said}"), asked));
    }
    if let (Some(said), Some(known)) = (&evidence.provider_refund_id, &refund.provider_refund_id)
        && said != known
    {
        return Some(differs(
            "refund_mismatch",
            format!("refund {said}"),
            format!("refund {known}"),
        ));
    }
    None
}

/// True when something newer is already known, by the provider's own clock. A person with proof is
/// never stale.
fn is_stale(refund: &Refund, fact: Fact, evidence: &Evidence) -> bool {
    if evidence.source == Source::Operator {
        return false;
    }
    match (evidence.at, refund.evidence_at) {
        (Some(at), Some(known)) if at < known => true,
        // Money that was released is booked again only on evidence that is certainly newer.
        (at, known) if refund.state == State::Failed && fact == Fact::Completed => {
            at.is_none() || known.is_some_and(|known| at <= Some(known))
        }
        _ => false,
    }
}

fn decide_adopt<R: Rng>(
    view: &mut View,
    (scope, name): (Scope, KeyHash),
    payment_id: PaymentId,
    evidence: &Evidence,
    recheck_at: Timestamp,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    if let Some(taken) = live_key(view, scope, name, now) {
        let of = RefundRef { scope, refund: RefundId::from_ulid(taken.id), payment: payment_id };
        return decide_record(view, of, evidence, recheck_at, now, ids);
    }
    let row = view.payments.get_mut(&(scope, payment_id)).ok_or(Refusal::PaymentNotFound)?;
    let money = evidence.money.filter(|money| money.minor > 0).ok_or(Refusal::NoAmount)?;
    let facts = row.value.facts.clone();
    if money.currency != facts.currency {
        return Err(Refusal::CurrencyMismatch { expected: facts.currency, given: money.currency });
    }
    let reserved = row.value.reserved.checked_add(money.minor).ok_or(Refusal::TooLarge)?;
    let mut refund = Refund {
        scope,
        id: ids.refund(now),
        payment: payment_id,
        amount: money.minor,
        currency: money.currency,
        state: State::Submitted,
        origin: Origin::External,
        late: false,
        before_settlement: row.value.settled_at.is_some_and(|at| now < at),
        reason: None,
        reference: None,
        metadata: None,
        provider_refund_id: evidence.provider_refund_id.clone(),
        failure: None,
        checks: 0,
        due_at: Some(recheck_at),
        evidence_at: None,
        last_seq: 0,
        updated_at: now,
    };
    let payment = row.change();
    payment.reserved = reserved;
    book_excess(payment);
    tell_refund(&mut refund, &mut view.book, Type::RefundCreated, None, now, ids);
    let key = Key {
        scope,
        hash: name,
        request: [0; 16],
        target: Target::Refund,
        id: refund.id.ulid(),
        state: None,
        expires_at: None,
    };
    let of = RefundRef::from(&refund);
    insert_key(view, key);
    view.refunds.insert((scope, refund.id), Row::inserted(refund));
    decide_record(view, of, evidence, recheck_at, now, ids)
}

/// How a refund arrives in its next state.
#[derive(Default)]
struct Arrival<'a> {
    due_at: Option<Timestamp>,
    failure: Option<Failure>,
    evidence: Option<&'a Evidence>,
    stale: bool,
}

/// Runs the state machine and does what a move takes: balances, postings, events.
fn advance<R: Rng>(
    refund_row: &mut Row<Refund>,
    payment_row: &mut Row<Payment>,
    book: &mut Book,
    fact: Fact,
    arrival: Arrival<'_>,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let state = refund_row.value.state;
    let step = if arrival.stale { Next::Stay } else { next(state, fact) };
    match step {
        Next::Refuse => return Err(Refusal::Impossible { state, fact }),
        Next::Stay => stay(refund_row, &arrival),
        Next::Move(to) => move_money(refund_row, payment_row, book, to, arrival, now, ids)?,
    }
    let (refund, payment) = (refund_row.value.clone(), payment_row.value.clone());
    Ok(Done::Refund { refund: Box::new(refund), payment, replayed: false })
}

/// Nothing moved: remember what else the evidence said, and look again later.
fn stay(row: &mut Row<Refund>, arrival: &Arrival<'_>) {
    let asked = arrival.evidence.is_some_and(|e| e.source != Source::Webhook);
    let refund = &row.value;
    let learns_id = refund.provider_refund_id.is_none()
        && arrival.evidence.is_some_and(|e| e.provider_refund_id.is_some());
    let newer_at = arrival.evidence.and_then(|e| e.at).filter(|at| Some(*at) > refund.evidence_at);
    let reschedules = refund.state.has_work() && asked;
    if !(learns_id || newer_at.is_some() || reschedules) {
        return;
    }
    let refund = row.change();
    if reschedules {
        refund.due_at = arrival.due_at;
        refund.checks = refund.checks.saturating_add(1);
    }
    if learns_id {
        refund.provider_refund_id = arrival.evidence.and_then(|e| e.provider_refund_id.clone());
    }
    // A failed refund keeps the time of its failure: only evidence newer than that revives it.
    if newer_at.is_some() && !arrival.stale {
        refund.evidence_at = newer_at;
    }
}

fn move_money<R: Rng>(
    refund_row: &mut Row<Refund>,
    payment_row: &mut Row<Payment>,
    book: &mut Book,
    to: State,
    arrival: Arrival<'_>,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<(), Refusal> {
    let (from, amount) = (refund_row.value.state, refund_row.value.amount);
    let payment = &payment_row.value;
    let (mut reserved, mut refunded) = (payment.reserved, payment.refunded);
    let minus = |sum: i64| sum.checked_sub(amount).ok_or(Refusal::TooLarge);
    let plus = |sum: i64| sum.checked_add(amount).ok_or(Refusal::TooLarge);
    let reason = match (from.bucket(), to.bucket()) {
        (Bucket::Reserved, Bucket::Refunded) => {
            (reserved, refunded) = (minus(reserved)?, plus(refunded)?);
            Some(Reason::Refund)
        }
        (Bucket::Reserved, Bucket::Released) => {
            reserved = minus(reserved)?;
            None
        }
        (Bucket::Refunded, Bucket::Released) => {
            refunded = minus(refunded)?;
            Some(Reason::LateFailure)
        }
        (Bucket::Released, Bucket::Refunded) => {
            refunded = plus(refunded)?;
            Some(Reason::Refund)
        }
        (Bucket::Refunded | Bucket::Released | Bucket::Reserved, Bucket::Reserved)
        | (Bucket::Refunded, Bucket::Refunded)
        | (Bucket::Released, Bucket::Released) => None,
    };
    if let Some(reason) = reason
        && !book.post(Posting::refund(ids.posting(now), reason, &refund_row.value))
    {
        return Err(Refusal::TooLarge);
    }

    let refund = refund_row.change();
    refund.state = to;
    refund.late = from == State::Succeeded;
    refund.due_at = arrival.due_at.filter(|_| to.has_work());
    // States that alternate while a provider does not answer keep counting, so that the backoff grows.
    refund.checks = match to {
        State::Queued | State::Sending | State::WaitingForFunds => refund.checks.saturating_add(1),
        _ => 0,
    };
    refund.failure = arrival.failure;
    if let Some(evidence) = arrival.evidence {
        if refund.provider_refund_id.is_none() {
            refund.provider_refund_id.clone_from(&evidence.provider_refund_id);
        }
        refund.evidence_at = evidence.at.max(refund.evidence_at);
    }
    tell_refund(refund, book, Type::of_arrival(to), arrival.evidence, now, ids);

    if (reserved, refunded) != (payment_row.value.reserved, payment_row.value.refunded) {
        let before_settlement = refund.before_settlement;
        let payment = payment_row.change();
        (payment.reserved, payment.refunded) = (reserved, refunded);
        payment.updated_at = now;
        book_excess(payment);
        settle_payment(payment, to, before_settlement, book, now, ids);
    }
    Ok(())
}

/// Books by how much more than the captured amount went or may go back. Only what a provider did
/// on its own gets here with more; Refundry's own refunds are checked when they are created.
fn book_excess(payment: &mut Payment) {
    let spent =
        i128::from(payment.refunded) + i128::from(payment.reserved) + i128::from(payment.held);
    let excess = (spent - i128::from(payment.facts.captured)).max(0);
    payment.excess = i64::try_from(excess).unwrap_or(i64::MAX);
    assert!(payment.within_limit(), "a payment's balance is out of bounds");
}

fn settle_payment<R: Rng>(
    payment: &mut Payment,
    to: State,
    before_settlement: bool,
    book: &mut Book,
    now: Timestamp,
    ids: &mut Ids<R>,
) {
    let full = payment.refunded >= payment.facts.captured;
    payment.reversed = full && (payment.reversed || before_settlement);
    if to.status() == Status::Succeeded {
        let event = if full { Type::PaymentRefunded } else { Type::PaymentPartiallyRefunded };
        tell_payment(payment, book, event, now, ids);
    }
}

fn tell_refund<R: Rng>(
    refund: &mut Refund,
    book: &mut Book,
    event_type: Type,
    evidence: Option<&Evidence>,
    now: Timestamp,
    ids: &mut Ids<R>,
) {
    refund.last_seq = refund.last_seq.saturating_add(1);
    refund.updated_at = now;
    let detail = Detail {
        provider_refund_id: refund.provider_refund_id.clone(),
        failure_code: refund.failure.as_ref().map(|f| f.code.clone()),
        failure_message: refund.failure.as_ref().map(|f| f.message.clone()),
        late: refund.late,
        source: evidence.map(|e| e.source.as_str().into()),
        provider_at: evidence.and_then(|e| e.at).map(|at| at.0),
        ..Detail::default()
    };
    book.events.push(Event {
        scope: refund.scope,
        id: ids.event(now),
        event_type,
        subject: Subject::Refund(refund.id, refund.state),
        seq: refund.last_seq,
        detail: (detail != Detail::default()).then(|| Box::new(detail)),
    });
}

fn tell_payment<R: Rng>(
    payment: &mut Payment,
    book: &mut Book,
    event_type: Type,
    now: Timestamp,
    ids: &mut Ids<R>,
) {
    payment.last_seq = payment.last_seq.saturating_add(1);
    let amount = |minor: i64| Some(minor).filter(|&minor| minor != 0);
    let detail = Detail {
        refunded: amount(payment.refunded),
        reserved: amount(payment.reserved),
        excess: amount(payment.excess),
        reversed: payment.reversed,
        ..Detail::default()
    };
    book.events.push(Event {
        scope: payment.facts.scope,
        id: ids.event(now),
        event_type,
        subject: Subject::Payment(payment.facts.id),
        seq: payment.last_seq,
        detail: (detail != Detail::default()).then(|| Box::new(detail)),
    });
}

fn live_key(view: &View, scope: Scope, hash: KeyHash, now: Timestamp) -> Option<&Key> {
    let key = &view.keys.get(&(scope, hash))?.value;
    key.expires_at.is_none_or(|at| now < at).then_some(key)
}

/// Takes a name. A name that ran out and was not yet swept away is taken over.
fn insert_key(view: &mut View, key: Key) {
    let at = (key.scope, key.hash);
    match view.keys.get_mut(&at) {
        Some(row) => *row.change() = key,
        None => {
            view.keys.insert(at, Row::inserted(key));
        }
    }
}

/// The rows of a refund and its payment, and the book to write what becomes of them.
type Rows<'a> = (&'a mut Row<Refund>, &'a mut Row<Payment>, &'a mut Book);

fn rows(view: &mut View, of: RefundRef) -> Result<Rows<'_>, Refusal> {
    let refund = view.refunds.get_mut(&(of.scope, of.refund)).ok_or(Refusal::RefundNotFound)?;
    let payment = view.payments.get_mut(&(of.scope, of.payment)).ok_or(Refusal::PaymentNotFound)?;
    Ok((refund, payment, &mut view.book))
}
