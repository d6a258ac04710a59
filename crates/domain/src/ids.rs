//! Typed ids: a prefix that says what it is and a ULID that says when and which.
//!
//! A payment shares its ULID with the thing it pays for (session, invoice, intent, checkout), so
//! `cs_X`, `pi_X` and `pay_X` name one payment without any lookup.

use crate::time::Timestamp;
use rand_core::Rng;
use ulid::Ulid;

/// Why a text is not the id it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The prefix names something else, or is missing.
    #[error("the id must start with {0}")]
    Prefix(&'static str),
    /// The prefix is not followed by 26 characters of Crockford base 32.
    #[error("the part after the prefix must be a ULID of 26 characters")]
    Ulid,
}

fn parse_ulid(text: &str) -> Result<Ulid, IdError> {
    // Lower case would name the same row under a second spelling; one spelling keeps ids
    // comparable.
    if text.bytes().any(|b| b.is_ascii_lowercase()) {
        return Err(IdError::Ulid);
    }
    Ulid::from_string(text).map_err(|_| IdError::Ulid)
}

macro_rules! id {
    ($(#[$meta:meta])* $name:ident, $prefix:literal $(, $alias:literal)*) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ulid);

        impl $name {
            /// The prefix this kind of id is printed with.
            pub const PREFIX: &str = $prefix;

            /// Wraps a ULID.
            pub const fn from_ulid(ulid: Ulid) -> Self {
                Self(ulid)
            }

            /// The ULID without its prefix.
            pub const fn ulid(self) -> Ulid {
                self.0
            }

            /// The 16 bytes kept in the database; they sort by time.
            pub const fn bytes(self) -> [u8; 16] {
                self.0.to_bytes()
            }

            /// The id stored as `bytes`.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Ulid::from_bytes(bytes))
            }

            /// When the id was made, to the millisecond.
            pub fn at(self) -> Timestamp {
                Timestamp(i64::try_from(self.0.timestamp_ms()).unwrap_or(i64::MAX))
            }

            /// Reads an id with its prefix (or one of the prefixes accepted on input).
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let rest = text.strip_prefix($prefix)
                    $(.or_else(|| text.strip_prefix($alias)))*
                    .ok_or(IdError::Prefix($prefix))?;
                parse_ulid(rest).map(Self)
            }

            /// Prints the id with another prefix than its own, as some doors do.
            pub fn with_prefix(self, prefix: &str) -> String {
                let mut buf = [0; ulid::ULID_LEN];
                let text = self.0.array_to_str(&mut buf);
                let mut out = String::with_capacity(prefix.len() + ulid::ULID_LEN);
                out.push_str(prefix);
                out.push_str(text);
                out
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut buf = [0; ulid::ULID_LEN];
                f.write_str($prefix)?;
                f.write_str(self.0.array_to_str(&mut buf))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{self}")
            }
        }
    };
}

id!(/// A merchant.
    AccountId, "acc_");
id!(/// A payment that can be refunded, whatever door it came through.
    PaymentId, "pay_");
id!(/// A refund. `rf_` and `re_` name the same refund on input.
    RefundId, "rfd_", "rf_", "re_");
id!(/// Money of a payment that is held.
    HoldId, "hld_");
id!(/// An invoice. `in_` names the same invoice on input.
    InvoiceId, "inv_", "in_");
id!(/// Something that happened.
    EventId, "evt_");
id!(/// A webhook endpoint.
    EndpointId, "whep_");
id!(/// A delivery of an event to a webhook endpoint.
    DeliveryId, "dlv_");
id!(/// A statement of a provider that fits nothing yet.
    NoticeId, "ntc_");
id!(/// The credentials of a payment provider.
    ProviderAccountId, "pa_");
id!(/// One transfer of the ledger: a debit and a credit of the same amount.
    TransferId, "tx_");
id!(/// One leg of a transfer.
    EntryId, "le_");
id!(/// An API request, for support.
    RequestId, "req_");

impl TransferId {
    /// The ids of the debit leg and of the credit leg. [`Ids::transfer`] leaves room for both.
    pub fn legs(self) -> (EntryId, EntryId) {
        (EntryId(self.0), EntryId(Ulid(self.0.0.saturating_add(1))))
    }
}

/// Makes ids that increase within one source, also within one millisecond.
#[derive(Debug)]
pub struct Ids<R> {
    rng: R,
    last: u128,
}

impl<R: Rng> Ids<R> {
    /// A source of ids drawing from `rng`.
    pub const fn new(rng: R) -> Self {
        Self { rng, last: 0 }
    }

    /// The random source, for jitter and secrets that must replay from the same seed.
    pub const fn rng(&mut self) -> &mut R {
        &mut self.rng
    }

    fn next(&mut self, now: Timestamp, room: u128) -> Ulid {
        let ms = u64::try_from(now.0).unwrap_or(0);
        let last = Ulid(self.last);
        // A fresh random part per millisecond; within one, count up from it. The top bit of the
        // random part stays clear so that counting up never runs into the time.
        let ulid = if last.timestamp_ms() >= ms && self.last != 0 {
            Ulid(self.last + 1)
        } else {
            let random =
                (u128::from(self.rng.next_u64()) << 15) | u128::from(self.rng.next_u32() & 0x7fff);
            Ulid::from_parts(ms, random)
        };
        self.last = ulid.0 + (room - 1);
        ulid
    }

    /// A ULID greater than every one before it from this source.
    pub fn ulid(&mut self, now: Timestamp) -> Ulid {
        self.next(now, 1)
    }

    /// A ULID that nobody can guess from its neighbours: its random part is all fresh, also where
    /// others are made in the same millisecond. For what is public to whoever knows its id.
    pub fn unguessable(&mut self, now: Timestamp) -> Ulid {
        let random =
            (u128::from(self.rng.next_u64()) << 16) | u128::from(self.rng.next_u32() & 0xffff);
        Ulid::from_parts(u64::try_from(now.0).unwrap_or(0), random)
    }

    /// A new payment id.
    pub fn payment(&mut self, now: Timestamp) -> PaymentId {
        PaymentId(self.ulid(now))
    }

    /// A new refund id.
    pub fn refund(&mut self, now: Timestamp) -> RefundId {
        RefundId(self.ulid(now))
    }

    /// A new hold id.
    pub fn hold(&mut self, now: Timestamp) -> HoldId {
        HoldId(self.ulid(now))
    }

    /// A new webhook endpoint id.
    pub fn endpoint(&mut self, now: Timestamp) -> EndpointId {
        EndpointId(self.ulid(now))
    }

    /// A new delivery id.
    pub fn delivery(&mut self, now: Timestamp) -> DeliveryId {
        DeliveryId(self.ulid(now))
    }

    /// A new provider account id.
    pub fn provider_account(&mut self, now: Timestamp) -> ProviderAccountId {
        ProviderAccountId(self.ulid(now))
    }

    /// A new event id.
    pub fn event(&mut self, now: Timestamp) -> EventId {
        EventId(self.ulid(now))
    }

    /// A new transfer id with room for the ids of its two legs.
    pub fn transfer(&mut self, now: Timestamp) -> TransferId {
        TransferId(self.next(now, 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    #[test]
    fn ids_increase_within_and_across_milliseconds() {
        let mut ids = Ids::new(ChaCha8Rng::seed_from_u64(7));
        let mut last = ids.ulid(Timestamp(1_000));
        for step in 0..10_000_i64 {
            // The clock stands still, moves on, and now and then jumps back.
            let now = Timestamp(1_000 + step / 3 - if step % 100 == 0 { 50 } else { 0 });
            let transfer = ids.transfer(now);
            assert!(transfer.ulid() > last);
            assert!(transfer.legs().1.ulid() > transfer.ulid());
            last = transfer.legs().1.ulid();
        }
    }

    #[test]
    fn an_id_reads_back_under_each_accepted_prefix_only() {
        let id = Ids::new(ChaCha8Rng::seed_from_u64(1)).refund(Timestamp(1_700_000_000_000));
        assert_eq!(RefundId::parse(&id.to_string()), Ok(id));
        assert_eq!(RefundId::parse(&id.with_prefix("rf_")), Ok(id));
        assert_eq!(RefundId::parse(&id.with_prefix("re_")), Ok(id));
        assert_eq!(id.at(), Timestamp(1_700_000_000_000));
        assert!(RefundId::parse(&id.with_prefix("pay_")).is_err());
        assert!(RefundId::parse(&id.to_string().to_lowercase()).is_err());
        assert!(RefundId::parse("rfd_").is_err());
        assert!(RefundId::parse("rfd_01HX/../01HX0000000000000").is_err());
    }
}
