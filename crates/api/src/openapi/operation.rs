//! The description of one operation.

use super::schema::Schema;
use engine::access::KeyScope;
use http::Method;
use serde_json::{Map, Value, json};

/// The media type of most bodies.
pub const JSON: &str = "application/json";

/// The name of an example, what it shows, and the example.
pub type Example = (&'static str, &'static str, Value);

#[derive(Clone, Debug)]
pub enum Parameter {
    /// A named component of the document.
    Named(&'static str),
    Own(Value),
}

impl Parameter {
    pub fn path(name: &str, text: &str, schema: Schema) -> Self {
        Self::of("path", name, text, schema, true)
    }

    pub fn query(name: &str, text: &str, schema: Schema) -> Self {
        Self::of("query", name, text, schema, false)
    }

    pub fn header(name: &str, text: &str, schema: Schema) -> Self {
        Self::of("header", name, text, schema, false)
    }

    fn of(place: &str, name: &str, text: &str, schema: Schema, required: bool) -> Self {
        Self::Own(json!({
            "name": name, "in": place, "required": required, "description": text,
            "schema": Value::from(schema),
        }))
    }

    /// As the document prints it.
    pub fn value(self) -> Value {
        match self {
            Self::Named(name) => json!({"$ref": format!("#/components/parameters/{name}")}),
            Self::Own(value) => value,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    text: String,
    content: Vec<(&'static str, Schema)>,
    headers: Vec<&'static str>,
    links: Vec<(&'static str, Value)>,
    name: Option<&'static str>,
}

impl Answer {
    pub fn empty(status: u16, text: impl Into<String>) -> Self {
        let (headers, links) = (Vec::new(), Vec::new());
        Self { status, text: text.into(), content: Vec::new(), headers, links, name: None }
    }

    pub fn json(status: u16, text: impl Into<String>, schema: Schema) -> Self {
        Self::of(status, text, JSON, schema)
    }

    pub fn of(
        status: u16,
        text: impl Into<String>,
        media_type: &'static str,
        schema: Schema,
    ) -> Self {
        Self { content: vec![(media_type, schema)], ..Self::empty(status, text) }
    }

    /// The same, or content of another type.
    #[must_use]
    pub fn or_of(mut self, media_type: &'static str, schema: Schema) -> Self {
        self.content.push((media_type, schema));
        self
    }

    /// The same with headers that the document has under these names.
    #[must_use]
    pub fn with_headers(mut self, headers: &[&'static str]) -> Self {
        self.headers.extend(headers);
        self
    }

    /// The same with an operation that takes the id of what was made as its parameter `id`.
    #[must_use]
    pub fn leads_to(mut self, operation: &'static str, text: &str) -> Self {
        let link = json!({
            "operationId": operation, "description": text,
            "parameters": {"id": "$response.body#/data/id"},
        });
        self.links.push((operation, link));
        self
    }

    /// The answer that the document has under this name.
    pub fn named(status: u16, name: &'static str) -> Self {
        Self { name: Some(name), ..Self::empty(status, "") }
    }

    /// As the document prints it.
    pub fn value(self) -> Value {
        if let Some(name) = self.name {
            return json!({"$ref": format!("#/components/responses/{name}")});
        }
        let mut answer = json!({"description": self.text});
        if !self.headers.is_empty() {
            let headers = self.headers.iter().map(|name| {
                let named = json!({"$ref": format!("#/components/headers/{name}")});
                ((*name).to_owned(), named)
            });
            answer["headers"] = Value::Object(headers.collect());
        }
        if !self.content.is_empty() {
            let content = self.content.into_iter().map(|(media_type, schema)| {
                (media_type.to_owned(), json!({"schema": Value::from(schema)}))
            });
            answer["content"] = Value::Object(content.collect());
        }
        if !self.links.is_empty() {
            let links = self.links.into_iter().map(|(name, link)| (name.to_owned(), link));
            answer["links"] = Value::Object(links.collect());
        }
        answer
    }
}

/// The description of one operation. Its permission comes from its route.
#[derive(Clone, Debug)]
pub struct Operation {
    pub method: Method,
    pub path: &'static str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    text: String,
    parameters: Vec<Parameter>,
    body: Option<Value>,
    answers: Vec<Answer>,
}

impl Operation {
    /// An operation without details.
    pub fn new(
        method: Method,
        path: &'static str,
        id: &'static str,
        tag: &'static str,
        summary: &'static str,
    ) -> Self {
        let (text, parameters, answers) = (String::new(), Vec::new(), Vec::new());
        Self { method, path, id, tag, summary, text, parameters, body: None, answers }
    }

    /// The same with more than the summary. Repeating it adds a paragraph.
    #[must_use]
    pub fn says(mut self, text: &str) -> Self {
        if !self.text.is_empty() {
            self.text.push_str("\n\n");
        }
        self.text.push_str(text);
        self
    }

    #[must_use]
    pub fn takes(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// The same with a body in JSON; the examples have a name and a summary each.
    #[must_use]
    pub fn reads(self, required: bool, schema: Schema, examples: &[Example]) -> Self {
        self.reads_as(JSON, required, schema, examples)
    }

    #[must_use]
    pub fn reads_as(
        self,
        media_type: &str,
        required: bool,
        schema: Schema,
        examples: &[Example],
    ) -> Self {
        let mut content = json!({"schema": Value::from(schema)});
        if !examples.is_empty() {
            let examples: Map<String, Value> = examples
                .iter()
                .map(|(name, summary, value)| {
                    ((*name).to_owned(), json!({"summary": summary, "value": value}))
                })
                .collect();
            content["examples"] = Value::Object(examples);
        }
        let body = json!({"required": required, "content": { media_type: content }});
        Self { body: Some(body), ..self }
    }

    #[must_use]
    pub fn answers(mut self, answer: Answer) -> Self {
        self.answers.push(answer);
        self
    }

    /// As the document prints it.
    pub fn value(self, permission: Option<KeyScope>) -> Value {
        let mut operation = json!({
            "operationId": self.id, "tags": [self.tag], "summary": self.summary,
        });
        let text = match permission {
            Some(permission) => {
                let scope = format!("Takes the scope `{permission}`.");
                if self.text.is_empty() { scope } else { format!("{}\n\n{scope}", self.text) }
            }
            None => self.text,
        };
        if !text.is_empty() {
            operation["description"] = text.into();
        }
        if permission.is_none() {
            operation["security"] = json!([]);
        }
        if !self.parameters.is_empty() {
            operation["parameters"] = self.parameters.into_iter().map(Parameter::value).collect();
        }
        if let Some(body) = self.body {
            operation["requestBody"] = body;
        }
        let mut answers = self.answers;
        answers.sort_by_key(|answer| answer.status);
        let answers = answers.into_iter().map(|answer| (answer.status.to_string(), answer.value()));
        operation["responses"] = Value::Object(answers.collect());
        operation
    }
}
