//! Webhooks that providers send: each statement is recorded for a refund of ours, or the refund
//! that it is about is adopted.

use crate::engine::Engine;
use crate::{Error, unique_keys};
use domain::decide::{Command, RefundRef};
use domain::ids::{PaymentId, RefundId};
use domain::outcome::{Observation, Said, Source};
use domain::refund::Refund;
use domain::tenant::Tenant;
use providers::{InboundWebhook, Notice, Provider, WebhookRefused};
use store::{PageQuery, RefundFilter, SortOrder};

/// How many of a payment's refunds are searched for a provider's refund id.
const SEARCH_LIMIT: u32 = 1_000;

/// Why a webhook was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// No such provider is configured for the account and mode.
    #[error("no such provider is configured")]
    UnknownProvider,
    /// It is not believed.
    #[error(transparent)]
    Refused(#[from] WebhookRefused),
    /// It was believed and could not be recorded; the provider should send it again.
    #[error(transparent)]
    Engine(#[from] Error),
}

impl Engine {
    /// Takes in a provider's webhook: authenticates it and records what it says about each refund.
    pub async fn receive_webhook(
        &self,
        tenant: Tenant,
        provider: &str,
        webhook: InboundWebhook,
    ) -> Result<(), WebhookError> {
        let provider =
            self.registry().find(tenant, provider).cloned().ok_or(WebhookError::UnknownProvider)?;
        for notice in provider.parse_webhook(&webhook)? {
            self.take_notice(tenant, &*provider, notice, Source::Webhook).await?;
        }
        Ok(())
    }

    /// Records what a notice says about a refund of ours, or adopts a refund made elsewhere.
    async fn take_notice(
        &self,
        tenant: Tenant,
        provider: &dyn Provider,
        notice: Notice,
        source: Source,
    ) -> Result<(), Error> {
        let named = crate::input::PaymentName::Charge(notice.provider_payment_id.clone());
        let Some(payment) = self.resolve_source(tenant, &named).await? else {
            tracing::warn!(payment = %notice.provider_payment_id, "a webhook speaks of a payment that is not registered");
            return Ok(());
        };
        let observation = Observation { source, said: notice.said };
        let policy = self.config().policies.of(provider.name());
        let wait = self.with_ids(|ids| policy.pending.wait_ms(0, ids.rng()));
        let recheck_at = self.now().plus_ms(wait);
        let ours = match notice.key.as_deref().and_then(|key| RefundId::parse(key).ok()) {
            Some(id) => self.find_refund(tenant, id).await?.map(|view| view.refund),
            None => self.find_by_provider_id(tenant, payment, &observation.said).await?,
        };
        let command = match (ours, observation.said.provider_refund_id.as_deref()) {
            (Some(refund), _) if refund.payment == payment => {
                Command::Record { of: RefundRef::from(&refund), observation, recheck_at }
            }
            (_, Some(id)) => {
                let name = unique_keys::external_refund(provider.name(), id);
                Command::Adopt { tenant, payment, name, observation, recheck_at }
            }
            (_, None) => return Ok(()),
        };
        match self.committer().run(command).await {
            Ok(_) => Ok(()),
            // Asking the provider to send it again would change nothing.
            Err(Error::Refused(refusal)) => {
                tracing::error!(%refusal, "a webhook was refused");
                metrics::counter!("refundry_evidence_refused_total").increment(1);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The payment's refund that the provider knows under the id that it names.
    async fn find_by_provider_id(
        &self,
        tenant: Tenant,
        payment: PaymentId,
        said: &Said,
    ) -> Result<Option<Refund>, Error> {
        let Some(id) = &said.provider_refund_id else { return Ok(None) };
        let filter = RefundFilter { payment: Some(payment), ..RefundFilter::default() };
        let page = PageQuery {
            limit: SEARCH_LIMIT,
            after: None,
            order: SortOrder::Descending,
            from: None,
            until: None,
        };
        let refunds = self.store().list_refunds(tenant, filter, page).await?;
        let known = |refund: &Refund| refund.provider_refund_id.as_ref() == Some(id);
        Ok(refunds.items.into_iter().map(|view| view.refund).find(known))
    }
}
