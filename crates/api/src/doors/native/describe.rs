//! How this door describes an operation: [`Described`] adds what all operations share: the envelope, the headers
//! that every caller may send, and what every operation can refuse.

use super::page::List;
use crate::http::query::MAX_LIMIT;
use crate::openapi::{Answer, Example, Fields, Operation, Parameter, Schema, components, problems};
use http::Method;

/// Headers about the account's share of requests.
const SHARE: &[&str] = &["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"];

/// An operation of this door under construction.
pub struct Described {
    operation: Operation,
    refusals: Vec<(u16, &'static str)>,
}

impl Described {
    /// An operation for callers with a key.
    pub fn new(
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

    /// An operation that only reads.
    pub fn get(
        path: &'static str,
        id: &'static str,
        tag: &'static str,
        summary: &'static str,
    ) -> Self {
        Self::new(Method::GET, path, id, tag, summary)
    }

    /// An operation that honours `Idempotency-Key`.
    pub fn post(
        path: &'static str,
        id: &'static str,
        tag: &'static str,
        summary: &'static str,
    ) -> Self {
        Self::new(Method::POST, path, id, tag, summary).keyed()
    }

    /// The same, honouring `Idempotency-Key`.
    pub fn keyed(self) -> Self {
        self.takes([Parameter::Named("IdempotencyKey")])
            .refuses(&[(409, "conflict"), (409, "idempotency_in_progress")])
    }

    /// The same with more than the summary.
    pub fn says(self, text: &str) -> Self {
        Self { operation: self.operation.says(text), ..self }
    }

    pub fn takes(self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        Self { operation: self.operation.takes(parameters), ..self }
    }

    /// The same with an `{id}` in its path.
    pub fn of(self, id: Schema, text: &str) -> Self {
        self.takes([Parameter::path("id", text, id)])
    }

    /// The same with a body that must be there.
    pub fn reads(self, schema: Schema, examples: &[Example]) -> Self {
        self.takes_body(true, schema, examples)
    }

    /// The same with a body without fields to read: none, or any object.
    pub fn reads_nothing(self) -> Self {
        let body = Fields::new().open().says("Nothing in it is read; it can be left out.");
        self.takes_body(false, body, &[])
    }

    /// The same with a body that can be left out.
    pub fn may_read(self, schema: Schema) -> Self {
        self.takes_body(false, schema, &[])
    }

    fn takes_body(self, required: bool, schema: Schema, examples: &[Example]) -> Self {
        let operation = self.operation.reads(required, schema, examples);
        Self { operation, ..self }.refuses(&[(415, "unsupported_media_type")])
    }

    /// The same with the success it answers.
    pub fn gives(self, status: u16, text: &str, data: Schema, headers: &[&'static str]) -> Self {
        self.answers(success(status, text, data).with_headers(headers))
    }

    /// The same with a success whose body is not the envelope.
    pub fn answers(self, answer: Answer) -> Self {
        let answer = answer.with_headers(&["X-Request-Id"]).with_headers(SHARE);
        Self { operation: self.operation.answers(answer), ..self }
    }

    /// The same with an answer that has no other headers than its own.
    pub fn answers_bare(self, answer: Answer) -> Self {
        Self { operation: self.operation.answers(answer), ..self }
    }

    /// The same with the created resource, whose id leads to other operations.
    pub fn makes(
        self,
        text: &str,
        data: Schema,
        headers: &[&'static str],
        links: &[(&'static str, &str)],
    ) -> Self {
        let answer = success(201, text, data).with_headers(headers);
        let lead = |answer: Answer, (operation, text): &(&'static str, &str)| {
            answer.leads_to(operation, text)
        };
        self.answers(links.iter().fold(answer, lead))
    }

    /// The same with the pages it answers, the filters, and the parameters that lead through the pages.
    pub fn gives_pages(self, text: &str, list: &List, item: &str) -> Self {
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
                .map(|(name, text)| Parameter::query(name, text, components::query_time()))
        });
        let filters = list.filters.iter();
        let filters = filters.map(|(name, text, schema)| Parameter::query(name, text, schema()));
        let items = Schema::list(Schema::named(item)).with("maxItems", MAX_LIMIT);
        let answer =
            Answer::json(200, text, components::envelope(items, Schema::named("PageMeta")));
        self.takes(filters).takes(range.into_iter().flatten()).takes(parameters).answers(answer)
    }

    /// The same with more that it can refuse.
    pub fn refuses(mut self, refusals: &[(u16, &'static str)]) -> Self {
        self.refusals.extend(refusals);
        self
    }

    pub fn done(self) -> Operation {
        problems::answers(self.refusals).into_iter().fold(self.operation, Operation::answers)
    }
}

fn success(status: u16, text: &str, data: Schema) -> Answer {
    Answer::json(status, text, components::envelope(data, Schema::named("Meta")))
}
