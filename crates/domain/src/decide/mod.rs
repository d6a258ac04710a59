//! Decisions: one command, the rows it touches, and what becomes of them.
//!
//! A command either is refused and changes nothing, or changes rows and appends new ones. All
//! checks of a command stand before its first change.

mod adopt;
mod advance;
mod cancel;
mod charge;
pub mod checkout;
mod create;
mod fan_out;
pub mod hold;
pub mod invoice;
mod lease;
mod record;
mod record_event;
mod register;
mod resolve;
mod settle;
mod statement;
mod unique_keys;
pub mod webhook;

pub use create::ACCOUNT_DELETED;
pub use fan_out::fan_out;
pub use lease::{Call, LEFT_QUEUED_MS, LEFT_SENDING_MS};
pub use resolve::{Resolution, ResolveRefund};

use crate::checkout::{self as checkout_state, Checkout};
use crate::hold::{self as hold_state, Hold};
use crate::ids::{HoldId, Ids, PaymentId, RefundId};
use crate::invoice::{self as invoice_state, Invoice};
use crate::money::{Currency, Money};
use crate::outcome::{Observation, Source};
use crate::payment::{self, Capture, Kind, NewPayment, Payment};
use crate::provider::{Rules, TraitsByName};
use crate::provider_account::ProviderAccountState;
use crate::refund::{Fact, NewRefund, Refund, State};
use crate::tenant::Tenant;
use crate::time::Timestamp;
use crate::unique_keys::KeyHash;
use crate::view::{NewRows, Row, RowKeys, View};
use crate::webhook::{Delivery, Endpoint};
use rand_core::Rng;
use std::sync::Arc;

/// How long a name other than a refund's is remembered.
pub const KEY_LIFETIME_MS: i64 = 24 * 60 * 60 * 1000;

/// A caller's idempotency key, and the request it came with.
#[derive(Clone, Copy, Debug)]
pub struct KeyedRequest {
    pub hash: KeyHash,
    pub request: [u8; 16],
}

/// How a new refund starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The committing node calls the provider at once and holds the lease until then.
    Send {
        /// How long after the commit another node may take over, milliseconds.
        lease_ms: i64,
    },
    /// Any node sends it when it can.
    Queue,
    /// It waits out a grace delay.
    Schedule { until: Timestamp },
    /// Somebody else must agree first.
    AwaitApproval,
}

/// Registers a captured payment.
#[derive(Debug)]
pub struct RegisterPayment {
    pub new: NewPayment,
    pub id: PaymentId,
    /// How long after the capture the provider pays the merchant out, milliseconds, where that is
    /// known. A settlement that the caller names comes first.
    pub settles_after_ms: Option<i64>,
    /// Name of the provider's payment id: a second payment under it is refused.
    pub charge: KeyedRequest,
    /// The caller's idempotency key.
    pub key: Option<KeyedRequest>,
}

/// Asks for a refund.
#[derive(Debug)]
pub struct CreateRefund {
    pub new: NewRefund,
    /// The name of the caller's reference.
    pub reference: Option<KeyHash>,
    /// The caller's idempotency key.
    pub key: Option<KeyHash>,
    /// Hash of `new`.
    pub request: [u8; 16],
    pub start: Start,
    /// The providers that this node can call.
    pub providers: Arc<TraitsByName>,
    /// The tenant's provider accounts that are not deleted.
    pub accounts: Arc<[ProviderAccountState]>,
}

/// A refund and the payment it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefundRef {
    pub tenant: Tenant,
    pub refund: RefundId,
    pub payment: PaymentId,
}

/// Records what was said about a refund.
#[derive(Debug)]
pub struct RecordOutcome {
    pub of: RefundRef,
    pub observation: Observation,
    /// Name of the provider's refund id, where one was said.
    pub name: Option<KeyHash>,
    /// When to look again if that does not settle it.
    pub recheck_at: Timestamp,
    /// The lease under which the provider was asked; `None` for what came by itself.
    pub lease: Option<u32>,
    pub rules: Rules,
}

/// Books a refund that was made at the provider itself.
#[derive(Debug)]
pub struct AdoptRefund {
    pub tenant: Tenant,
    pub payment: PaymentId,
    /// Name of the provider's refund id: it is adopted once.
    pub name: KeyHash,
    /// Must name the amount.
    pub observation: Observation,
    /// When to look again if that does not settle it.
    pub recheck_at: Timestamp,
    pub rules: Rules,
}

/// Something to decide.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "every refund is leased; a box costs more than the room"
)]
pub enum Command {
    Register(Box<RegisterPayment>),
    /// Says when a payment settles or settled.
    Settle {
        tenant: Tenant,
        payment: PaymentId,
        at: Timestamp,
    },
    Create(Box<CreateRefund>),
    /// Withdraws a refund that was not sent.
    Cancel {
        of: RefundRef,
        /// The caller's idempotency key.
        key: Option<KeyedRequest>,
    },
    /// Begins the work on a refund that was claimed, until the lease runs out.
    Lease {
        of: RefundRef,
        /// The lease that the claim made; another one since then refuses this.
        lease: u32,
        /// How long after the commit another node may take over, milliseconds.
        lease_ms: i64,
        /// Until when it waits, since its provider makes another refund of the payment first.
        behind: Option<Timestamp>,
        rules: Rules,
    },
    /// Tells a person of a refund that has waited for too long, also while nobody works on it.
    Age {
        of: RefundRef,
        rules: Box<Rules>,
    },
    /// Records what was said about a refund.
    Record(Box<RecordOutcome>),
    /// Records a person's decision about a refund in doubt.
    Resolve(Box<ResolveRefund>),
    /// Books a refund that was made at the provider itself.
    Adopt(Box<AdoptRefund>),
    PlaceHold(Box<hold::PlaceHold>),
    EndHold(Box<hold::EndHold>),
    OpenCheckout(Box<checkout::OpenCheckout>),
    Checkout(Box<checkout::ActOnCheckout>),
    CreateInvoice(Box<invoice::CreateInvoice>),
    Invoice(Box<invoice::ActOnInvoice>),
    /// Does something to a webhook endpoint or a delivery of this account and mode.
    Webhook(Tenant, Box<webhook::WebhookCommand>),
}

impl Command {
    /// Adds the keys of the rows this command needs.
    pub fn wants(&self, wanted: &mut RowKeys) {
        match self {
            Self::Register(register) => {
                let tenant = register.new.tenant;
                wanted.keys.insert((tenant, register.charge.hash));
                wanted.keys.extend(register.key.map(|key| (tenant, key.hash)));
                wanted.payments.insert((tenant, register.id));
            }
            Self::Settle { tenant, payment, .. } => {
                wanted.payments.insert((*tenant, *payment));
            }
            Self::Create(create) => {
                let tenant = create.new.tenant;
                wanted.keys.extend(create.key.map(|key| (tenant, key)));
                wanted.keys.extend(create.reference.map(|key| (tenant, key)));
                wanted.payments.insert((tenant, create.new.payment));
            }
            Self::Cancel { of, key } => {
                wanted.keys.extend(key.map(|key| (of.tenant, key.hash)));
                of.wants(wanted);
            }
            Self::Lease { of, .. } | Self::Age { of, .. } => of.wants(wanted),
            Self::Record(record) => {
                let tenant = record.of.tenant;
                wanted.keys.extend(record.name.map(|name| (tenant, name)));
                // Only the answer to a first call can say nothing about a refund that is booked.
                let name = record.name.filter(|_| record.observation.source != Source::Submit);
                wanted.keys.extend(name.map(|name| (tenant, name.part())));
                record.of.wants(wanted);
            }
            Self::Resolve(resolve) => {
                wanted.keys.extend(resolve.name.map(|name| (resolve.of.tenant, name)));
                wanted.keys.extend(resolve.key.map(|key| (resolve.of.tenant, key.hash)));
                resolve.of.wants(wanted);
            }
            Self::Adopt(adopt) => {
                wanted.keys.insert((adopt.tenant, adopt.name));
                wanted.payments.insert((adopt.tenant, adopt.payment));
            }
            Self::PlaceHold(place) => place.wants(wanted),
            Self::EndHold(end) => end.wants(wanted),
            Self::OpenCheckout(open) => {
                let tenant = open.new.tenant;
                wanted.keys.extend(open.key.map(|key| (tenant, key.hash)));
                wanted.checkouts.insert((tenant, open.id));
            }
            Self::Checkout(act) => act.wants(wanted),
            Self::CreateInvoice(create) => {
                let tenant = create.new.tenant;
                wanted.keys.extend(create.key.map(|key| (tenant, key.hash)));
                wanted.invoices.insert((tenant, create.id));
                wanted.invoice_numbers.insert(tenant);
            }
            Self::Invoice(act) => act.wants(wanted),
            Self::Webhook(tenant, command) => command.wants(*tenant, wanted),
        }
    }
}

impl RefundRef {
    fn wants(self, wanted: &mut RowKeys) {
        wanted.refunds.insert((self.tenant, self.refund));
        wanted.payments.insert((self.tenant, self.payment));
    }
}

impl From<&Refund> for RefundRef {
    fn from(refund: &Refund) -> Self {
        Self { tenant: refund.tenant, refund: refund.id, payment: refund.payment }
    }
}

/// The result of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    Payment {
        payment: Payment,
        /// The same request had come before.
        replayed: bool,
    },
    /// A refund (as it is now; as it was created, when replayed) and its payment.
    Refund {
        refund: Box<Refund>,
        payment: Payment,
        /// The same request had come before.
        replayed: bool,
    },
    /// A refund whose work was taken, its payment, and the call that it needs.
    Leased { refund: Box<Refund>, payment: Payment, call: Call },
    Hold {
        hold: Box<Hold>,
        /// The same request had come before.
        replayed: bool,
    },
    /// A checkout as it is now; as it was opened, when that is replayed.
    Checkout {
        checkout: Box<Checkout>,
        /// The same request had come before.
        replayed: bool,
    },
    /// An invoice as it is now; as it was written, when that is replayed.
    Invoice {
        invoice: Box<Invoice>,
        /// The same request had come before.
        replayed: bool,
    },
    /// A webhook endpoint as it is now; as it was, when it was removed.
    Endpoint(Box<Endpoint>),
    Delivery {
        delivery: Box<Delivery>,
        /// Its endpoint is not sent to any more since this.
        disabled: bool,
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
    /// No such hold for this account and mode.
    #[error("no such hold")]
    HoldNotFound,
    /// No such webhook endpoint for this account and mode.
    #[error("no such webhook endpoint")]
    EndpointNotFound,
    /// No such delivery for this account and mode.
    #[error("no such delivery")]
    DeliveryNotFound,
    /// The account has as many webhook endpoints as it can have.
    #[error("there are {most} webhook endpoints already", most = crate::webhook::MOST_ENDPOINTS)]
    TooManyEndpoints,
    /// The delivery is still to be sent.
    #[error("the delivery is queued already")]
    AlreadyQueued,
    /// The delivery's webhook endpoint is not active, or is gone.
    #[error("the webhook endpoint is not active")]
    EndpointDisabled,
    /// The idempotency key came before with another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
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
        "amount exceeds refundable balance: {} was asked for and {} is refundable",
        requested.minor,
        refundable.minor
    )]
    OverRefund { requested: Money, refundable: Money, status: payment::Status },
    #[error(
        "nothing is refundable: the payment is refunded, its refunds are under way or its money is held"
    )]
    NothingRefundable { status: payment::Status },
    /// The balance is not what the caller expected.
    #[error("{expected} was expected to be refundable and {refundable} is")]
    BalanceChanged {
        /// The caller's, minor units.
        expected: i64,
        /// The balance, minor units.
        refundable: i64,
    },
    /// The payment's provider is not configured on this node.
    #[error("the provider {0} is not configured here")]
    ProviderNotConfigured(Box<str>),
    /// The payment's provider can never make such a refund.
    #[error("{message}")]
    NotPossible { code: &'static str, message: String },
    /// The refund is past the point where it can be withdrawn.
    #[error("a refund that is {0} cannot be canceled")]
    TooLateToCancel(State),
    /// A person can only decide about a refund that is in doubt or whose outcome is disputed.
    #[error("a refund that is {0} cannot be resolved")]
    CannotResolve(State),
    /// A person says that a refund may be sent again, and an earlier call may still make it.
    #[error("sending this refund again needs proof that the provider does not have it")]
    NoProof,
    /// The provider's refund id belongs to another refund.
    #[error("the provider's refund id belongs to {0}")]
    ProviderRefundTaken(RefundId),
    /// Money is held for the same dispute with other facts.
    #[error("money is held for this dispute already: {0}")]
    DisputeHeld(HoldId),
    /// Only an open hold can end.
    #[error("a hold that is {0} cannot be ended")]
    HoldEnded(hold_state::State),
    /// Another node works on it, or it is not due.
    #[error("the refund is not due")]
    NotDue,
    /// The fact cannot be true of a refund in this state.
    #[error("{fact} cannot happen to a refund that is {state}")]
    Impossible { state: State, fact: Fact },
    /// An adoption must name the amount that it books.
    #[error("the evidence names no amount")]
    NoAmount,
    /// No such checkout for this account and mode.
    #[error("no such checkout")]
    CheckoutNotFound,
    /// No such invoice for this account and mode.
    #[error("no such invoice")]
    InvoiceNotFound,
    /// It cannot happen to a checkout in this state.
    #[error("a checkout that is {state} cannot be {fact}")]
    CheckoutIs { state: checkout_state::State, fact: checkout_state::Fact },
    /// It cannot happen to an invoice in this state.
    #[error("an invoice that is {state} cannot be {fact}")]
    InvoiceIs { state: invoice_state::State, fact: invoice_state::Fact },
    /// There is nothing to send.
    #[error("an invoice that is {0} cannot be sent")]
    InvoiceCannotBeSent(invoice_state::State),
    /// A provider is being asked to take the money.
    #[error("a payment attempt is under way")]
    AttemptInFlight,
    /// Nothing was paid there, so nothing can be refunded.
    #[error("the {kind} is {status} and holds no payment that could be refunded")]
    NotPaid {
        /// The kind of thing that was to be refunded.
        kind: Kind,
        status: &'static str,
    },
    /// A sum would pass what 64 bits hold.
    #[error("a sum would be too large")]
    TooLarge,
}

/// Decides one command. New refunds that may be sent at once are sent.
pub fn decide<R: Rng>(
    view: &mut View,
    command: &Command,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    decide_with(view, command, now, ids, &mut |_| true)
}

/// Decides one command. A new refund for which `may_send` is false waits in the queue instead of being
/// sent at once.
pub fn decide_with<R: Rng>(
    view: &mut View,
    command: &Command,
    now: Timestamp,
    ids: &mut Ids<R>,
    may_send: &mut dyn FnMut(&Capture) -> bool,
) -> Result<Done, Refusal> {
    match command {
        Command::Register(command) => register::decide(view, command, now, ids),
        Command::Settle { tenant, payment, at } => {
            settle::decide(view, (*tenant, *payment), *at, now)
        }
        Command::Create(command) => create::decide(view, command, now, ids, may_send),
        Command::Cancel { of, key } => cancel::decide(view, *of, *key, now, ids),
        Command::Lease { of, lease, lease_ms, behind, rules } => {
            lease::decide(view, *of, (*lease, *lease_ms, *behind), rules, now, ids)
        }
        Command::Age { of, rules } => lease::age(view, *of, rules, now, ids),
        Command::Record(command) => record::decide(view, command, now, ids),
        Command::Resolve(command) => resolve::decide(view, command, now, ids),
        Command::Adopt(command) => record::adopt_or_record(view, command, now, ids),
        Command::PlaceHold(command) => hold::place(view, command, now, ids),
        Command::EndHold(command) => hold::end(view, command, now, ids),
        Command::OpenCheckout(command) => checkout::open(view, command, now, ids),
        Command::Checkout(command) => checkout::act(view, command, now, ids),
        Command::CreateInvoice(command) => invoice::create(view, command, now, ids),
        Command::Invoice(command) => invoice::act(view, command, now, ids),
        Command::Webhook(tenant, command) => webhook::decide(view, *tenant, command, now, ids),
    }
}

/// The rows of a refund and its payment, and the book to write what becomes of them.
type Rows<'a> = (&'a mut Row<Refund>, &'a mut Row<Payment>, &'a mut NewRows);

fn rows(view: &mut View, of: RefundRef) -> Result<Rows<'_>, Refusal> {
    let refund = view.refunds.get_mut(&(of.tenant, of.refund)).ok_or(Refusal::RefundNotFound)?;
    // The refund's own payment counts, also when the command names another one.
    let payment = (of.tenant, refund.value.payment);
    let payment = view.payments.get_mut(&payment).ok_or(Refusal::PaymentNotFound)?;
    Ok((refund, payment, &mut view.new_rows))
}
