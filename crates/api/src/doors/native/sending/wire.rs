//! The shapes of the switches that stop sending.

use crate::http::time::Iso;
use crate::openapi::{Schema, components, printed};
use domain::event::{Event, SendingDetail};
use domain::sending::{Reach, Switch};
use domain::tenant::Mode;
use engine::SendingStatus;

printed! {
    /// Whether the refunds of an account are sent.
    #[serde(rename_all = "camelCase")]
    pub struct SendingWire<'a> {
        mode: &'static str = Schema::one_of(Mode::ALL, Mode::as_str),
        stopped: bool = Schema::boolean().says("One of the switches stops it.").like(false),
        account: Option<SwitchWire<'a>> = switch("The switch of the account."),
        everyone: Option<SwitchWire<'a>> = switch("The switch of all accounts."),
    }
}

printed! {
    /// A switch as it was thrown last.
    #[serde(rename_all = "camelCase")]
    pub struct SwitchWire<'a> {
        stopped: bool = Schema::boolean(),
        reason: Option<&'a str> = reason(),
        thrown_at: Iso = Schema::time(),
    }
}

/// Describes a switch. One that was never thrown is `null`.
fn switch(text: &str) -> Schema {
    Schema::named("SendingSwitch").says(text).or_null()
}

impl<'a> SendingWire<'a> {
    pub fn new(status: &'a SendingStatus, mode: Mode) -> Self {
        let of = |switch: &'a Option<Switch>| switch.as_ref().and_then(SwitchWire::new);
        Self {
            mode: mode.as_str(),
            stopped: status.is_stopped(),
            account: of(&status.account),
            everyone: of(&status.everyone),
        }
    }
}

impl<'a> SwitchWire<'a> {
    fn new(switch: &'a Switch) -> Option<Self> {
        let (stopped, reason) = (switch.stopped, switch.reason.as_deref());
        Some(Self { stopped, reason, thrown_at: Iso(switch.thrown_at?) })
    }
}

printed! {
    /// A switch that was thrown.
    #[serde(rename_all = "camelCase")]
    pub struct ToldSendingWire<'a> {
        mode: &'static str = components::mode(),
        stopped: bool = Schema::boolean(),
        reach: &'a str = reach(),
        reason: Option<&'a str> = reason(),
    }
}

impl<'a> ToldSendingWire<'a> {
    pub fn new(event: &Event, detail: &'a SendingDetail) -> Self {
        Self {
            mode: event.tenant.mode().as_str(),
            stopped: detail.stopped,
            reach: &detail.reach,
            reason: detail.reason.as_deref(),
        }
    }
}

pub fn reach() -> Schema {
    Schema::one_of(Reach::ALL, Reach::as_str)
        .says("Whose sending the switch stops: that of the account or of everyone.")
}

fn reason() -> Schema {
    Schema::rare_text("Why, as it was given.")
}
