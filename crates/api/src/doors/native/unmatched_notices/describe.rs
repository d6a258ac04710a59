//! Statements that fit nothing yet.

use super::LIST;
use super::wire::NoticeWire;
use crate::doors::native::describe::Described;
use crate::openapi::{Answer, Chapter, Printed, components};
use domain::ids::NoticeId;
use http::Method;

const ONE: &str = "/api/v1/unmatched-notices/{id}";
const TAG: &str = "Unmatched notices";

pub fn chapter() -> Chapter {
    let path = "/api/v1/unmatched-notices";
    let list = Described::get(path, "listUnmatchedNotices", TAG, "List unmatched notices")
        .says(
            "Authentic statements of providers that fit nothing yet: about a payment that is not \
             registered, or about a refund that may be one of ours in doubt. Each is tried again until it \
             fits, and then is no longer in this list. One about a payment that is not registered is \
             kept for 90 days, any other until it fits or is dismissed.",
        )
        .gives_pages("A page of notices.", &LIST, "UnmatchedNotice")
        .done();
    let gone = Answer::empty(204, "It is dismissed.").with_headers(&["X-Request-Id"]);
    let dismiss = Described::new(
        Method::DELETE,
        ONE,
        "dismissUnmatchedNotice",
        TAG,
        "Dismiss a notice",
    )
    .of(components::id(&[NoticeId::PREFIX]), "The notice.")
    .says(
        "For a person who has dealt with it. Nothing is booked. The statement is kept anew if \
                 the provider repeats it.",
    )
    .answers_bare(gone)
    .reads_nothing()
    .done();
    Chapter {
        tags: vec![(TAG, "What providers said that fits nothing yet.")],
        operations: vec![list, dismiss],
        schemas: vec![("UnmatchedNotice", NoticeWire::schema())],
        ..Chapter::default()
    }
}
