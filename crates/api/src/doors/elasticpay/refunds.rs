//! Refunds of payment intents.

use super::door::Call;
use super::error::Problem;
use super::intents::{find, read_paging, resolve};
use super::wire::{Page, REFUND_PREFIX, RefundAnswer, RefundItem};
use crate::http::answer::mark_replayed;
use crate::http::body::{Least, Object};
use crate::http::headers::preferred_wait;
use crate::http::invalid::{Invalid, excerpt};
use axum::response::Response;
use engine::{NewRefund, RefundFilter};
use std::time::Duration;

/// The reasons that the documentation lists. Its own sample sends another, so any is taken unless
/// the configuration says otherwise.
pub const REASONS: [&str; 3] = ["customer_request", "duplicate", "fraudulent"];
pub const LONGEST_REASON: usize = 500;

/// Creates a refund and answers once the provider has answered or the waiting time is over.
pub async fn create(call: Call) -> Result<Response, Problem> {
    let draft = Draft::read(&call)?;
    let payment = resolve(&call).await?;
    let new = NewRefund {
        amount: draft.amount,
        reason: draft.reason,
        metadata: draft.metadata,
        ..NewRefund::of(call.tenant(), payment)
    };
    let made = call.engine().create_refund(new, call.idempotency_key()).await?;
    let config = call.config();
    let preferred = preferred_wait(call.headers()).map(Duration::from_secs);
    let limit = preferred.map_or(config.elasticpay.wait, |wait| wait.min(config.max_wait));
    let view = call.wait_for(made.value, limit).await;
    let mut response = call.answer(&RefundAnswer::new(&view));
    mark_replayed(&mut response, made.replayed);
    Ok(response)
}

/// The fields of a refund's body. An empty body refunds all that remains.
#[derive(Default)]
struct Draft {
    amount: Option<i64>,
    reason: Option<Box<str>>,
    metadata: Option<Box<str>>,
}

impl Draft {
    fn read(call: &Call) -> Result<Self, Problem> {
        let Some(object) = call.optional_object()? else { return Ok(Self::default()) };
        Ok(Self {
            amount: object.amount("amount_cents", Least::One)?,
            reason: read_reason(&object, call)?,
            metadata: object.metadata("metadata")?,
        })
    }
}

fn read_reason(object: &Object<'_>, call: &Call) -> Result<Option<Box<str>>, Invalid> {
    let field = "reason";
    let Some(reason) = object.text(field, LONGEST_REASON)? else { return Ok(None) };
    if call.config().elasticpay.strict_reasons && !REASONS.contains(&&*reason) {
        let (known, given) = (REASONS.join(", "), excerpt(&reason));
        let message = format!("reason must be one of {known}; got {given:?}");
        return Err(Invalid::field(field, message));
    }
    Ok(Some(reason.into()))
}

/// Lists the refunds of an intent that were made through any door, newest first.
pub async fn list(call: Call) -> Result<Response, Problem> {
    let paging = read_paging(&call, &[REFUND_PREFIX, "rfd_", "rf_"])?;
    let intent = find(&call).await?;
    let Some(payment) = &intent.payment else {
        return Ok(call.answer(&Page { data: Vec::<()>::new(), has_more: false }));
    };
    let filter = RefundFilter { payment: Some(payment.capture.id), ..RefundFilter::default() };
    let page = call.engine().list_refunds(call.tenant(), filter, paging).await?;
    let data: Vec<_> = page.items.iter().map(RefundItem::new).collect();
    Ok(call.answer(&Page { data, has_more: page.more }))
}
