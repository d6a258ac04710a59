//! Scripts: the word in the metadata of a refund, or of its payment, that selects the simulator's
//! behaviour.

use serde::Deserialize;
use serde::de::value::StrDeserializer;

const MEMBER: &str = "simulate";

/// Longest code in `refuse:<code>`.
const CODE_LIMIT: usize = 64;

/// Longest delay in a script: a year.
const DELAY_LIMIT_MS: i64 = 366 * 24 * 60 * 60 * 1000;

/// The known words, for the answer to an unknown one.
pub(crate) const WORDS: &str = "succeed, succeed_after:<ms>, refuse[:<code>], \
    timeout_after_booking, timeout_before_booking, server_error, garbage, wrong_amount, \
    stay_pending, no_funds_then_ok, webhook_twice, webhook_out_of_order, webhook_never, \
    webhook_forged, late_failure[:<ms>]";

/// The behaviour for one refund. serde reads the scripts without an argument.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Script {
    /// Booked and answered at once.
    Succeed,
    /// Pending; succeeds later and sends a webhook.
    SucceedAfter { ms: i64 },
    /// Refused, with this code.
    Refuse { code: Box<str> },
    /// Booked, and the answer is lost.
    TimeoutAfterBooking,
    /// Not booked, and the answer is lost.
    TimeoutBeforeBooking,
    /// Not booked; HTTP 500.
    ServerError,
    /// Booked; the answer is not JSON.
    Garbage,
    /// Books and reports another amount than requested.
    WrongAmount,
    /// Pending until somebody completes or fails the refund by hand.
    StayPending,
    /// Not enough funds at first.
    NoFundsThenOk,
    /// Succeeds a moment later; the webhook comes twice.
    WebhookTwice,
    /// Succeeds a moment later; the older webhook comes last.
    WebhookOutOfOrder,
    /// Succeeds a moment later without a webhook.
    WebhookNever,
    /// A forged webhook claims failure before it succeeds.
    WebhookForged,
    /// Succeeds at once and is taken back later.
    LateFailure { after_ms: Option<i64> },
    #[serde(skip)]
    Unknown { word: Box<str> },
}

/// The member of metadata that the simulator reads.
#[derive(Deserialize)]
struct Metadata {
    simulate: Option<serde_json::Value>,
}

impl Script {
    /// The script of a refund, from its own metadata or else from the payment's.
    pub(crate) fn of(refund: Option<&str>, payment: Option<&str>) -> Self {
        read_word(refund)
            .or_else(|| read_word(payment))
            .map_or(Self::Succeed, |word| Self::parse(&word))
    }

    fn parse(word: &str) -> Self {
        let (name, argument) = match word.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (word, None),
        };
        let known = match (name, argument) {
            ("succeed_after", Some(ms)) => parse_delay(ms).map(|ms| Self::SucceedAfter { ms }),
            ("late_failure", None) => Some(Self::LateFailure { after_ms: None }),
            ("late_failure", Some(ms)) => {
                parse_delay(ms).map(|ms| Self::LateFailure { after_ms: Some(ms) })
            }
            ("refuse", code) => parse_code(code.unwrap_or("refund_refused"))
                .map(|code| Self::Refuse { code: code.into() }),
            (_, None) => {
                Self::deserialize(StrDeserializer::<serde::de::value::Error>::new(name)).ok()
            }
            (_, Some(_)) => None,
        };
        known.unwrap_or_else(|| Self::Unknown { word: word.into() })
    }

    /// The script of a repeated call. Faults affect only the first call with a key.
    pub(crate) fn after_first_call(self) -> Self {
        match self {
            Self::TimeoutAfterBooking
            | Self::TimeoutBeforeBooking
            | Self::ServerError
            | Self::Garbage
            | Self::NoFundsThenOk => Self::Succeed,
            other => other,
        }
    }

    /// True if the refund is booked and not paid out yet.
    pub(crate) const fn leaves_pending(&self) -> bool {
        matches!(
            self,
            Self::SucceedAfter { .. }
                | Self::StayPending
                | Self::WebhookTwice
                | Self::WebhookOutOfOrder
                | Self::WebhookNever
                | Self::WebhookForged
        )
    }

    /// True if the first call books nothing, so the book must store that the call came.
    pub(crate) const fn spares_the_book_once(&self) -> bool {
        matches!(self, Self::TimeoutBeforeBooking | Self::ServerError | Self::NoFundsThenOk)
    }
}

fn read_word(metadata: Option<&str>) -> Option<String> {
    // Most metadata names no script; skip the parsing then.
    let text = metadata.filter(|text| text.contains(MEMBER))?;
    match serde_json::from_str::<Metadata>(text).ok()?.simulate? {
        serde_json::Value::String(word) => Some(word),
        serde_json::Value::Null => None,
        other => Some(other.to_string()),
    }
}

fn parse_delay(text: &str) -> Option<i64> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|ms| digits && (0..=DELAY_LIMIT_MS).contains(ms))
}

fn parse_code(text: &str) -> Option<&str> {
    let of_a_code = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    Some(text).filter(|t| !t.is_empty() && t.len() <= CODE_LIMIT && t.bytes().all(of_a_code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refunds_own_script_goes_before_its_payments() {
        let refund = r#"{"simulate":"garbage","note":"x"}"#;
        let payment = r#"{"simulate":"stay_pending"}"#;
        assert_eq!(Script::of(Some(refund), Some(payment)), Script::Garbage);
        assert_eq!(Script::of(Some(r#"{"note":"x"}"#), Some(payment)), Script::StayPending);
        assert_eq!(Script::of(Some(r#"{"simulate":null}"#), Some(payment)), Script::StayPending);
        assert_eq!(Script::of(None, None), Script::Succeed);
        assert_eq!(Script::of(Some("simulate"), None), Script::Succeed);
    }

    #[test]
    fn arguments_are_read_or_the_word_is_unknown() {
        let of = |word: &str| Script::parse(word);
        assert_eq!(of("succeed_after:250"), Script::SucceedAfter { ms: 250 });
        assert_eq!(of("late_failure:0"), Script::LateFailure { after_ms: Some(0) });
        assert_eq!(of("refuse:card_closed"), Script::Refuse { code: "card_closed".into() });
        for word in [
            "",
            "suceed",
            "succeed:1",
            "succeed_after",
            "succeed_after:",
            "succeed_after:-1",
            "succeed_after:+1",
            "succeed_after:1s",
            "succeed_after:99999999999999999999",
            "late_failure:soon",
            "refuse:",
            "refuse:Not A Code",
        ] {
            assert_eq!(of(word), Script::Unknown { word: word.into() }, "{word}");
        }
        let number = Script::of(Some(r#"{"simulate":5}"#), None);
        assert_eq!(number, Script::Unknown { word: "5".into() });
    }

    #[test]
    fn every_word_that_is_offered_is_known() {
        for word in WORDS.split(", ") {
            let with_argument = word.replace("[:", ":").replace(']', "");
            let sample = with_argument.replace("<ms>", "5").replace("<code>", "closed");
            let unknown = Script::Unknown { word: sample.as_str().into() };
            assert_ne!(Script::parse(&sample), unknown, "{word}");
        }
    }
}
