//! The rules that follow from a provider's traits, in words for people. `doctor` and the documentation
//! print them.

use crate::provider::{
    AmountUnit, Amounts, Funds, Idempotency, KeyForm, LookupBy, OutcomeBy, Pace, Partials,
    PerPayment, Times, Traits, WebhookTrust,
};

/// A topic, and a sentence about the provider and the rule that follows.
pub type Words = (&'static str, String);

/// A sentence for each topic, always in the same order. Empty where nothing is said, as a provider that
/// cannot be called has no keys.
pub fn describe(traits: &Traits) -> Vec<Words> {
    let is_called = traits.outcome != OutcomeBy::Person;
    let of_calls = |words: String| if is_called { words } else { String::new() };
    vec![
        ("sent again", of_calls(sent_again(traits))),
        ("refusals", of_calls(refusals(traits.idempotency))),
        ("without funds", of_calls(without_funds(traits))),
        ("outcome", outcome(traits.outcome)),
        ("look-up", of_calls(look_up(&traits.lookup))),
        ("webhooks", of_calls(webhooks(traits.webhook).to_owned())),
        ("times", of_calls(times(traits.times))),
        ("parts", parts(traits.partials)),
        ("per payment", of_calls(per_payment(traits.per_payment))),
        ("pace", of_calls(pace(traits.pace))),
        ("key", of_calls(key(traits.key))),
        ("window", window(traits.window_ms)),
        ("amounts", of_calls(amounts(&traits.amounts))),
    ]
}

fn sent_again(traits: &Traits) -> String {
    let answer = match traits.idempotency {
        Idempotency::None => "a second call makes a second refund",
        Idempotency::Key { .. } => "a second call under a key gets the result of the first",
        Idempotency::Twin { .. } => {
            "a second call under a key is refused and names the first refund"
        }
    };
    let later = if traits.lookup.proves_absence_after_ms.is_some() {
        "only once it is proved that the provider does not have it"
    } else {
        "only when a person says so"
    };
    match traits.idempotency {
        Idempotency::None => format!("{answer}: one in doubt is sent again {later}"),
        Idempotency::Key { kept_ms: None, .. } | Idempotency::Twin { kept_ms: None } => {
            format!("{answer}, for ever: one in doubt is sent again at any time")
        }
        Idempotency::Key { kept_ms: Some(kept), .. }
        | Idempotency::Twin { kept_ms: Some(kept) } => {
            let safe = traits.idempotency.relied_on_ms().unwrap_or(kept);
            format!(
                "{answer}, for {}: one in doubt is sent again until {} after its first call, later {later}",
                duration(kept),
                duration(safe)
            )
        }
    }
}

fn refusals(idempotency: Idempotency) -> String {
    let replays = matches!(idempotency, Idempotency::Key { replays_errors: true, .. });
    match idempotency.refusal_fades_after_ms() {
        Some(fades) => format!(
            "returned again under their key: one for lack of funds is not sent again before {} after its first call",
            duration(fades)
        ),
        None if replays => "returned again under their key for ever".to_owned(),
        None => "not returned again: each call is decided anew".to_owned(),
    }
}

fn without_funds(traits: &Traits) -> String {
    match traits.funds {
        Funds::Holds if traits.lookup.can_find(true) => {
            "the provider holds the refund: it is asked about, and not sent again"
        }
        Funds::Holds => "the provider holds the refund: it is not sent again",
        Funds::Refuses => "the provider refuses the refund: it is sent again, with growing pauses",
    }
    .to_owned()
}

fn outcome(outcome: OutcomeBy) -> String {
    match outcome {
        OutcomeBy::Answer => "the answer to the call tells it".to_owned(),
        OutcomeBy::Poll => "the provider is asked, with growing pauses".to_owned(),
        OutcomeBy::Person => {
            "nothing is sent: a person pays the refund and says so with `resolve`".to_owned()
        }
        OutcomeBy::Webhook { overdue_after_ms } => format!(
            "only a webhook tells it; without one for {} a person is told",
            duration(overdue_after_ms)
        ),
    }
}

fn look_up(lookup: &LookupBy) -> String {
    let ways = [
        (lookup.id, "by its id"),
        (lookup.our_key, "by our key"),
        (lookup.list, "in the list of its payment"),
    ];
    let ways: Vec<_> = ways.into_iter().filter(|(can, _)| *can).map(|(_, way)| way).collect();
    if ways.is_empty() {
        return "a refund cannot be found: one in doubt that may not be sent again waits for a person"
            .to_owned();
    }
    let lag = match lookup.lag_ms {
        0 => String::new(),
        lag => format!(", where it may be missing for {}", duration(lag)),
    };
    let absence = match lookup.proves_absence_after_ms {
        None => "looks without it prove nothing".to_owned(),
        Some(0) => "two looks without it, a minute apart, prove that there is none".to_owned(),
        Some(after) => format!(
            "two looks without it, a minute apart and {} after its last call, prove that there is none",
            duration(after)
        ),
    };
    format!("a refund is found {}{lag}; {absence}", enumerate(&ways))
}

const fn webhooks(trust: WebhookTrust) -> &'static str {
    match trust {
        WebhookTrust::Signed => "signed, and believed",
        WebhookTrust::SignedHint => "signed in part; the rest is asked for",
        WebhookTrust::Hint => "not signed; everything is asked for",
        WebhookTrust::None => "none",
    }
}

fn times(times: Times) -> String {
    match times {
        Times::None => {
            "none: a statement that overturns an outcome is believed only after a look".to_owned()
        }
        Times::Ordered { resolution_ms } => format!(
            "to the unit of {}: a statement that is older than what is known changes nothing",
            duration(resolution_ms)
        ),
    }
}

fn parts(partials: Partials) -> String {
    match partials {
        Partials::Any => "any part of a payment".to_owned(),
        Partials::WholeOnly => "whole payments: a part is refused when it is asked for".to_owned(),
        Partials::AtMost(most) => format!("any part of a payment, in at most {most} refunds"),
    }
}

fn per_payment(per_payment: PerPayment) -> String {
    match per_payment {
        PerPayment::Parallel => "refunds of one payment go side by side".to_owned(),
        PerPayment::OneAtATime { gap_ms: 0 } => {
            "one refund after another; the next one waits as `queued`".to_owned()
        }
        PerPayment::OneAtATime { gap_ms } => format!(
            "one refund after another, {} apart; the next one waits as `queued`",
            duration(gap_ms)
        ),
    }
}

fn pace(pace: Pace) -> String {
    let Pace { per_second, burst, at_once } = pace;
    let [per_second, burst, at_once] = [per_second, burst, at_once].map(|number| number.max(1));
    format!("{per_second} calls a second, {burst} in a burst, {at_once} at once, from each node")
}

fn key(key: KeyForm) -> String {
    let KeyForm { longest, characters } = key;
    let made = "made from the refund's id";
    if characters.is_empty() {
        format!("{made}; at most {longest} characters")
    } else {
        format!("{made}; at most {longest} characters of {characters}")
    }
}

fn window(window_ms: Option<i64>) -> String {
    window_ms.map_or_else(
        || "no limit that is known".to_owned(),
        |window| {
            let window = duration(window);
            format!(
                "until {window} after the payment; later a refund is refused when it is asked for"
            )
        },
    )
}

fn amounts(amounts: &Amounts) -> String {
    let unit = match amounts.unit {
        AmountUnit::Minor => "whole numbers of the smallest unit",
        AmountUnit::DecimalText => "decimal texts of the main unit",
        AmountUnit::DecimalNumber => "decimal numbers of the main unit",
    };
    if amounts.exponents.is_empty() {
        return format!("{unit}, with the digits of ISO 4217");
    }
    let own = amounts.exponents.iter().map(|(code, digits)| format!("{code} with {digits}"));
    let own: Vec<_> = own.collect();
    format!("{unit}, with the digits of ISO 4217, but {}", own.join(", "))
}

fn enumerate(ways: &[&str]) -> String {
    match ways {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A span in the largest unit that it is a whole number of; days from two on.
fn duration(ms: i64) -> String {
    const UNITS: [(i64, i64, &str); 4] = [
        (24 * 3_600_000, 2, "day"),
        (3_600_000, 1, "hour"),
        (60_000, 1, "minute"),
        (1_000, 1, "second"),
    ];
    let fits = |(unit, least, _): &(i64, i64, &str)| ms % unit == 0 && ms / unit >= *least;
    let (unit, name) =
        UNITS.into_iter().find(fits).map_or((1, "millisecond"), |(unit, _, name)| (unit, name));
    match ms / unit {
        1 => format!("1 {name}"),
        number => format!("{number} {name}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn about(topic: &str, traits: &Traits) -> String {
        let found = describe(traits).into_iter().find(|(name, _)| *name == topic);
        found.expect("the topic").1
    }

    #[test]
    fn the_time_in_which_a_refund_is_sent_again_is_that_of_the_rule() {
        let kept_ms = Some(24 * HOUR_MS);
        let absence = LookupBy { proves_absence_after_ms: Some(0), ..Traits::UNKNOWN.lookup };
        let of = |idempotency, lookup| {
            about("sent again", &Traits { idempotency, lookup, ..Traits::UNKNOWN })
        };
        let key = Idempotency::Key { kept_ms, replays_errors: true };
        let unknown = Traits::UNKNOWN.lookup;
        for (idempotency, lookup, words) in [
            (
                key,
                absence,
                "gets the result of the first, for 24 hours: one in doubt is sent again until 23 hours after its first call, later only once it is proved that the provider does not have it",
            ),
            (key, unknown, "until 23 hours after its first call, later only when a person says so"),
            (
                Idempotency::Twin { kept_ms },
                absence,
                "is refused and names the first refund, for 24 hours",
            ),
            (
                Idempotency::Twin { kept_ms: None },
                unknown,
                "for ever: one in doubt is sent again at any time",
            ),
            (
                Idempotency::None,
                absence,
                "makes a second refund: one in doubt is sent again only once it is proved that the provider does not have it",
            ),
            (
                Idempotency::None,
                unknown,
                "makes a second refund: one in doubt is sent again only when a person says so",
            ),
        ] {
            let said = of(idempotency, lookup);
            assert!(said.ends_with(words) || said.contains(words), "{said}");
        }
        let of = |replays_errors| {
            let idempotency = Idempotency::Key { kept_ms, replays_errors };
            about("refusals", &Traits { idempotency, ..Traits::UNKNOWN })
        };
        assert!(of(true).ends_with("not sent again before 25 hours after its first call"));
        assert!(of(false).starts_with("not returned again"));
    }

    #[test]
    fn a_look_says_where_a_refund_is_found_and_what_its_absence_proves() {
        let of = |lookup| about("look-up", &Traits { lookup, ..Traits::UNKNOWN });
        let all = LookupBy {
            id: true,
            our_key: true,
            list: true,
            lag_ms: 90_000,
            proves_absence_after_ms: Some(10 * 60_000),
        };
        assert_eq!(
            of(all),
            "a refund is found by its id, by our key and in the list of its payment, where it may be missing \
             for 90 seconds; two looks without it, a minute apart and 10 minutes after its last call, prove \
             that there is none"
        );
        let id = LookupBy { id: true, ..Traits::UNKNOWN.lookup };
        assert_eq!(of(id), "a refund is found by its id; looks without it prove nothing");
        assert!(of(Traits::UNKNOWN.lookup).starts_with("a refund cannot be found"));
    }

    #[test]
    fn the_other_facts_are_told_with_their_rules() {
        let unknown = Traits::UNKNOWN;
        let overdue_after_ms = 5 * 24 * HOUR_MS;
        let exponents = &[("ISK", 2), ("UGX", 2)];
        for (topic, traits, words) in [
            ("without funds", Traits { funds: Funds::Holds, ..unknown }, "holds the refund"),
            ("without funds", unknown, "sent again, with growing pauses"),
            (
                "outcome",
                Traits { outcome: OutcomeBy::Webhook { overdue_after_ms }, ..unknown },
                "without one for 5 days",
            ),
            ("outcome", Traits { outcome: OutcomeBy::Poll, ..unknown }, "is asked"),
            (
                "webhooks",
                Traits { webhook: WebhookTrust::SignedHint, ..unknown },
                "the rest is asked for",
            ),
            (
                "times",
                Traits { times: Times::Ordered { resolution_ms: 1_000 }, ..unknown },
                "unit of 1 second:",
            ),
            ("parts", Traits { partials: Partials::WholeOnly, ..unknown }, "whole payments"),
            ("parts", Traits { partials: Partials::AtMost(50), ..unknown }, "at most 50 refunds"),
            (
                "per payment",
                Traits { per_payment: PerPayment::OneAtATime { gap_ms: 30_000 }, ..unknown },
                "30 seconds apart",
            ),
            (
                "pace",
                Traits { pace: Pace { per_second: 25, burst: 50, at_once: 0 }, ..unknown },
                "25 calls a second, 50 in a burst, 1 at once",
            ),
            (
                "key",
                Traits { key: KeyForm { longest: 45, characters: "0-9 a-z" }, ..unknown },
                "at most 45 characters of 0-9 a-z",
            ),
            (
                "window",
                Traits { window_ms: Some(180 * 24 * HOUR_MS), ..unknown },
                "until 180 days after the payment",
            ),
            (
                "amounts",
                Traits { amounts: Amounts { unit: AmountUnit::DecimalText, exponents }, ..unknown },
                "but ISK with 2, UGX with 2",
            ),
        ] {
            let said = about(topic, &traits);
            assert!(said.contains(words), "{topic}: {said}");
        }
    }

    #[test]
    fn nothing_is_said_about_the_calls_of_a_provider_that_is_not_called() {
        let traits = Traits { outcome: OutcomeBy::Person, ..Traits::UNKNOWN };
        let said = describe(&traits);
        let told: Vec<_> = said.iter().filter(|(_, words)| !words.is_empty()).collect();
        let topics: Vec<_> = told.iter().map(|(topic, _)| *topic).collect();
        assert_eq!(topics, ["outcome", "parts", "window"]);
        assert!(about("outcome", &traits).starts_with("nothing is sent"));
    }

    #[test]
    fn spans_are_told_in_whole_units() {
        for (ms, words) in [
            (1, "1 millisecond"),
            (1_500, "1500 milliseconds"),
            (1_000, "1 second"),
            (60_000, "1 minute"),
            (90_000, "90 seconds"),
            (24 * HOUR_MS, "24 hours"),
            (48 * HOUR_MS, "2 days"),
            (25 * HOUR_MS, "25 hours"),
            (0, "0 milliseconds"),
        ] {
            assert_eq!(duration(ms), words);
        }
    }
}
