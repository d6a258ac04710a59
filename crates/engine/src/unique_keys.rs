//! Hashes of the names that callers and providers give, and of requests.

use crate::input::{IdempotencyKey, KeyRequest};
use domain::checkout::NewCheckout;
use domain::decide::hold::End;
use domain::decide::{Resolution, ResolveRefund};
use domain::hold::NewHold;
use domain::ids::{EventId, HoldId};
use domain::invoice::NewInvoice;
use domain::line_item::LineItem;
use domain::money::Currency;
use domain::payment::{Capture, NewPayment};
use domain::refund::NewRefund;
use domain::tenant::Mode;
use domain::unique_keys::KeyHash;
use sha2::{Digest, Sha256};

/// Hashes fields one after another; each is preceded by its length, so that no two lists of fields
/// hash alike.
struct FieldHasher(Sha256);

impl FieldHasher {
    fn new(namespace: &str) -> Self {
        Self(Sha256::new()).text(namespace)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.0.update(length.to_be_bytes());
        self.0.update(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    fn optional(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text("some").text(text),
            None => self.text("none"),
        }
    }

    fn number(self, number: Option<i64>) -> Self {
        match number {
            Some(number) => self.text("some").bytes(&number.to_be_bytes()),
            None => self.text("none"),
        }
    }

    fn lines(self, lines: &[LineItem]) -> Self {
        lines.iter().fold(self.count(lines.len()), |fields, line| {
            fields.text(&line.text).number(Some(line.quantity)).number(Some(line.unit_amount))
        })
    }

    fn count(self, count: usize) -> Self {
        self.number(i64::try_from(count).ok())
    }

    fn finish(self) -> [u8; 16] {
        let mut half = [0; 16];
        half.copy_from_slice(&self.0.finalize()[..16]);
        half
    }
}

/// The name of an idempotency key.
pub(crate) fn idempotency(key: &IdempotencyKey) -> KeyHash {
    KeyHash(FieldHasher::new("idempotency").text(key.door).text(&key.value).finish())
}

/// Hash by which a repeated request is known.
pub(crate) fn whole_request(parts: &[&[u8]]) -> [u8; 16] {
    parts.iter().fold(FieldHasher::new("request"), |fields, part| fields.bytes(part)).finish()
}

/// The name of a caller's own refund id.
pub(crate) fn reference(reference: &str) -> KeyHash {
    KeyHash(FieldHasher::new("refund reference").text(reference).finish())
}

/// An account at a provider, in whose books ids are unique.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Books<'a> {
    pub(crate) provider: &'a str,
    pub(crate) account: Option<&'a str>,
}

impl<'a> Books<'a> {
    /// The books in which a payment stands.
    pub(crate) fn of(capture: &'a Capture) -> Self {
        Self { provider: &capture.provider, account: capture.provider_account.as_deref() }
    }

    /// Whether a payment stands in them. Where one adapter serves everybody, those of all accounts do.
    pub(crate) fn hold(self, capture: &Capture) -> bool {
        *capture.provider == *self.provider
            && (self.account.is_none() || self.account == capture.provider_account.as_deref())
    }
}

/// The name of a provider's payment id.
pub(crate) fn charge(books: Books<'_>, provider_payment_id: &str) -> KeyHash {
    let fields = FieldHasher::new("provider payment").text(books.provider).optional(books.account);
    KeyHash(fields.text(provider_payment_id).finish())
}

/// The name that payments had before the provider belonged to it.
pub(crate) fn charge_alone(provider_payment_id: &str) -> KeyHash {
    KeyHash(FieldHasher::new("charge").text(provider_payment_id).finish())
}

/// The name of a provider's refund id.
pub(crate) fn provider_refund(books: Books<'_>, provider_refund_id: &str) -> KeyHash {
    let fields = FieldHasher::new("provider refund").text(books.provider).optional(books.account);
    let mut name = fields.text(provider_refund_id).finish();
    name[..LED].copy_from_slice(&leading(provider_refund_id));
    KeyHash(name)
}

/// How many bytes of a name come from the id that it stands for.
const LED: usize = 7;

/// The first nine characters of an id behind its prefix, in six bits each, in their order. Most providers' ids
/// begin with the time, so that the names of refunds that are made one after another stand beside one another on
/// disk: each at a place of its own costs a page of its own.
fn leading(id: &str) -> [u8; LED] {
    let own = id.rsplit_once(['_', '-', '.']).map_or(id, |(_, own)| own);
    let mut bits = 0_u64;
    for at in 0..9 {
        let six = match own.as_bytes().get(at) {
            Some(byte @ b'0'..=b'9') => byte - b'0',
            Some(byte @ b'A'..=b'Z') => byte - b'A' + 10,
            Some(byte @ b'a'..=b'z') => byte - b'a' + 36,
            Some(_) => 62,
            None => 63,
        };
        bits = bits << 6 | u64::from(six);
    }
    let mut bytes = [0; LED];
    bytes.copy_from_slice(&(bits << 2).to_be_bytes()[1..]);
    bytes
}

/// The name that adopted refunds had before the account at the provider belonged to it.
pub(crate) fn external_refund(provider: &str, provider_refund_id: &str) -> KeyHash {
    KeyHash(FieldHasher::new("external refund").text(provider).text(provider_refund_id).finish())
}

/// The name of an event of a provider, by which a repeated webhook is known.
pub(crate) fn inbound_event(books: Books<'_>, event: &str) -> KeyHash {
    let fields = FieldHasher::new("inbound event").text(books.provider).optional(books.account);
    KeyHash(fields.text(event).finish())
}

/// Hash by which a repeated notice of a provider is known.
pub(crate) fn notice(parts: &[&str]) -> KeyHash {
    KeyHash(
        parts.iter().fold(FieldHasher::new("notice"), |fields, part| fields.text(part)).finish(),
    )
}

/// The name of a dispute.
pub(crate) fn dispute(books: Books<'_>, dispute: &str) -> KeyHash {
    let fields = FieldHasher::new("dispute").text(books.provider).optional(books.account);
    KeyHash(fields.text(dispute).finish())
}

/// Hash by which a repeated request for a hold is known.
pub(crate) fn hold_request(new: &NewHold) -> [u8; 16] {
    FieldHasher::new("place hold")
        .bytes(&new.payment.bytes())
        .number(Some(new.amount))
        .optional(new.currency.as_ref().map(Currency::as_str))
        .text(&new.reason)
        .optional(new.reference.as_deref())
        .finish()
}

/// Hash by which a repeated end of a hold is known.
pub(crate) fn end_request(hold: HoldId, end: End) -> [u8; 16] {
    let (word, amount) = match end {
        End::Release => ("release", None),
        End::Book { amount } => ("book", amount),
    };
    FieldHasher::new("end hold").bytes(&hold.bytes()).text(word).number(amount).finish()
}

/// Hash by which a repeated decision of a person is known.
pub(crate) fn resolve_request(resolve: &ResolveRefund) -> [u8; 16] {
    let (word, amount) = match resolve.resolution {
        Resolution::Succeeded { amount } => ("succeeded", amount),
        Resolution::Failed => ("failed", None),
        Resolution::SendAgain => ("send_again", None),
    };
    FieldHasher::new("resolve refund")
        .bytes(&resolve.of.refund.bytes())
        .text(word)
        .number(amount)
        .optional(resolve.provider_refund_id.as_deref())
        .optional(resolve.text.as_deref())
        .finish()
}

/// Hash by which a repeated request for a refund is known.
pub(crate) fn refund_request(new: &NewRefund) -> [u8; 16] {
    FieldHasher::new("create refund")
        .bytes(&new.payment.bytes())
        .number(new.amount)
        .optional(new.currency.as_ref().map(Currency::as_str))
        .number(new.expected_refundable)
        .optional(new.reason.as_deref())
        .optional(new.reference.as_deref())
        .optional(new.metadata.as_deref())
        .finish()
}

/// Hash by which a repeated registration is known. Times that the caller left out do not count.
pub(crate) fn payment_request(new: &NewPayment) -> [u8; 16] {
    FieldHasher::new("register payment")
        .number(Some(new.kind.code()))
        .number(Some(new.captured))
        .text(new.currency.as_str())
        .text(&new.provider)
        .text(&new.provider_payment_id)
        .optional(new.provider_account.as_deref())
        .optional(new.provider_data.as_deref())
        .number(new.captured_at.map(|at| at.0))
        .number(new.settled_at.map(|at| at.0))
        .optional(new.reference.as_deref())
        .optional(new.metadata.as_deref())
        .finish()
}

/// Hash by which a repeated cancellation is known.
pub(crate) fn cancel_request(refund: domain::ids::RefundId) -> [u8; 16] {
    FieldHasher::new("cancel refund").bytes(&refund.bytes()).finish()
}

/// Hash by which a repeated request for a checkout is known.
pub(crate) fn checkout_request(new: &NewCheckout) -> [u8; 16] {
    let fields = FieldHasher::new("open checkout")
        .text(new.kind.as_str())
        .number(Some(new.amount))
        .text(new.currency.as_str())
        .count(new.methods.len());
    new.methods
        .iter()
        .fold(fields, |fields, method| fields.text(method))
        .optional(new.success_url.as_deref())
        .optional(new.cancel_url.as_deref())
        .lines(&new.lines)
        .optional(new.customer.as_deref())
        .optional(new.template.as_deref())
        .optional(new.metadata.as_deref())
        .optional(new.extra.as_deref())
        .number(new.expires_in_ms)
        .finish()
}

/// Hash by which a repeated request for an invoice is known.
pub(crate) fn invoice_request(new: &NewInvoice) -> [u8; 16] {
    FieldHasher::new("create invoice")
        .text(&new.customer)
        .text(new.currency.as_str())
        .lines(&new.lines)
        .number(Some(new.discount))
        .number(Some(new.tax))
        .number(new.due_at.map(|at| at.0))
        .number(Some(i64::from(new.open)))
        .optional(new.memo.as_deref())
        .optional(new.subscription.as_deref())
        .optional(new.template.as_deref())
        .optional(new.metadata.as_deref())
        .finish()
}

/// Hash by which a repeated act on a checkout or an invoice is known.
pub(crate) fn act_request(word: &str, id: ulid::Ulid) -> [u8; 16] {
    FieldHasher::new("act").text(word).bytes(&id.to_bytes()).finish()
}

/// Hash by which a repeated request for an API key is known.
pub(crate) fn key_request(request: &KeyRequest) -> [u8; 16] {
    FieldHasher::new("create API key")
        .bytes(&request.account.bytes())
        .optional(request.mode.map(Mode::as_str))
        .text(&request.scopes)
        .text(request.error_profile.as_str())
        .text(&request.name)
        .finish()
}

/// Hash by which a repeated replay of events is known.
pub(crate) fn replay_request(events: &[EventId]) -> [u8; 16] {
    let fields = FieldHasher::new("replay events").count(events.len());
    events.iter().fold(fields, |fields, event| fields.bytes(&event.bytes())).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn fields_that_only_join_alike_hash_apart() {
        let one = FieldHasher::new("x").text("ab").text("c").finish();
        let other = FieldHasher::new("x").text("a").text("bc").finish();
        assert_ne!(one, other);
        assert_ne!(
            FieldHasher::new("x").optional(None).finish(),
            FieldHasher::new("x").optional(Some("")).finish()
        );
    }

    #[test]
    fn names_of_ids_that_begin_with_a_time_stand_in_their_order() {
        let books = Books { provider: "psp", account: None };
        let name = |id: &str| provider_refund(books, id).0;
        let ids = [
            "re_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "re_01ARZ3NDZ0000000000000000A",
            "re_01BRZ3NDEKTSV4RRFFQ69G5FAV",
            "re_Z",
        ];
        assert!(ids.map(name).is_sorted());
        // The rest of the id, the account and the provider still tell names apart.
        assert_ne!(name("re_01ARZ3NDEKTSV4RRFFQ69G5FAV"), name("re_01ARZ3NDEKTSV4RRFFQ69G5FAW"));
        assert_ne!(name("re_1"), name("pyr_1"));
        let other = Books { provider: "psp", account: Some("pa_1") };
        assert_ne!(name("re_1"), provider_refund(other, "re_1").0);
        let odd = ["", "_", "é", "re_é", "-.-"];
        assert_eq!(odd.map(name).into_iter().collect::<BTreeSet<_>>().len(), odd.len());
    }
}
