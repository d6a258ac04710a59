//! A person's decision about a refund in doubt. It is made by hand, so a field that is not known is
//! refused.

use super::read_id;
use super::wire::RefundWire;
use crate::doors::native::door::Call;
use crate::http::body::{Least, Object, missing};
use crate::http::invalid::{Invalid, one_of};
use crate::http::problem::Problem;
use crate::openapi::{Fields, Schema, components};
use axum::response::Response;
use engine::{Decision, Resolution};
use http::StatusCode;

const LONGEST_ID: usize = 255;
const LONGEST_TEXT: usize = 500;

/// The outcome that a person found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Succeeded,
    Failed,
    SendAgain,
}

impl Outcome {
    const ALL: &[Self] = &[Self::Succeeded, Self::Failed, Self::SendAgain];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::SendAgain => "send_again",
        }
    }
}

pub async fn resolve(call: Call) -> Result<Response, Problem> {
    let id = read_id(&call)?;
    let decision = read(&call.object()?)?;
    let key = call.idempotency_key();
    let answered = call.engine().resolve_refund(call.tenant(), id, decision, key).await?;
    Ok(call.answer_to(
        StatusCode::OK,
        &RefundWire::new(&answered.value, call.account()),
        answered.replayed,
    ))
}

/// The grounds of a decision.
struct Proof {
    provider_refund_id: Option<Box<str>>,
    text: Option<Box<str>>,
}

fn read(object: &Object<'_>) -> Result<Decision, Invalid> {
    object.expect_only(&["outcome", "amount", "proof"])?;
    let outcome = object
        .text("outcome", LONGEST_TEXT)?
        .ok_or_else(|| missing("outcome", "succeeded, failed or send_again"))?;
    let outcome = one_of("outcome", &outcome, Outcome::ALL, Outcome::as_str)?;
    let amount = object.amount("amount", Least::One)?;
    let Proof { provider_refund_id, text } =
        object.object("proof", read_proof)?.ok_or_else(|| missing("proof", PROOF))?;
    if amount.is_some() && outcome != Outcome::Succeeded {
        let message = "amount is what really moved and goes with succeeded only; leave it out";
        return Err(Invalid::field("amount", message));
    }
    let resolution = match outcome {
        Outcome::Succeeded => Resolution::Succeeded { amount },
        Outcome::Failed => Resolution::Failed,
        Outcome::SendAgain if provider_refund_id.is_some() => {
            let message = "send_again means that the provider has no such refund, and one with an id \
                           is there; leave the id out, or say what became of that refund";
            return Err(Invalid::field("proof.providerRefundId", message));
        }
        Outcome::SendAgain if text.is_none() => return Err(missing("proof.text", PROOF)),
        Outcome::SendAgain => Resolution::SendAgain,
    };
    Ok(Decision { resolution, provider_refund_id, text })
}

const PROOF: &str = "what you saw at the provider, and where you looked";

fn read_proof(object: &Object<'_>) -> Result<Proof, Invalid> {
    object.expect_only(&["providerRefundId", "text"])?;
    let provider_refund_id = object.name("providerRefundId", LONGEST_ID)?.map(Into::into);
    let text: Option<Box<str>> = object.name("text", LONGEST_TEXT)?.map(Into::into);
    if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
        return Err(Invalid::field("text", format!("text says nothing; give {PROOF}")));
    }
    if provider_refund_id.is_none() && text.is_none() {
        return Err(missing("text", PROOF));
    }
    Ok(Proof { provider_refund_id, text })
}

pub fn body() -> Schema {
    let proof = Fields::new()
        .may(
            "providerRefundId",
            Schema::name(LONGEST_ID).says("The provider's id of the refund.").or_null(),
        )
        .may(
            "text",
            Schema::name(LONGEST_TEXT)
                .says("What you saw, and where you looked. `send_again` needs it.")
                .or_null(),
        )
        .closed()
        .says("What the decision rests on. At least one of the two.");
    Fields::new()
        .must(
            "outcome",
            Schema::one_of(Outcome::ALL, Outcome::as_str).says(
                "`succeeded`: the provider made the refund. `failed`: it did not, or took it back. \
                 `send_again`: the provider does not have it, so that it is sent again under the same \
                 key.",
            ),
        )
        .may(
            "amount",
            components::amount(1)
                .says(
                    "With `succeeded`: minor units that really moved, where that is not the refund's \
                     amount.",
                )
                .or_null(),
        )
        .must("proof", proof)
        .closed()
        .says("A decision by hand. A field that is not listed is refused; `null` means absent.")
}
