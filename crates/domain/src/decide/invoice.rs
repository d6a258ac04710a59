//! Invoices: writing one, asking for it, and what becomes of it.

use super::checkout;
use super::record_event::record_invoice_event;
use super::unique_keys::{insert_key, live_key};
use super::{Done, KEY_LIFETIME_MS, KeyedRequest, Refusal};
use crate::checkout::{Checkout, State as CheckoutState};
use crate::event::Type;
use crate::ids::{Ids, InvoiceId, PaymentId};
use crate::invoice::{Fact, Invoice, NewInvoice, State, Terms, Totals, next};
use crate::machine::Next;
use crate::payment::Kind;
use crate::tenant::Tenant;
use crate::time::Timestamp;
use crate::unique_keys::{KeyTarget, UniqueKey};
use crate::view::{Row, RowKeys, View};
use rand_core::Rng;
use std::sync::Arc;

/// Writes an invoice.
#[derive(Debug)]
pub struct CreateInvoice {
    pub new: NewInvoice,
    pub totals: Totals,
    pub id: InvoiceId,
    /// The ways to pay that are offered if it is finalized at once.
    pub methods: Vec<Box<str>>,
    /// The caller's idempotency key.
    pub key: Option<KeyedRequest>,
}

/// Does something to an invoice.
#[derive(Debug)]
pub struct ActOnInvoice {
    pub tenant: Tenant,
    pub id: InvoiceId,
    pub act: Act,
    /// The caller's idempotency key.
    pub key: Option<KeyedRequest>,
}

/// An act on an invoice.
#[derive(Debug)]
pub enum Act {
    Finalize {
        methods: Vec<Box<str>>,
    },
    /// The merchant got the money some other way.
    Pay,
    Void,
    /// Notes that it is sent to the buyer.
    Send {
        to: Option<Box<str>>,
    },
    /// Sees to an invoice whose time to be paid is over.
    Wake,
}

impl ActOnInvoice {
    pub(super) fn wants(&self, wanted: &mut RowKeys) {
        wanted.keys.extend(self.key.map(|key| (self.tenant, key.hash)));
        wanted.invoices.insert((self.tenant, self.id));
        wanted.checkouts.insert((self.tenant, PaymentId::from_ulid(self.id.ulid())));
    }
}

pub(super) fn create<R: Rng>(
    view: &mut View,
    create: &CreateInvoice,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let (tenant, id) = (create.new.tenant, create.id);
    if let Some(taken) = replayed(view, tenant, create.key, now)? {
        let row = view.invoices.get(&(tenant, taken)).ok_or(Refusal::InvoiceNotFound)?;
        let mut invoice = blank(row.value.terms.clone(), taken.at());
        if create.new.open {
            issue(&mut invoice, taken.at());
        }
        return Ok(Done::Invoice { invoice: Box::new(invoice), replayed: true });
    }
    if view.invoices.contains_key(&(tenant, id)) {
        return Err(Refusal::PaymentExists(PaymentId::from_ulid(id.ulid())));
    }
    let last = view.invoice_numbers.get(&tenant).map_or(0, |row| row.value);
    let number = last.checked_add(1).ok_or(Refusal::TooLarge)?;
    match view.invoice_numbers.get_mut(&tenant) {
        Some(row) => *row.change() = number,
        None => {
            view.invoice_numbers.insert(tenant, Row::inserted(number));
        }
    }
    // The time of its id, so that a repeated request can be answered the same.
    let terms = Terms::of(&create.new, id, number, create.totals);
    let mut invoice = blank(Arc::new(terms), id.at());
    record_invoice_event(
        &mut invoice,
        &mut view.new_rows,
        Type::InvoiceCreated,
        None,
        id.at(),
        ids,
    );
    if create.new.open {
        ask_for(view, &mut invoice, &create.methods, id.at(), ids);
    }
    take_key(view, tenant, id, create.key, now);
    view.invoices.insert((tenant, id), Row::inserted(invoice.clone()));
    Ok(Done::Invoice { invoice: Box::new(invoice), replayed: false })
}

pub(super) fn act<R: Rng>(
    view: &mut View,
    command: &ActOnInvoice,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let at = (command.tenant, command.id);
    let mut invoice = view.invoices.get(&at).ok_or(Refusal::InvoiceNotFound)?.value.clone();
    if replayed(view, command.tenant, command.key, now)?.is_some() {
        return Ok(Done::Invoice { invoice: Box::new(invoice), replayed: true });
    }
    match &command.act {
        Act::Finalize { methods } => {
            check(&invoice, Fact::Finalized)?;
            ask_for(view, &mut invoice, methods, now, ids);
        }
        Act::Pay => {
            let state = check(&invoice, Fact::PaidElsewhere)?;
            checkout::close(view, &invoice, now)?;
            pay(&mut invoice, state, now);
            record_invoice_event(
                &mut invoice,
                &mut view.new_rows,
                Type::InvoicePaid,
                None,
                now,
                ids,
            );
        }
        Act::Void => {
            let state = check(&invoice, Fact::Voided)?;
            checkout::close(view, &invoice, now)?;
            invoice.state = state;
            invoice.voided_at = Some(now);
            invoice.wake_at = None;
            record_invoice_event(
                &mut invoice,
                &mut view.new_rows,
                Type::InvoiceVoided,
                None,
                now,
                ids,
            );
        }
        Act::Send { to } => {
            if matches!(invoice.state, State::Draft | State::Void) {
                return Err(Refusal::InvoiceCannotBeSent(invoice.state));
            }
            let to = to.as_deref();
            record_invoice_event(&mut invoice, &mut view.new_rows, Type::InvoiceSent, to, now, ids);
        }
        Act::Wake => {
            if invoice.wake_at.is_none_or(|due| now < due) {
                return Err(Refusal::NotDue);
            }
            invoice.wake_at = None;
            if let Next::Move(to) = next(invoice.state, Fact::FellDue) {
                invoice.state = to;
                record_invoice_event(
                    &mut invoice,
                    &mut view.new_rows,
                    Type::InvoicePastDue,
                    None,
                    now,
                    ids,
                );
            }
        }
    }
    take_key(view, command.tenant, command.id, command.key, now);
    if let Some(row) = view.invoices.get_mut(&at)
        && row.value != invoice
    {
        *row.change() = invoice.clone();
    }
    Ok(Done::Invoice { invoice: Box::new(invoice), replayed: false })
}

/// Moves an invoice after its checkout has arrived in another state.
pub(super) fn follow<R: Rng>(
    view: &mut View,
    checkout: &Checkout,
    now: Timestamp,
    ids: &mut Ids<R>,
) {
    let at = (checkout.terms.tenant, InvoiceId::from_ulid(checkout.terms.id.ulid()));
    let Some(row) = view.invoices.get_mut(&at) else { return };
    let invoice = row.change();
    let event = match checkout.state {
        CheckoutState::Open => return,
        CheckoutState::Pending => Type::InvoicePending,
        CheckoutState::Completed => {
            invoice.charged = true;
            let Next::Move(to) = next(invoice.state, Fact::Charged) else { return };
            pay(invoice, to, now);
            Type::InvoicePaid
        }
        CheckoutState::PendingReview
        | CheckoutState::Failed
        | CheckoutState::Expired
        | CheckoutState::Canceled => {
            invoice.attempts = invoice.attempts.saturating_add(1);
            Type::InvoiceFailed
        }
    };
    record_invoice_event(invoice, &mut view.new_rows, event, None, now, ids);
}

fn check(invoice: &Invoice, fact: Fact) -> Result<State, Refusal> {
    match next(invoice.state, fact) {
        Next::Move(to) => Ok(to),
        Next::Stay | Next::Refuse => Err(Refusal::InvoiceIs { state: invoice.state, fact }),
    }
}

/// A new draft.
fn blank(terms: Arc<Terms>, now: Timestamp) -> Invoice {
    Invoice {
        terms,
        state: State::Draft,
        issued_at: None,
        paid_at: None,
        voided_at: None,
        charged: false,
        attempts: 0,
        wake_at: None,
        last_seq: 0,
        updated_at: now,
    }
}

fn issue(invoice: &mut Invoice, now: Timestamp) {
    invoice.state = State::Open;
    invoice.issued_at = Some(now);
    invoice.wake_at = invoice.terms.due_at;
    if invoice.terms.totals.total == 0 {
        // There is nothing to pay.
        pay(invoice, State::Paid, now);
    }
}

fn pay(invoice: &mut Invoice, state: State, now: Timestamp) {
    invoice.state = state;
    invoice.paid_at = Some(now);
    invoice.voided_at = None;
    invoice.wake_at = None;
}

/// Asks for an invoice: it can be paid through a checkout of its own from now on.
fn ask_for<R: Rng>(
    view: &mut View,
    invoice: &mut Invoice,
    methods: &[Box<str>],
    now: Timestamp,
    ids: &mut Ids<R>,
) {
    issue(invoice, now);
    record_invoice_event(invoice, &mut view.new_rows, Type::InvoiceFinalized, None, now, ids);
    if invoice.state == State::Paid {
        record_invoice_event(invoice, &mut view.new_rows, Type::InvoicePaid, None, now, ids);
        return;
    }
    let terms = crate::checkout::Terms {
        tenant: invoice.terms.tenant,
        id: invoice.payment(),
        kind: Kind::Invoice,
        amount: invoice.terms.totals.total,
        currency: invoice.terms.currency,
        methods: methods.to_vec(),
        success_url: None,
        cancel_url: None,
        // They are the invoice's, and kept there.
        lines: Vec::new(),
        customer: None,
        template: None,
        metadata: invoice.terms.metadata.clone(),
        extra: None,
        expires_at: None,
    };
    let at = (terms.tenant, terms.id);
    view.checkouts.insert(at, Row::inserted(Checkout::new(Arc::new(terms), now)));
}

/// The invoice that an idempotency key led to before.
fn replayed(
    view: &View,
    tenant: Tenant,
    key: Option<KeyedRequest>,
    now: Timestamp,
) -> Result<Option<InvoiceId>, Refusal> {
    let Some(key) = key else { return Ok(None) };
    match live_key(view, tenant, key.hash, now) {
        None => Ok(None),
        Some(taken) if taken.request == key.request && taken.target == KeyTarget::Invoice => {
            Ok(Some(InvoiceId::from_ulid(taken.id)))
        }
        Some(_) => Err(Refusal::KeyReused),
    }
}

fn take_key(
    view: &mut View,
    tenant: Tenant,
    id: InvoiceId,
    key: Option<KeyedRequest>,
    now: Timestamp,
) {
    let Some(key) = key else { return };
    let key = UniqueKey {
        tenant,
        hash: key.hash,
        request: key.request,
        target: KeyTarget::Invoice,
        id: id.ulid(),
        state: None,
        expires_at: Some(now.plus_ms(KEY_LIFETIME_MS)),
    };
    insert_key(view, key);
}
