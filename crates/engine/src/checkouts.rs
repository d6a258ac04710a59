//! Checkouts: asking somebody to pay, taking the money, and seeing to it that every attempt ends.
//!
//! An attempt is three moves like any money step: the intent is committed, the provider is asked
//! outside of any transaction under the attempt's own key, the outcome is committed. A crash
//! between any two leaves an attempt whose lease runs out; a step asks again under the same key.

use crate::answered::Answered;
use crate::input::IdempotencyKey;
use crate::unique_keys::{self, Books};
use crate::{Engine, Error};
use domain::checkout::{Checkout, NewCheckout, Outcome, PaymentAttempt, State};
use domain::decide::checkout::{Act, ActOnCheckout, Charge, OpenCheckout};
use domain::decide::invoice::{Act as InvoiceAct, ActOnInvoice};
use domain::decide::{Command, Done, KeyedRequest, Refusal};
use domain::ids::{InvoiceId, PaymentId};
use domain::outcome::Failure;
use domain::payment::Kind;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use providers::{
    ChargeAnswer, ChargeInstruction, METHODS, Manual, Method, TakesPayments, parse_method,
};
use std::sync::Arc;
use store::{CheckoutFilter, Page, PageQuery};

/// The way to pay by hand: the buyer sends the money and says so, the merchant looks.
pub const MANUAL: Method = Method { id: Manual::NAME, label: "Bank transfer", group: "offline" };

/// How long a buyer may take to agree to an attempt before it is given up, milliseconds.
const ACTION_MS: i64 = 15 * 60 * 1000;

/// The ways to pay that invoices offer.
const INVOICE_METHODS: &[&str] = &["card", "debit", "paypal", "qris", "ewallet", "va"];

/// The way to pay called `id`, and the outcome that a test asks of the provider.
pub fn find_method(id: &str) -> Option<(Method, Option<&'static str>)> {
    if id == MANUAL.id {
        return Some((MANUAL, None));
    }
    parse_method(id).map(|(method, outcome)| (*method, outcome))
}

/// The names of every way to pay.
pub fn method_ids() -> impl Iterator<Item = &'static str> {
    METHODS.iter().map(|method| method.id).chain([MANUAL.id])
}

/// True when a checkout offers a way to pay, by itself or with a test outcome.
fn offers(checkout: &Checkout, id: &str) -> bool {
    let Some((method, _)) = find_method(id) else { return false };
    checkout.terms.methods.iter().any(|offered| **offered == *id || **offered == *method.id)
}

impl Engine {
    /// Asks somebody to pay.
    pub async fn open_checkout(
        &self,
        new: NewCheckout,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<Checkout>, Error> {
        let (now, tenant) = (self.now(), new.tenant);
        self.payment_provider(tenant)?;
        let request = unique_keys::checkout_request(&new);
        let key = key.map(|key| KeyedRequest { hash: unique_keys::idempotency(key), request });
        let id = PaymentId::from_ulid(self.with_ids(|ids| ids.unguessable(now)));
        let open = OpenCheckout { new, id, key };
        let command = Command::OpenCheckout(Box::new(open));
        self.commit(command, key.map(|key| (tenant, key.hash))).await?.try_into()
    }

    /// The checkout of this kind and id.
    pub async fn find_checkout(
        &self,
        tenant: Tenant,
        kind: Kind,
        id: PaymentId,
    ) -> Result<Option<Checkout>, Error> {
        let found = self.store().find_checkout(tenant, id).await?;
        Ok(found.filter(|checkout| checkout.terms.kind == kind && !checkout.deleted))
    }

    /// The checkout with this id, of whatever kind.
    pub async fn find_any_checkout(
        &self,
        tenant: Tenant,
        id: PaymentId,
    ) -> Result<Option<Checkout>, Error> {
        let found = self.store().find_checkout(tenant, id).await?;
        Ok(found.filter(|checkout| !checkout.deleted))
    }

    /// The checkout of this kind and id, of any account: its id is all that it takes to see and pay
    /// it.
    pub async fn find_public_checkout(
        &self,
        kind: Kind,
        id: PaymentId,
    ) -> Result<Option<Checkout>, Error> {
        let found = self.store().find_checkout_anywhere(id).await?;
        Ok(found.filter(|checkout| checkout.terms.kind == kind && !checkout.deleted))
    }

    /// Where the buyer pays: the hosted page of a checkout, or of an invoice.
    pub fn hosted_url(&self, kind: Kind, id: PaymentId) -> String {
        let folder = if kind == Kind::Invoice { 'i' } else { 'c' };
        let name = id.with_prefix(kind.prefix());
        format!("{}/{folder}/{name}", self.config().public_url)
    }

    /// Proof that its holder may pay a checkout: unlike the id, it is on no page.
    pub fn client_secret(&self, id: PaymentId) -> String {
        self.master_key().tag("client secret", &id.bytes())
    }

    /// The name of the merchant that an account and mode belong to.
    pub async fn merchant_name(&self, tenant: Tenant) -> Result<Box<str>, Error> {
        let account = self.store().find_account_by_number(tenant.account()).await?;
        Ok(account.map(|account| account.name).unwrap_or_default())
    }

    /// Checkouts by time.
    pub async fn list_checkouts(
        &self,
        tenant: Tenant,
        filter: CheckoutFilter,
        page: PageQuery,
    ) -> Result<Page<Checkout>, Error> {
        Ok(self.store().list_checkouts(tenant, filter, page).await?)
    }

    /// Withdraws a checkout. An attempt in flight is stopped at the provider after that.
    pub async fn cancel_checkout(
        &self,
        checkout: &Checkout,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<Checkout>, Error> {
        self.act(checkout, "cancel", Act::Cancel, key).await
    }

    /// The merchant saw the money that a buyer sent by hand.
    pub async fn confirm_checkout(
        &self,
        checkout: &Checkout,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<Checkout>, Error> {
        // Money sent by hand has no id but the checkout's own.
        let tenant = checkout.terms.tenant;
        let (provider, id) = match checkout.provider_payment_id.clone() {
            Some(id) => (self.payment_provider_name(tenant).ok_or_else(no_payment_provider)?, id),
            None => (Manual::NAME, checkout.terms.name().into()),
        };
        let act = Act::Confirm { charge: self.charge_of(provider, &id) };
        self.act(checkout, "confirm", act, key).await
    }

    /// Removes a checkout that was not paid and is not being paid. One that is gone is found all
    /// the same, for who repeats the request.
    pub async fn delete_checkout(
        &self,
        tenant: Tenant,
        kind: Kind,
        id: PaymentId,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<Checkout>, Error> {
        let found = self.store().find_checkout(tenant, id).await?;
        let found = found.filter(|checkout| checkout.terms.kind == kind);
        self.act(&found.ok_or(Refusal::CheckoutNotFound)?, "delete", Act::Delete, key).await
    }

    /// The buyer pays. A second click is answered with the progress of the first.
    pub async fn pay_checkout(&self, checkout: &Checkout, method: &str) -> Result<Checkout, Error> {
        Ok(self.pay_checkout_once(checkout, method, None).await?.value)
    }

    /// The same for a caller that names its request: repeated, it starts no other attempt.
    pub async fn pay_checkout_once(
        &self,
        checkout: &Checkout,
        method: &str,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<Checkout>, Error> {
        if !offers(checkout, method) {
            return Err(Error::Invalid {
                field: "method",
                message: format!("method must be one of {}", checkout.terms.methods.join(", ")),
            });
        }
        let word = format!("pay by {method}");
        let method = method.into();
        let act = if method == Box::from(MANUAL.id) {
            Act::Choose { method }
        } else {
            let lease_until = self.now().plus_ms(self.config().lease_ms);
            Act::Start { method, lease_until }
        };
        let fresh = |value| Answered { value, replayed: false };
        let started = match self.act(checkout, &word, act, key).await {
            Ok(answered) if answered.replayed => return Ok(answered),
            Ok(answered) => answered.value,
            Err(Error::Refused(Refusal::CheckoutIs {
                state: State::Pending | State::Completed,
                ..
            })) => return self.read_again(checkout).await.map(fresh),
            Err(error) => return Err(error),
        };
        if started.flight == PaymentAttempt::None {
            return Ok(fresh(started));
        }
        self.see_through(started).await.map(fresh)
    }

    /// The buyer agrees to the attempt that needs it, or does not.
    pub async fn answer_action(&self, checkout: &Checkout, agree: bool) -> Result<Checkout, Error> {
        let checkout = self.read_again(checkout).await?;
        if checkout.flight != PaymentAttempt::ActionRequired || checkout.state != State::Pending {
            return Ok(checkout);
        }
        let (tenant, key) = (checkout.terms.tenant, checkout.provider_key());
        let Ok(provider) = self.payment_provider(tenant) else { return Ok(checkout) };
        let answer = if agree {
            provider.approve_charge(tenant, &key).await
        } else {
            provider.stop_charge(tenant, &key, checkout.terms.money()).await
        };
        self.record_charge(&checkout, provider.name(), answer).await;
        self.read_again(&checkout).await
    }

    /// The buyer says that the money was sent by hand.
    pub async fn claim_checkout(
        &self,
        checkout: &Checkout,
        proof_url: Option<Box<str>>,
    ) -> Result<Checkout, Error> {
        if !offers(checkout, MANUAL.id) {
            return Err(Error::Invalid {
                field: "method",
                message: "this checkout does not offer payment by hand".into(),
            });
        }
        let act = Act::Claim { method: MANUAL.id.into(), proof_url };
        Ok(self.act(checkout, "claim", act, None).await?.value)
    }

    /// The ways to pay that an invoice offers.
    pub(crate) fn invoice_methods(&self, tenant: Tenant) -> Vec<Box<str>> {
        match self.payment_provider(tenant) {
            Ok(_) => INVOICE_METHODS.iter().map(|id| Box::from(*id)).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// The name of the provider that takes payments, if one is configured.
    pub fn payment_provider_name(&self, tenant: Tenant) -> Option<&'static str> {
        self.registry().payment_provider_name(tenant)
    }

    fn payment_provider(&self, tenant: Tenant) -> Result<&Arc<dyn TakesPayments>, Error> {
        self.registry().payment_provider(tenant).ok_or_else(no_payment_provider)
    }

    async fn act(
        &self,
        checkout: &Checkout,
        word: &str,
        act: Act,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<Checkout>, Error> {
        let (tenant, id) = (checkout.terms.tenant, checkout.terms.id);
        let request = unique_keys::act_request(word, id.ulid());
        let key = key.map(|key| KeyedRequest { hash: unique_keys::idempotency(key), request });
        let command = Command::Checkout(Box::new(ActOnCheckout { tenant, id, act, key }));
        self.commit(command, key.map(|key| (tenant, key.hash))).await?.try_into()
    }

    async fn read_again(&self, checkout: &Checkout) -> Result<Checkout, Error> {
        let found = self.store().find_checkout(checkout.terms.tenant, checkout.terms.id).await?;
        Ok(found.filter(|found| !found.deleted).ok_or(Refusal::CheckoutNotFound)?)
    }

    /// Notes that a buyer looks at the page of a checkout whose door tells that. Nothing depends on
    /// it, so nothing is said when it fails.
    pub async fn note_visit(&self, checkout: &Checkout) {
        let noted = checkout.visited_at.is_some() || checkout.state.is_over();
        if noted || checkout.terms.kind != Kind::Checkout {
            return;
        }
        if let Err(error) = self.act(checkout, "visit", Act::Visit, None).await {
            tracing::warn!(%error, checkout = %checkout.terms.id, "a visit was not noted");
        }
    }

    /// Asks the provider, also when the caller does not stay for the answer.
    async fn see_through(&self, started: Checkout) -> Result<Checkout, Error> {
        let (engine, attempt) = (self.clone(), started.clone());
        let (finish, finished) = tokio::sync::oneshot::channel();
        self.spawn(async move {
            engine.attempt(&attempt).await;
            let _ = finish.send(());
        });
        let _ = finished.await;
        self.read_again(&started).await
    }

    /// Asks the provider about the attempt in flight and records what it says.
    async fn attempt(&self, checkout: &Checkout) {
        let Ok(provider) = self.payment_provider(checkout.terms.tenant) else {
            tracing::error!(checkout = %checkout.terms.id, "no provider is configured that takes payments");
            return;
        };
        let (terms, key) = (&checkout.terms, checkout.provider_key());
        // Nobody waits for it any more, or the buyer did not agree in time.
        let stop = checkout.state != State::Pending
            || checkout.has_run_out(self.now())
            || checkout.flight == PaymentAttempt::ActionRequired;
        let call = async {
            if stop {
                return provider.stop_charge(terms.tenant, &key, terms.money()).await;
            }
            let method = checkout.method.clone().unwrap_or_default();
            let key = key.clone().into();
            let instruction =
                ChargeInstruction { tenant: terms.tenant, key, money: terms.money(), method };
            provider.charge(instruction).await
        };
        let limit = self.config().provider_timeout;
        let answer = tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
            ChargeAnswer::Unknown(Failure::new("timeout", "the provider did not answer in time"))
        });
        self.record_charge(checkout, provider.name(), answer).await;
    }

    /// Records an answer. When that fails the lease runs out and a step asks again.
    async fn record_charge(
        &self,
        checkout: &Checkout,
        provider: &'static str,
        answer: ChargeAnswer,
    ) {
        let policy = self.config().policies.of(provider);
        let backoff = match &answer {
            ChargeAnswer::Unknown(_) => policy.unknown,
            ChargeAnswer::Paid { .. }
            | ChargeAnswer::Declined(_)
            | ChargeAnswer::ActionRequired
            | ChargeAnswer::Processing => policy.pending,
        };
        let mut wait = self.with_ids(|ids| backoff.wait_ms(checkout.checks, ids.rng()));
        let mut charge = None;
        let outcome = match answer {
            ChargeAnswer::Paid { provider_payment_id, money, at } => {
                charge = Some(self.charge_of(provider, &provider_payment_id));
                Outcome::Paid { provider_payment_id, money, at }
            }
            ChargeAnswer::Declined(why) => Outcome::Declined(why),
            ChargeAnswer::ActionRequired => {
                wait = ACTION_MS;
                Outcome::ActionRequired
            }
            ChargeAnswer::Processing => Outcome::Processing,
            ChargeAnswer::Unknown(why) => {
                tracing::warn!(checkout = %checkout.terms.id, code = %why.code, "a charge was not answered");
                Outcome::Lost
            }
        };
        let (tenant, id, attempt) = (checkout.terms.tenant, checkout.terms.id, checkout.attempts);
        let recheck_at = self.now().plus_ms(wait);
        let act = Act::Record { attempt, outcome, charge, recheck_at };
        let command = Command::Checkout(Box::new(ActOnCheckout { tenant, id, act, key: None }));
        if let Err(error) = self.committer().run(command).await {
            tracing::error!(checkout = %id, %error, "a charge was not recorded; it is asked about again");
        }
    }

    /// When the next checkout or invoice is due, if any is.
    pub async fn next_checkout_due(&self) -> Result<Option<Timestamp>, Error> {
        Ok(self.store().next_checkout_due().await?)
    }

    /// Does what is due: attempts without an answer are asked about, checkouts whose time is over
    /// expire, invoices become past due. Returns how many were worked on.
    pub async fn step_checkouts(&self, limit: u32) -> Result<usize, Error> {
        let now = self.now();
        let lease_until = now.plus_ms(self.config().lease_ms);
        let mut commands = Vec::new();
        for (tenant, id) in self.store().due_checkouts(now, limit).await? {
            let act = Act::Wake { lease_until };
            let act = ActOnCheckout { tenant, id, act, key: None };
            commands.push(Command::Checkout(Box::new(act)));
        }
        for (tenant, id) in self.store().due_invoices(now, limit).await? {
            let act = ActOnInvoice { tenant, id, act: InvoiceAct::Wake, key: None };
            commands.push(Command::Invoice(Box::new(act)));
        }
        let worked = commands.len();
        let mut pending = Vec::with_capacity(worked);
        for command in commands {
            // A full queue leaves the rest for the next step.
            let Ok(answer) = self.committer().submit(command) else { break };
            pending.push(answer);
        }
        let mut attempts = tokio::task::JoinSet::new();
        for answer in pending {
            match answer.await.unwrap_or_else(|_| Err(Error::closed())) {
                Ok(Done::Checkout { checkout, .. }) if checkout.flight != PaymentAttempt::None => {
                    let engine = self.clone();
                    attempts.spawn(async move { engine.attempt(&checkout).await });
                }
                // Done, or another node was faster.
                Ok(_) | Err(Error::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        attempts.join_all().await;
        Ok(worked)
    }

    fn charge_of(&self, provider: &'static str, provider_payment_id: &str) -> Charge {
        Charge {
            provider: provider.into(),
            id: provider_payment_id.into(),
            name: unique_keys::charge(Books { provider, account: None }, provider_payment_id),
            settles_after_ms: self.settles_after_ms(provider),
        }
    }

    /// Why a refund of something that holds no payment is refused.
    pub(crate) async fn why_not_paid(
        &self,
        tenant: Tenant,
        id: PaymentId,
        kind: Option<Kind>,
    ) -> Result<Refusal, Error> {
        let wanted = |found| kind.is_none_or(|kind| kind == found);
        let invoice = self.store().find_invoice(tenant, InvoiceId::from_ulid(id.ulid())).await?;
        if let Some(invoice) = invoice.filter(|_| wanted(Kind::Invoice)) {
            let status = invoice.state.as_str();
            return Ok(Refusal::NotPaid { kind: Kind::Invoice, status });
        }
        let checkout = self.store().find_checkout(tenant, id).await?;
        Ok(match checkout.filter(|found| !found.deleted && wanted(found.terms.kind)) {
            Some(found) => {
                Refusal::NotPaid { kind: found.terms.kind, status: found.state.as_str() }
            }
            None => Refusal::PaymentNotFound,
        })
    }
}

fn no_payment_provider() -> Error {
    let message = "no provider is configured that takes payments".into();
    Error::Invalid { field: "methods", message }
}
