//! The shape of statements that fit nothing yet.

use crate::http::print::Shown;
use crate::http::time::Iso;
use crate::openapi::{Schema, components, printed};
use domain::ids::NoticeId;
use domain::money::Money;
use domain::outcome::{ProviderOutcome, Source};
use engine::{DisputeStage, KeptNotice, NoticeAbout, Unmatched};

printed! {
    /// A statement of a provider that fits nothing yet.
    #[serde(rename_all = "camelCase")]
    pub struct NoticeWire<'a> {
        id: Shown<NoticeId> = components::id(&[NoticeId::PREFIX]),
        provider: &'a str = Schema::string().like("simulator"),
        provider_account: Option<&'a str> =
            Schema::rare_text("The account at the provider, where it has several."),
        provider_payment_id: &'a str = Schema::string().says("The provider's id of the payment.")
            .like("sim_ch_usd"),
        provider_refund_id: Option<&'a str> =
            Schema::text_or_null("The provider's id of the refund.").like("sim_re_7"),
        refund_key: Option<&'a str> =
            Schema::rare_text("Our key of the refund, where the provider echoed one."),
        outcome: Option<&'static str> = Schema::one_of(ProviderOutcome::ALL, ProviderOutcome::as_str)
            .says("What it says of a refund; `null` for a dispute.").or_null().like("completed"),
        dispute: Option<&'a str> =
            Schema::rare_text("The provider's id of the dispute, where it is about one."),
        dispute_stage: Option<&'static str> = Schema::one_of(DisputeStage::ALL, DisputeStage::as_str)
            .says("How far the dispute is.").or_null().like(()),
        amount: Option<i64> = Schema::integer(0).says("Minor units.").or_null().like(2500),
        currency: Option<&'a str> = components::currency().or_null(),
        provider_at: Option<Iso> = Schema::time().says("The provider's own time of it.").or_null(),
        failure_code: Option<&'a str> = Schema::rare_text("The provider's word for the failure."),
        failure_message: Option<&'a str> = Schema::rare_text("Why it failed."),
        source: &'static str = Schema::one_of(Source::ALL, Source::as_str)
            .says("How it became known.").like("webhook"),
        reason: &'a str = Schema::one_of(Unmatched::ALL, Unmatched::as_str)
            .says("Why it fits nothing yet."),
        tries: u32 = Schema::integer(0).says("How often it was tried again.").like(3),
        next_try_at: Option<Iso> = Schema::time()
            .says("`null` when only a person can tell where it belongs.").or_null(),
        received_at: Iso = Schema::time(),
    }
}

impl<'a> NoticeWire<'a> {
    pub fn new(kept: &'a KeptNotice) -> Self {
        match &kept.about {
            NoticeAbout::Refund(notice) => {
                let failure = notice.said.failure.as_ref();
                Self {
                    provider_refund_id: notice.said.provider_refund_id.as_deref(),
                    refund_key: notice.key.as_deref(),
                    outcome: Some(notice.said.outcome.as_str()),
                    provider_at: notice.said.at.map(Iso),
                    failure_code: failure.map(|failure| &*failure.code),
                    failure_message: failure.map(|failure| &*failure.message),
                    ..Self::bare(kept, notice.said.money.as_ref())
                }
            }
            NoticeAbout::Dispute(told) => Self {
                dispute: Some(&told.dispute),
                dispute_stage: Some(told.stage.as_str()),
                ..Self::bare(kept, Some(&told.money))
            },
        }
    }

    /// A notice without what only one kind of them has.
    fn bare(kept: &'a KeptNotice, money: Option<&'a Money>) -> Self {
        Self {
            id: Shown(kept.id),
            provider: &kept.provider,
            provider_account: kept.provider_account.as_deref(),
            provider_payment_id: kept.about.provider_payment_id(),
            provider_refund_id: None,
            refund_key: None,
            outcome: None,
            dispute: None,
            dispute_stage: None,
            amount: money.map(|money| money.minor),
            currency: money.map(|money| money.currency.as_str()),
            provider_at: None,
            failure_code: None,
            failure_message: None,
            source: kept.source.as_str(),
            reason: &kept.reason,
            tries: kept.tries,
            next_try_at: kept.due_at.map(Iso),
            received_at: Iso(kept.id.at()),
        }
    }
}
