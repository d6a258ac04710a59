//! Refunds: asking for one, withdrawing it, waiting for it, finding it.

use crate::answered::Answered;
use crate::input::IdempotencyKey;
use crate::{Engine, Error, unique_keys};
use domain::decide::{Command, CreateRefund, KeyedRequest, RefundRef, Refusal, Start};
use domain::ids::RefundId;
use domain::refund::{NewRefund, RefundView, State, Status};
use domain::tenant::Tenant;
use std::time::Duration;
use store::{Page, PageQuery, RefundFilter};

/// How often a refund that is waited for is looked at, where another node may decide it.
const SHARED_POLL: Duration = Duration::from_millis(200);

impl Engine {
    /// Asks for a refund. Answers when that is durable; the provider is called after that.
    pub async fn create_refund(
        &self,
        new: NewRefund,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<RefundView>, Error> {
        let (tenant, payment, kind) = (new.tenant, new.payment, new.kind);
        let key = key.map(unique_keys::idempotency);
        let slot = self.free_slot();
        let start = match slot {
            Some(_) => Start::Send { lease_until: self.now().plus_ms(self.config().lease_ms) },
            None => Start::Queue,
        };
        let command = Command::Create(Box::new(CreateRefund {
            reference: new.reference.as_deref().map(unique_keys::reference),
            key,
            request: unique_keys::refund_request(&new),
            new,
            start,
        }));
        match self.commit(command, slot, key.map(|key| (tenant, key))).await {
            Err(Error::Refused(Refusal::PaymentNotFound)) => {
                Err(self.why_not_paid(tenant, payment, kind).await?.into())
            }
            done => done?.try_into(),
        }
    }

    /// Withdraws a refund that was not sent yet.
    pub async fn cancel_refund(
        &self,
        tenant: Tenant,
        id: RefundId,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<RefundView>, Error> {
        let found = self.find_refund(tenant, id).await?.ok_or(Refusal::RefundNotFound)?;
        let request = unique_keys::cancel_request(id);
        let key = key.map(|key| KeyedRequest { hash: unique_keys::idempotency(key), request });
        let command = Command::Cancel { of: RefundRef::from(&found.refund), key };
        self.commit(command, None, key.map(|key| (tenant, key.hash))).await?.try_into()
    }

    /// Waits until the refund is decided or needs a person, or `limit` is over. Always the refund
    /// as it is then.
    pub async fn wait_for_refund(
        &self,
        tenant: Tenant,
        id: RefundId,
        limit: Duration,
    ) -> Result<Option<RefundView>, Error> {
        let Some(waiter) = self.waiters().wait(id) else {
            return self.find_refund(tenant, id).await;
        };
        let until_decided = async {
            loop {
                let changed = waiter.changed();
                tokio::pin!(changed);
                changed.as_mut().enable();
                let found = self.find_refund(tenant, id).await?;
                let decided = found.as_ref().is_none_or(|view| {
                    let state = view.refund.state;
                    state.status() != Status::Pending || state == State::NeedsReview
                });
                if decided {
                    return Ok(found);
                }
                if self.store().is_shared() {
                    // Other nodes wake nobody here.
                    let _ = tokio::time::timeout(SHARED_POLL, changed).await;
                } else {
                    changed.await;
                }
            }
        };
        match tokio::time::timeout(limit, until_decided).await {
            Ok(found) => found,
            Err(_) => self.find_refund(tenant, id).await,
        }
    }

    /// The refund with this id.
    pub async fn find_refund(
        &self,
        tenant: Tenant,
        id: RefundId,
    ) -> Result<Option<RefundView>, Error> {
        Ok(self.store().find_refund(tenant, id).await?)
    }

    /// Refunds by time of creation.
    pub async fn list_refunds(
        &self,
        tenant: Tenant,
        filter: RefundFilter,
        page: PageQuery,
    ) -> Result<Page<RefundView>, Error> {
        Ok(self.store().list_refunds(tenant, filter, page).await?)
    }
}
