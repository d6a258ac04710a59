//! Scripts: the word in the metadata of a refund, or of its payment, that selects the simulator's
//! behaviour.

use crate::RefundStatus;
use crate::rows::Quirk;
use serde::Deserialize;
use serde::de::value::StrDeserializer;

const MEMBER: &str = "simulate";

/// Longest code in `refuse:<code>`.
const CODE_LIMIT: usize = 64;

/// Longest delay in a script: a year.
const DELAY_LIMIT_MS: i64 = 366 * 24 * 60 * 60 * 1000;

/// The number of refused calls in `throttle` without one.
const THROTTLED_CALLS: u32 = 2;

/// The most refused calls in `throttle:<calls>`.
const THROTTLED_CALLS_LIMIT: u32 = 1_000;

/// The status in `html_error` without one.
const HTML_STATUS: u16 = 403;

/// The time in `in_progress` without one.
const IN_PROGRESS_MS: i64 = 5_000;

/// The time in `second_payout` without one.
const SECOND_PAYOUT_AFTER_MS: i64 = 1_000;

/// The known words, for the answer to an unknown one.
pub(crate) const WORDS: &str = "succeed, succeed_after:<ms>, refuse[:<code>], \
    timeout_after_booking, timeout_before_booking, hang_after_booking, hang_before_booking, \
    server_error, garbage, html_error[:<status>], huge_answer, throttle[:<calls>], wrong_amount, \
    other_currency, other_payment, new_status, stay_pending, no_funds_then_ok, hold_for_funds, \
    webhook_twice, webhook_out_of_order, webhook_never, webhook_forged, \
    webhook_without_key_first, no_times, list_lag:<ms>, in_progress[:<ms>], \
    already_refunded_on_repeat, forget_keys_after:<ms>, replays_errors, second_payout[:<ms>], \
    late_failure[:<ms>]";

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
    /// Booked; the call hangs until its caller gives up.
    HangAfterBooking,
    /// Not booked; the call hangs until its caller gives up.
    HangBeforeBooking,
    /// Not booked; HTTP 500.
    ServerError,
    /// Booked; the answer is not JSON.
    Garbage,
    /// Not booked; a gateway answers with an HTML page and this status.
    HtmlError { status: u16 },
    /// Booked; the answer is larger than anybody reads.
    HugeAnswer,
    /// Not booked; HTTP 429 so many times.
    Throttle { calls: u32 },
    /// Books and reports another amount than requested.
    WrongAmount,
    /// Books and reports another currency than requested.
    OtherCurrency,
    /// Booked; speaks of another payment.
    OtherPayment,
    /// Pending, in a status that no adapter knows.
    NewStatus,
    /// Pending until somebody completes or fails the refund by hand.
    StayPending,
    /// Not enough funds at first.
    NoFundsThenOk,
    /// Taken, and held until somebody tops up.
    HoldForFunds,
    /// Succeeds a moment later; the webhook comes twice.
    WebhookTwice,
    /// Succeeds a moment later; the older webhook comes last.
    WebhookOutOfOrder,
    /// Succeeds a moment later without a webhook.
    WebhookNever,
    /// A forged webhook claims failure before it succeeds.
    WebhookForged,
    /// Booked, and the answer is lost; a webhook without the key comes instead.
    WebhookWithoutKeyFirst,
    /// Booked; nothing that is said names a time.
    NoTimes,
    /// Booked; look-up and list do not show it at first.
    ListLag { ms: i64 },
    /// The answer is lost, repeats are refused, and it is booked later.
    InProgress { ms: i64 },
    /// Booked, and the answer is lost; repeats are refused because the payment is refunded.
    AlreadyRefundedOnRepeat,
    /// Booked, and the answer is lost; a later repeat pays again.
    ForgetKeysAfter { ms: i64 },
    /// Not booked; HTTP 500, also for every repeat while the key is known.
    ReplaysErrors,
    /// Succeeds at once, and is paid a second time later.
    SecondPayout { after_ms: i64 },
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
            ("list_lag", Some(ms)) => parse_delay(ms).map(|ms| Self::ListLag { ms }),
            ("forget_keys_after", Some(ms)) => {
                parse_delay(ms).map(|ms| Self::ForgetKeysAfter { ms })
            }
            ("html_error", None) => Some(Self::HtmlError { status: HTML_STATUS }),
            ("html_error", Some(status)) => {
                parse_status(status).map(|status| Self::HtmlError { status })
            }
            ("in_progress", None) => Some(Self::InProgress { ms: IN_PROGRESS_MS }),
            ("in_progress", Some(ms)) => parse_delay(ms).map(|ms| Self::InProgress { ms }),
            ("second_payout", None) => {
                Some(Self::SecondPayout { after_ms: SECOND_PAYOUT_AFTER_MS })
            }
            ("second_payout", Some(ms)) => {
                parse_delay(ms).map(|after_ms| Self::SecondPayout { after_ms })
            }
            ("throttle", None) => Some(Self::Throttle { calls: THROTTLED_CALLS }),
            ("throttle", Some(calls)) => parse_calls(calls).map(|calls| Self::Throttle { calls }),
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
            | Self::HangAfterBooking
            | Self::HangBeforeBooking
            | Self::ServerError
            | Self::Garbage
            | Self::HtmlError { .. }
            | Self::HugeAnswer
            | Self::NoFundsThenOk
            | Self::WebhookWithoutKeyFirst
            | Self::InProgress { .. }
            | Self::ReplaysErrors
            | Self::SecondPayout { .. } => Self::Succeed,
            other => other,
        }
    }

    /// The status in which the refund is booked.
    pub(crate) const fn first_status(&self) -> RefundStatus {
        match self {
            Self::SucceedAfter { .. }
            | Self::NewStatus
            | Self::StayPending
            | Self::WebhookTwice
            | Self::WebhookOutOfOrder
            | Self::WebhookNever
            | Self::WebhookForged => RefundStatus::Pending,
            Self::HoldForFunds => RefundStatus::Held,
            Self::InProgress { .. } => RefundStatus::Processing,
            _ => RefundStatus::Succeeded,
        }
    }

    /// How the refund is spoken of.
    pub(crate) const fn quirk(&self) -> Quirk {
        match self {
            Self::NoTimes => Quirk::NoTimes,
            Self::WebhookWithoutKeyFirst => Quirk::NoKeyInWebhooks,
            Self::OtherPayment => Quirk::OtherPayment,
            Self::NewStatus => Quirk::NewStatus,
            _ => Quirk::None,
        }
    }

    /// How often a call is answered without booking anything.
    pub(crate) const fn spared_calls(&self) -> u32 {
        match self {
            Self::Throttle { calls } => *calls,
            Self::TimeoutBeforeBooking
            | Self::HangBeforeBooking
            | Self::ServerError
            | Self::HtmlError { .. }
            | Self::NoFundsThenOk
            | Self::ReplaysErrors => 1,
            _ => 0,
        }
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

fn parse_calls(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|calls| digits && (1..=THROTTLED_CALLS_LIMIT).contains(calls))
}

fn parse_status(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|status| digits && (400..600).contains(status))
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
        assert_eq!(of("html_error"), Script::HtmlError { status: 403 });
        assert_eq!(of("html_error:502"), Script::HtmlError { status: 502 });
        assert_eq!(of("throttle"), Script::Throttle { calls: 2 });
        assert_eq!(of("throttle:7"), Script::Throttle { calls: 7 });
        assert_eq!(of("in_progress"), Script::InProgress { ms: 5_000 });
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
            "throttle:0",
            "html_error:200",
            "html_error:+403",
            "throttle:+1",
            "throttle:1001",
            "forget_keys_after",
            "list_lag",
            "in_progress:now",
            "no_times:1",
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
            let sample = sample.replace("<calls>", "3").replace("<status>", "404");
            let unknown = Script::Unknown { word: sample.as_str().into() };
            assert_ne!(Script::parse(&sample), unknown, "{word}");
        }
    }
}
