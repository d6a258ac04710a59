//! Statements that fit nothing yet.

use super::LIST;
use super::wire::NoticeWire;
use crate::doors::native::describe::Described;
use crate::openapi::{Chapter, Printed};

const TAG: &str = "Unmatched notices";

pub fn chapter() -> Chapter {
    let path = "/api/v1/unmatched-notices";
    let list = Described::get(path, "listUnmatchedNotices", TAG, "List unmatched notices")
        .says(
            "Authentic statements of providers that fit nothing yet: about a payment that is not \
             registered, or about a refund that may be one of ours in doubt. None is dropped; each is \
             tried again until it fits, and then is no longer in this list.",
        )
        .gives_pages("A page of notices.", &LIST, "UnmatchedNotice")
        .done();
    Chapter {
        tags: vec![(TAG, "What providers said that fits nothing yet.")],
        operations: vec![list],
        schemas: vec![("UnmatchedNotice", NoticeWire::schema())],
        ..Chapter::default()
    }
}
