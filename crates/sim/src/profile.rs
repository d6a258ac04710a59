//! The provider of a run: its properties, which its traits name, and the scripts that are drawn for it.

use crate::rng::SeededRng;
use simulator::SimulatorConfig;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// The longest time for which anything that was booked stays invisible.
const LAG_MS: i64 = 5 * MINUTE_MS;

/// The longest time for which a call that was sent is under way, where time matters to the provider.
/// It is shorter than the margin in which a key is no longer relied on.
const UNDER_WAY_MS: i64 = 9 * MINUTE_MS;

/// Scripts that need no word in the traits. `succeed` stands here several times, since most refunds
/// succeed.
const SCRIPTS: &[&str] = &[
    "succeed",
    "succeed",
    "succeed",
    "succeed",
    "succeed_after:500",
    "succeed_after:90000",
    "refuse",
    "timeout_after_booking",
    "timeout_before_booking",
    "server_error",
    "garbage",
    "html_error",
    "huge_answer",
    "throttle",
    "throttle:5",
    "wrong_amount",
    "other_currency",
    "other_payment",
    "new_status",
    "stay_pending",
    "no_funds_then_ok",
    "hold_for_funds",
    "webhook_twice",
    "webhook_out_of_order",
    "webhook_never",
    "webhook_forged",
    "webhook_without_key_first",
    "no_times",
    "in_progress",
    "in_progress:240000",
    "already_refunded_on_repeat",
    "replays_errors",
    "second_payout",
    "second_payout:7200000",
    "late_failure",
    "late_failure:120000",
];

/// Scripts of which the traits say nothing: the provider does not keep to its documentation.
const LIES: &[&str] = &["forget_keys_after:600000", "forget_keys_after:7200000"];

/// A provider.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) simulator: SimulatorConfig,
    /// The provider also does what its traits deny.
    pub(crate) lies: bool,
    /// How long a call that was sent may be under way; for ever when `None`.
    pub(crate) under_way_ms: Option<i64>,
}

impl Profile {
    pub(crate) fn draw(rng: &mut SeededRng) -> Self {
        let mut it = SimulatorConfig::default();
        match rng.below(8) {
            0..2 => {}
            2 => it.keys_kept_ms = Some(24 * HOUR_MS),
            3 => it.keys_kept_ms = Some(HOUR_MS),
            4 => it.refuses_repeats = true,
            5 => (it.refuses_repeats, it.keys_kept_ms) = (true, Some(24 * HOUR_MS)),
            _ => it.honour_keys = false,
        }
        it.replays_errors = it.keys_kept_ms.is_some() && !it.refuses_repeats && rng.percent(50);
        it.list_lag_ms = *rng.pick(&[0, 0, 20_000, LAG_MS]).unwrap_or(&0);
        it.looks_up_by_key = rng.percent(60);
        it.echoes_keys = rng.percent(70);
        it.names_times = rng.percent(75);
        it.time_resolution_ms = *rng.pick(&[1, 1, 1_000]).unwrap_or(&1);
        it.webhooks_only_hint = rng.percent(15);
        it.tells_changes = rng.percent(70);
        it.holds_for_funds = rng.percent(30);
        it.page_size = *rng.pick(&[7, 1_000]).unwrap_or(&7);
        let proves = rng.percent(40);
        it.absence_proved_after_ms = proves.then_some(UNDER_WAY_MS + LAG_MS + 10 * MINUTE_MS);
        let time_matters = !it.honour_keys || it.keys_kept_ms.is_some() || proves;
        let lies = it.honour_keys && it.keys_kept_ms.is_none() && rng.percent(30);
        Self { simulator: it, lies, under_way_ms: time_matters.then_some(UNDER_WAY_MS) }
    }

    pub(crate) fn draw_script(&self, rng: &mut SeededRng) -> &'static str {
        let lies = if self.lies && rng.percent(10) { LIES } else { SCRIPTS };
        rng.pick(lies).copied().unwrap_or("succeed")
    }

    /// Words for what is cruel about the provider itself.
    pub(crate) fn words(&self) -> Vec<&'static str> {
        let it = &self.simulator;
        let words = [
            (!it.honour_keys, "keys not honoured"),
            (it.keys_kept_ms.is_some(), "keys forgotten"),
            (it.refuses_repeats, "repeats refused"),
            (it.replays_errors, "errors replayed"),
            (it.list_lag_ms > 0, "lag"),
            (!it.looks_up_by_key, "no look-up by key"),
            (!it.echoes_keys, "keys not echoed"),
            (!it.names_times, "no times"),
            (it.names_times && it.time_resolution_ms > 1, "times in seconds"),
            (it.webhooks_only_hint, "webhooks only hint"),
            (!it.tells_changes, "changes not told"),
            (it.holds_for_funds, "held for funds"),
            (it.page_size < 1_000, "short pages"),
            (it.absence_proved_after_ms.is_some(), "absence is proof"),
            (self.lies, "traits that lie"),
        ];
        words.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect()
    }
}
