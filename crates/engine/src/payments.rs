//! Payments: registering, settling and finding them.

use crate::answered::Answered;
use crate::input::{IdempotencyKey, PaymentName};
use crate::{Engine, Error, unique_keys};
use domain::decide::{Command, KeyedRequest, RegisterPayment};
use domain::ids::PaymentId;
use domain::payment::{NewPayment, Payment};
use domain::tenant::{Mode, Tenant};
use domain::time::Timestamp;
use domain::unique_keys::KeyTarget;
use store::{Page, PageQuery};

impl Engine {
    /// Registers a captured payment.
    pub async fn register_payment(
        &self,
        new: NewPayment,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<Payment>, Error> {
        if self.registry().find(new.tenant, &new.provider).is_none() {
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
        let command = Command::Register(Box::new(RegisterPayment {
            charge: KeyedRequest { hash: unique_keys::charge(&new.provider_payment_id), request },
            key,
            settles_after_ms: self.settles_after_ms(&new.provider),
            id: self.with_ids(|ids| ids.payment(now)),
            new,
        }));
        self.commit(command, None, key.map(|key| (tenant, key.hash))).await?.try_into()
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
        let done: Answered<Payment> = self.commit(settle, None, None).await?.try_into()?;
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

    /// The payment that a caller names. An id is returned as it is, without a look-up.
    pub async fn resolve_source(
        &self,
        tenant: Tenant,
        source: &PaymentName,
    ) -> Result<Option<PaymentId>, Error> {
        match source {
            PaymentName::Id(id) => Ok(Some(*id)),
            PaymentName::Charge(charge) => {
                let key = self.store().find_key(tenant, unique_keys::charge(charge)).await?;
                let key = key.filter(|key| key.target == KeyTarget::Payment);
                Ok(key.map(|key| PaymentId::from_ulid(key.id)))
            }
        }
    }

    /// Payments with the provider's id `charge`, of whatever account and mode. For the simulator's
    /// own pages, which know no accounts.
    pub async fn find_payments_by_charge_everywhere(
        &self,
        charge: &str,
    ) -> Result<Vec<Payment>, Error> {
        let source = PaymentName::Charge(charge.into());
        let mut found = Vec::new();
        for account in self.store().list_accounts().await? {
            for &mode in Mode::ALL {
                let tenant = Tenant::new(account.number, mode);
                if let Some(id) = self.resolve_source(tenant, &source).await? {
                    found.extend(self.find_payment(tenant, id).await?);
                }
            }
        }
        Ok(found)
    }
}
