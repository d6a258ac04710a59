//! Payments: registering, settling and finding them.

use crate::answered::Answered;
use crate::input::{IdempotencyKey, PaymentName};
use crate::unique_keys::{self, Books};
use crate::{Engine, Error};
use domain::decide::{Command, KeyedRequest, Refusal, RegisterPayment};
use domain::ids::{PaymentId, ProviderAccountId};
use domain::payment::{NewPayment, Payment};
use domain::tenant::{Mode, Tenant};
use domain::time::Timestamp;
use domain::unique_keys::{KeyHash, KeyTarget};
use std::collections::BTreeSet;
use store::{Page, PageQuery};

impl Engine {
    /// Registers a captured payment.
    pub async fn register_payment(
        &self,
        mut new: NewPayment,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<Payment>, Error> {
        if !self.registry().traits().contains_key(&*new.provider) {
            let names: Vec<_> = self.registry().names(new.tenant).collect();
            return Err(Error::Invalid {
                field: "provider",
                message: format!(
                    "no provider {:?} is configured; configured: {}",
                    new.provider,
                    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
                ),
            });
        }
        let now = self.now();
        let tenant = new.tenant;
        let request = unique_keys::payment_request(&new);
        let key = key.map(|key| KeyedRequest { hash: unique_keys::idempotency(key), request });
        new.provider_account = match self.account_of(&new).await {
            Ok(account) => account,
            // The accounts may have been others when the same request came before.
            Err(error) => match self.registered_before(tenant, key).await? {
                Some(value) => return Ok(Answered { value, replayed: true }),
                None => return Err(error),
            },
        };
        let books = Books { provider: &new.provider, account: new.provider_account.as_deref() };
        let charge = unique_keys::charge(books, &new.provider_payment_id);
        self.check_old_name(tenant, books, &new.provider_payment_id).await?;
        let command = Command::Register(Box::new(RegisterPayment {
            charge: KeyedRequest { hash: charge, request },
            key,
            settles_after_ms: self.settles_after_ms(&new.provider),
            id: self.with_ids(|ids| ids.payment(now)),
            new,
        }));
        let done = self.commit(command, key.map(|key| (tenant, key.hash))).await?;
        let done: Answered<Payment> = done.try_into()?;
        if !done.replayed {
            self.learn_refunds(&done.value).await;
        }
        match self.find_payment(tenant, done.value.capture.id).await? {
            Some(value) if !done.replayed => Ok(Answered { value, ..done }),
            _ => Ok(done),
        }
    }

    /// The payment that the same request registered under its idempotency key.
    async fn registered_before(
        &self,
        tenant: Tenant,
        key: Option<KeyedRequest>,
    ) -> Result<Option<Payment>, Error> {
        let Some(key) = key else { return Ok(None) };
        let now = self.now();
        let taken = self.store().find_key(tenant, key.hash).await?.filter(|taken| {
            taken.request == key.request
                && taken.target == KeyTarget::Payment
                && taken.expires_at.is_none_or(|at| at > now)
        });
        let Some(taken) = taken else { return Ok(None) };
        self.find_payment(tenant, PaymentId::from_ulid(taken.id)).await
    }

    /// The provider account of a new payment: the one that was named, or else the only one that the
    /// provider has, where it needs one.
    async fn account_of(&self, new: &NewPayment) -> Result<Option<Box<str>>, Error> {
        let invalid = |message| Err(Error::Invalid { field: "providerAccount", message });
        let needs_one = self.registry().adapter_of_account(&new.provider).is_some();
        let provider = &new.provider;
        let states = match (&new.provider_account, needs_one) {
            (None, false) => return Ok(None),
            _ => self.read_account_states(new.tenant).await?,
        };
        let Some(name) = &new.provider_account else {
            let mut its = states.iter().filter(|state| state.provider == *provider);
            return match (its.next(), its.next()) {
                (Some(only), None) => Ok(Some(only.id.to_string().into())),
                (Some(_), Some(_)) => {
                    invalid(format!("there are several accounts at {provider}; say which"))
                }
                (None, _) => invalid(format!(
                    "there is no account at {provider}; make one with POST /api/v1/provider-accounts"
                )),
            };
        };
        let id = ProviderAccountId::parse(name).ok();
        match id.and_then(|id| states.iter().find(|state| state.id == id)) {
            Some(state) if state.provider == *provider => Ok(Some(name.clone())),
            Some(state) => {
                invalid(format!("{name} is an account at {}, not at {provider}", state.provider))
            }
            None => invalid(format!("there is no provider account {name}, or it was deleted")),
        }
    }

    /// Refuses a payment that is registered under the name that payments had before the provider
    /// belonged to it.
    async fn check_old_name(
        &self,
        tenant: Tenant,
        books: Books<'_>,
        provider_payment_id: &str,
    ) -> Result<(), Error> {
        let old = unique_keys::charge_alone(provider_payment_id);
        let Some(id) = self.find_named_payment(tenant, old).await? else { return Ok(()) };
        let known = self.find_payment(tenant, id).await?;
        let is_same = known.is_some_and(|known| *known.capture.provider == *books.provider);
        if is_same { Err(Refusal::ChargeTaken(id).into()) } else { Ok(()) }
    }

    /// Books what is known of refunds that were made before the payment was registered: statements that
    /// came early, and the provider's own list. A list that cannot be read is read by a later step.
    async fn learn_refunds(&self, payment: &Payment) {
        let capture = &payment.capture;
        let (tenant, id) = (capture.tenant, &capture.provider_payment_id);
        if let Err(error) = self.match_notices(tenant, &capture.provider, id).await {
            tracing::warn!(payment = %capture.id, %error, "early statements were not matched yet");
        }
        let account = capture.provider_account.as_deref();
        let Ok(provider) = self.adapter(tenant, &capture.provider, account).await else {
            return;
        };
        if !provider.traits().lookup.list {
            return;
        }
        match self.take_list(tenant, &*provider, capture).await {
            Ok(Ok(_)) => {}
            Ok(Err(why)) => {
                tracing::warn!(payment = %capture.id, code = %why.code, "the provider's refunds were not read");
            }
            Err(error) => {
                tracing::warn!(payment = %capture.id, %error, "the provider's refunds were not booked");
            }
        }
    }

    /// Says when a payment settles or settled. Refunds that are asked for before that are
    /// reversals.
    pub async fn settle_payment(
        &self,
        tenant: Tenant,
        payment: PaymentId,
        at: Timestamp,
    ) -> Result<Payment, Error> {
        let settle = Command::Settle { tenant, payment, at };
        let done: Answered<Payment> = self.commit(settle, None).await?.try_into()?;
        Ok(done.value)
    }

    /// How long after the capture a provider pays merchants out, where that is configured.
    pub(crate) fn settles_after_ms(&self, provider: &str) -> Option<i64> {
        self.config().settlement_ms.get(provider).copied()
    }

    /// The payment with this id.
    pub async fn find_payment(
        &self,
        tenant: Tenant,
        id: PaymentId,
    ) -> Result<Option<Payment>, Error> {
        Ok(self.store().find_payment(tenant, id).await?)
    }

    /// Payments by time of registration.
    pub async fn list_payments(
        &self,
        tenant: Tenant,
        page: PageQuery,
    ) -> Result<Page<Payment>, Error> {
        Ok(self.store().list_payments(tenant, page).await?)
    }

    /// The payment that a caller names. An id is returned as it is, without a look-up. Refused where the
    /// provider's id is one of several payments. Payments at deleted provider accounts have only their own id.
    pub async fn resolve_source(
        &self,
        tenant: Tenant,
        source: &PaymentName,
    ) -> Result<Option<PaymentId>, Error> {
        match source {
            PaymentName::Id(id) => Ok(Some(*id)),
            PaymentName::Charge(charge) => {
                let found = self.find_charge_anywhere(tenant, charge).await?;
                if found.len() > 1 {
                    let message = "payments at several providers or provider accounts have this id; \
                                   name the payment by Refundry's own id";
                    return Err(Error::Invalid { field: "chargeId", message: message.into() });
                }
                Ok(found.first().copied())
            }
        }
    }

    /// The payments with this id at the providers of this node and at the provider accounts of the tenant, or the
    /// one that had it before the provider belonged to its name.
    async fn find_charge_anywhere(
        &self,
        tenant: Tenant,
        charge: &str,
    ) -> Result<BTreeSet<PaymentId>, Error> {
        let accounts = self.provider_account_states(tenant).await?;
        let accounts: Vec<(&str, String)> =
            accounts.iter().map(|state| (&*state.provider, state.id.to_string())).collect();
        let of_everybody = |name: &&str| self.registry().adapter_of_account(name).is_none();
        let names = self.registry().names(tenant).filter(of_everybody);
        let alone = names.map(|provider| Books { provider, account: None });
        let of_accounts = accounts
            .iter()
            .map(|(provider, account)| Books { provider, account: Some(account.as_str()) });
        let mut found = BTreeSet::new();
        for books in alone.chain(of_accounts) {
            found
                .extend(self.find_named_payment(tenant, unique_keys::charge(books, charge)).await?);
        }
        if found.is_empty() {
            found.extend(self.find_named_payment(tenant, unique_keys::charge_alone(charge)).await?);
        }
        Ok(found)
    }

    /// The payment with this id in the books of a provider.
    pub(crate) async fn find_charge(
        &self,
        tenant: Tenant,
        books: Books<'_>,
        provider_payment_id: &str,
    ) -> Result<Option<PaymentId>, Error> {
        let name = unique_keys::charge(books, provider_payment_id);
        if let Some(found) = self.find_named_payment(tenant, name).await? {
            return Ok(Some(found));
        }
        let old = unique_keys::charge_alone(provider_payment_id);
        let Some(id) = self.find_named_payment(tenant, old).await? else { return Ok(None) };
        let payment = self.find_payment(tenant, id).await?;
        let is_here = payment.is_some_and(|payment| *payment.capture.provider == *books.provider);
        Ok(is_here.then_some(id))
    }

    async fn find_named_payment(
        &self,
        tenant: Tenant,
        name: KeyHash,
    ) -> Result<Option<PaymentId>, Error> {
        let key = self.store().find_key(tenant, name).await?;
        let key = key.filter(|key| key.target == KeyTarget::Payment);
        Ok(key.map(|key| PaymentId::from_ulid(key.id)))
    }

    /// Payments with the provider's id `charge`, of whatever account and mode. For the simulator's
    /// own pages, which know no accounts.
    pub async fn find_payments_by_charge_everywhere(
        &self,
        charge: &str,
    ) -> Result<Vec<Payment>, Error> {
        let mut found = Vec::new();
        for account in self.store().list_accounts().await? {
            for &mode in Mode::ALL {
                let tenant = Tenant::new(account.number, mode);
                for id in self.find_charge_anywhere(tenant, charge).await? {
                    found.extend(self.find_payment(tenant, id).await?);
                }
            }
        }
        Ok(found)
    }
}
