//! Looking for a refund at its provider.

use crate::Engine;
use crate::unique_keys::Books;
use domain::outcome::{Failure, Observation, ProviderOutcome, Said, Source};
use domain::payment::Capture;
use providers::{Call, Lookup, Notice, Provider, RefundInstruction};

/// How many pages of a payment's refunds one look reads.
const PAGES: usize = 20;

/// Why a list of which every page was read says nothing about a refund.
pub(crate) const AMBIGUOUS: &str = "ambiguous";
pub(crate) const LIST_TOO_LONG: &str = "list_too_long";

impl Engine {
    /// Looks for a refund: by its key or id where the provider can, else in the payment's list.
    pub(crate) async fn look(
        &self,
        provider: &dyn Provider,
        instruction: &RefundInstruction,
        call: Call,
    ) -> Observation {
        let by = provider.traits().lookup;
        if by.our_key || by.id && instruction.provider_refund_id.is_some() {
            let found = match provider.lookup(instruction, call).await {
                Lookup::Found(said) => said,
                Lookup::Absent => absent(),
                Lookup::Unknown(why) => Said::unknown(why),
            };
            return said(Source::Lookup, found);
        }
        let is_ours = |notice: &Notice| {
            notice.key.as_ref() == Some(&instruction.key)
                || notice.said.provider_refund_id.is_some()
                    && notice.said.provider_refund_id == instruction.provider_refund_id
        };
        let (mut after, mut nameless) = (None, Vec::new());
        for _ in 0..PAGES {
            let page = match provider.list(&instruction.payment, after.as_deref(), call).await {
                Ok(page) => page,
                Err(why) => return said(Source::List, Said::unknown(why)),
            };
            for notice in page.notices {
                if is_ours(&notice) {
                    return said(Source::List, notice.said);
                }
                if notice.key.is_none() {
                    nameless.push(notice);
                }
            }
            after = page.next;
            if after.is_none() {
                return said(Source::List, self.not_listed(&instruction.payment, nameless).await);
            }
        }
        let why = "the payment has more refunds than one look reads";
        said(Source::List, Said::unknown(Failure::new(LIST_TOO_LONG, why)))
    }

    /// The outcome of a look through a whole list in which no refund has our key. One without any key may
    /// be ours all the same, unless it is known as another one.
    async fn not_listed(&self, payment: &Capture, nameless: Vec<Notice>) -> Said {
        for notice in nameless {
            match self.refund_of(payment.tenant, Books::of(payment), &notice).await {
                Ok(Some(_)) => {}
                Ok(None) => {
                    let why = "the provider lists a refund without a key, which may be this one";
                    return Said::unknown(Failure::new(AMBIGUOUS, why));
                }
                Err(error) => {
                    return Said::unknown(Failure::new("internal_error", &error.to_string()));
                }
            }
        }
        absent()
    }
}

pub(crate) fn said(source: Source, said: Said) -> Observation {
    Observation { source, said }
}

fn absent() -> Said {
    let why = "the provider does not know of this refund, which is no proof yet";
    Said::new(ProviderOutcome::Absent).because(Failure::new("not_found", why))
}
