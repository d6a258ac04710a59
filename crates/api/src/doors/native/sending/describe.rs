//! The switches that stop all sending.

use super::wire::{SendingWire, SwitchWire, reach};
use crate::doors::native::describe::Described;
use crate::openapi::{Chapter, Fields, Operation, Printed as _, Schema};
use domain::tenant::Mode;
use engine::provider_accounts::LONGEST_REASON;

const TAG: &str = "Sending";

pub fn chapter() -> Chapter {
    let get = Described::get("/api/v1/sending", "getSending", TAG, "Tell whether refunds are sent")
        .gives(200, "The switches.", Schema::named("Sending"), &[])
        .done();
    let stop = throw("/api/v1/sending/stop", "stopSending", "Stop sending refunds").says(
        "Nothing is sent to any provider from a second later on, by any node. Requests are still accepted, and refunds \
         wait. A refund that was sent already is not called back.",
    );
    let start = throw("/api/v1/sending/start", "startSending", "Send refunds again")
        .says("What waits is sent, unless the other switch is still off.");
    Chapter {
        tags: vec![(
            TAG,
            "The switches that stop all sending of refunds in one mode: one for each account, and one for everyone.",
        )],
        operations: vec![get, done(stop), done(start)],
        schemas: vec![("Sending", SendingWire::schema()), ("SendingSwitch", SwitchWire::schema())],
        ..Chapter::default()
    }
}

fn throw(path: &'static str, id: &'static str, summary: &'static str) -> Described {
    let body = Fields::new()
        .may(
            "mode",
            Schema::one_of(Mode::ALL, Mode::as_str)
                .says(
                    "The mode of the key. A platform key that works in both modes must name it, here or in \
                     `X-Refundry-Mode`.",
                )
                .or_null(),
        )
        .may(
            "reach",
            reach()
                .says(
                    "`everyone` is for platform keys, whose default it is unless they act on behalf of an account.",
                )
                .or_null(),
        )
        .may("reason", Schema::name(LONGEST_REASON).says("Why, for people.").or_null())
        .open();
    Described::post(path, id, TAG, summary).may_read(body)
}

fn done(described: Described) -> Operation {
    described
        .gives(200, "The switches.", Schema::named("Sending"), &["Idempotent-Replayed"])
        .refuses(&[(403, "wrong_environment")])
        .done()
}
