//! What the OpenAPI document says about this door.
//!
//! One file per resource. [`Described`] adds what all operations share: the envelope, the headers
//! that every caller may send, and what every operation can refuse.

mod events;
mod inbound;
mod invoices;
mod keys;
mod ledger;
pub mod parts;
mod payments;
mod posted;
mod problems;
mod public;
mod refunds;
mod replay;
mod reports;
mod sessions;
mod shared;
mod webhooks;

pub use problems::LIMITED;

use super::page::{List, MAX_LIMIT};
use crate::openapi::Chapter;
use crate::openapi::operation::{Answer, Example, Operation, Parameter};
use crate::openapi::schema::{Fields, Schema};
use http::Method;
use serde_json::Value;

/// This door's part of the document.
pub fn chapter() -> Chapter {
    let mut chapter = shared::chapter();
    for resource in [
        refunds::chapter,
        payments::chapter,
        sessions::chapter,
        invoices::chapter,
        public::chapter,
        ledger::chapter,
        events::chapter,
        keys::chapter,
        reports::chapter,
        webhooks::chapter,
        inbound::chapter,
    ] {
        let Chapter { tags, operations, webhooks, schemas, parameters, .. } = resource();
        chapter.tags.extend(tags);
        chapter.operations.extend(operations);
        chapter.webhooks.extend(webhooks);
        chapter.schemas.extend(schemas);
        chapter.parameters.extend(parameters);
    }
    chapter
}

/// How the account's share of requests stands.
const SHARE: &[&str] = &["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"];

/// An operation of this door under construction.
struct Described {
    operation: Operation,
    refusals: Vec<(u16, &'static str)>,
}

impl Described {
    /// An operation for callers with a key.
    fn new(
        method: Method,
        path: &'static str,
        id: &'static str,
        tag: &'static str,
        summary: &'static str,
    ) -> Self {
        let headers = ["OnBehalfOf", "Mode", "ErrorProfile"].map(Parameter::Named);
        let operation = Operation::new(method, path, id, tag, summary).takes(headers);
        Self { operation, refusals: problems::EVERYWHERE.to_vec() }
    }

    /// One that only reads.
    fn get(path: &'static str, id: &'static str, tag: &'static str, summary: &'static str) -> Self {
        Self::new(Method::GET, path, id, tag, summary)
    }

    /// One that honours `Idempotency-Key`.
    fn post(
        path: &'static str,
        id: &'static str,
        tag: &'static str,
        summary: &'static str,
    ) -> Self {
        Self::new(Method::POST, path, id, tag, summary).keyed()
    }

    /// The same, honouring `Idempotency-Key`.
    fn keyed(self) -> Self {
        self.takes([Parameter::Named("IdempotencyKey")])
            .refuses(&[(409, "conflict"), (409, "idempotency_in_progress")])
    }

    /// The same with more than the summary.
    fn says(self, text: &str) -> Self {
        Self { operation: self.operation.says(text), ..self }
    }

    /// The same with these parameters.
    fn takes(self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        Self { operation: self.operation.takes(parameters), ..self }
    }

    /// The same with an `{id}` in its path.
    fn of(self, id: Schema, text: &str) -> Self {
        self.takes([Parameter::path("id", text, id)])
    }

    /// The same with a body that must be there.
    fn reads(self, schema: Schema, examples: &[Example]) -> Self {
        let operation = self.operation.reads(true, schema, examples);
        Self { operation, ..self }.refuses(&[(415, "unsupported_media_type")])
    }

    /// The same with a body that says nothing: none, or any object.
    fn reads_nothing(self) -> Self {
        let body = Fields::new().open().says("Nothing in it is read; it can be left out.");
        let operation = self.operation.reads(false, body, &[]);
        Self { operation, ..self }.refuses(&[(415, "unsupported_media_type")])
    }

    /// The same with a body that can be left out.
    fn may_read(self, schema: Schema) -> Self {
        let operation = self.operation.reads(false, schema, &[]);
        Self { operation, ..self }.refuses(&[(415, "unsupported_media_type")])
    }

    /// The same with the success it answers.
    fn gives(self, status: u16, text: &str, data: Schema, headers: &[&'static str]) -> Self {
        let body = envelope(data, Schema::named("Meta"));
        self.answers(Answer::json(status, text, body).with_headers(headers))
    }

    /// The same with a success whose body is not the envelope.
    fn answers(self, answer: Answer) -> Self {
        let answer = answer.with_headers(&["X-Request-Id"]).with_headers(SHARE);
        Self { operation: self.operation.answers(answer), ..self }
    }

    /// The same with what it made, whose id leads to other operations.
    fn makes(
        self,
        text: &str,
        data: Schema,
        headers: &[&'static str],
        links: &[(&'static str, &str)],
    ) -> Self {
        let body = envelope(data, Schema::named("Meta"));
        let answer = Answer::json(201, text, body).with_headers(headers);
        let lead = |answer: Answer, (operation, text): &(&'static str, &str)| {
            answer.leads_to(operation, text)
        };
        self.answers(links.iter().fold(answer, lead))
    }

    /// The same with the pages it answers, and the parameters that lead through them.
    fn gives_pages(self, text: &str, list: &List, item: &str) -> Self {
        let order = match list.order {
            engine::SortOrder::Ascending => "asc",
            engine::SortOrder::Descending => "desc",
        };
        let limit = Schema::integer(1).with("maximum", MAX_LIMIT).with("default", list.limit);
        let words = || Schema::words(["asc", "desc"]);
        let parameters = [
            Parameter::query("limit", "Items per page.", limit),
            Parameter::Named("Cursor"),
            Parameter::query(
                "order",
                "By time of making: oldest first or newest first.",
                words().with("default", order),
            ),
            Parameter::query("direction", "Another name of `order`.", words()),
        ];
        let range = list.range.map(|(after, before)| {
            [(after, "At or after this time."), (before, "Before this time.")]
                .map(|(name, text)| Parameter::query(name, text, parts::query_time()))
        });
        let items = Schema::list(Schema::named(item)).with("maxItems", MAX_LIMIT);
        let answer = Answer::json(200, text, envelope(items, Schema::named("PageMeta")));
        self.takes(range.into_iter().flatten()).takes(parameters).answers(answer)
    }

    /// The same with more that it can refuse.
    fn refuses(mut self, refusals: &[(u16, &'static str)]) -> Self {
        self.refusals.extend(refusals);
        self
    }

    /// The operation.
    fn done(self) -> Operation {
        problems::answers(self.refusals).into_iter().fold(self.operation, Operation::answers)
    }
}

/// What is around the data of a success.
fn envelope(data: Schema, meta: Schema) -> Schema {
    Fields::new().must("data", data).must("error", Schema::null()).must("meta", meta).closed()
}

/// A named example of a body.
const fn example(name: &'static str, summary: &'static str, body: Value) -> Example {
    (name, summary, body)
}
