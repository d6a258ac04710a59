//! Checks exchanges against an OpenAPI document: every answer of a documented operation, and every
//! body that an operation accepted.

use http::HeaderMap;
use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

pub struct Exchange<'a> {
    pub method: &'a str,
    /// The request target, query included.
    pub target: &'a str,
    /// The body of the request.
    pub sent: &'a [u8],
    pub status: u16,
    /// The headers of the answer.
    pub headers: &'a HeaderMap,
    /// The body of the answer.
    pub received: &'a [u8],
}

/// An OpenAPI document with its compiled schemas.
pub struct Contract {
    document: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Contract {
    /// Parses the document.
    ///
    /// # Panics
    /// When the document is not JSON.
    pub fn new(document: &str) -> Self {
        let document = serde_json::from_str(document).expect("the document is JSON");
        Self { document, validators: Mutex::default() }
    }

    /// Checks an exchange against the document. Ignores paths and methods that are not in the
    /// document, and answers to `HEAD`, which have no body.
    ///
    /// # Panics
    /// When the answer differs from the document, or when an operation accepted a body that the
    /// document forbids.
    #[track_caller]
    pub fn check(&self, exchange: &Exchange<'_>) {
        if let Err(why) = self.compare(exchange) {
            let Exchange { method, target, status, received, .. } = exchange;
            let body = String::from_utf8_lossy(received);
            panic!(
                "{method} {target} answered {status}, which differs from the document: {why}\n{body}"
            );
        }
    }

    /// Checks the body of a sent webhook against the document.
    ///
    /// # Panics
    /// When the body differs from the document.
    #[track_caller]
    pub fn check_webhook(&self, body: &[u8]) {
        let body: Value = serde_json::from_slice(body).expect("the webhook is JSON");
        let name = body["type"].as_str().unwrap_or_default();
        let post = &self.document["webhooks"][name]["post"];
        let schema = &post["requestBody"]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{name:?} was sent, but is not documented");
        if let Err(why) = self.validate(&format!("webhook {name}"), schema, &body) {
            panic!("the webhook differs from the document: {why}\n{body:#}");
        }
    }

    fn compare(&self, exchange: &Exchange<'_>) -> Result<(), String> {
        let Some((place, operation)) = self.find(exchange.method, exchange.target) else {
            return Ok(());
        };
        let status = exchange.status.to_string();
        let answer = operation["responses"].get(&status).ok_or("the status is not documented")?;
        let answer = self.resolve(answer);
        let place = format!("{place}/responses/{status}");
        self.compare_headers(answer, exchange.headers)?;
        self.compare_body(&place, answer, exchange)?;
        if (200..300).contains(&exchange.status) {
            self.compare_request(operation, exchange.sent)?;
        }
        Ok(())
    }

    /// Finds the operation of a request, and its name: method and path template.
    fn find(&self, method: &str, target: &str) -> Option<(String, &Value)> {
        let path = target.split('?').next().unwrap_or_default();
        let fits = |template: &str| {
            let (mut asked, mut known) = (path.split('/'), template.split('/'));
            loop {
                match (asked.next(), known.next()) {
                    (None, None) => return true,
                    (Some(asked), Some(known)) if asked == known => {}
                    (Some(asked), Some(known)) if known.starts_with('{') && !asked.is_empty() => {}
                    _ => return false,
                }
            }
        };
        let paths = self.document["paths"].as_object()?;
        // A path without parameters wins over one with parameters.
        let mut templates: Vec<_> = paths.keys().filter(|template| fits(template)).collect();
        templates.sort_by_key(|template| template.matches('{').count());
        let template = templates.first()?;
        let operation = paths[*template].get(method.to_ascii_lowercase())?;
        Some((format!("{method} {template}"), operation))
    }

    fn compare_headers(&self, answer: &Value, headers: &HeaderMap) -> Result<(), String> {
        for (name, header) in answer["headers"].as_object().into_iter().flatten() {
            let header = self.resolve(header);
            let Some(value) = headers.get(name.as_str()) else {
                if header["required"] == true {
                    return Err(format!("the header {name} is missing"));
                }
                continue;
            };
            let value = json!(String::from_utf8_lossy(value.as_bytes()));
            self.validate(&format!("header {name}"), &header["schema"], &value)?;
        }
        Ok(())
    }

    fn compare_body(
        &self,
        place: &str,
        answer: &Value,
        exchange: &Exchange<'_>,
    ) -> Result<(), String> {
        let Some(content) = answer["content"].as_object() else {
            let empty = exchange.received.is_empty();
            return if empty { Ok(()) } else { Err("no body is documented".into()) };
        };
        let media_type = exchange.headers.get("content-type");
        let media_type = media_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let bare = media_type.split(';').next().unwrap_or_default().trim();
        let documented = content.get(bare);
        let documented = documented.ok_or(format!("{media_type:?} is not documented"))?;
        let body = if bare == "application/json" {
            serde_json::from_slice(exchange.received).map_err(|why| format!("no JSON: {why}"))?
        } else {
            json!(String::from_utf8_lossy(exchange.received))
        };
        self.validate(&format!("{place}/{bare}"), &documented["schema"], &body)
    }

    fn compare_request(&self, operation: &Value, sent: &[u8]) -> Result<(), String> {
        let request = &operation["requestBody"];
        if sent.is_empty() {
            let required = request["required"] == true;
            return if required { Err("no body was accepted".into()) } else { Ok(()) };
        }
        let Ok(body) = serde_json::from_slice(sent) else { return Ok(()) };
        let schema = &request["content"]["application/json"]["schema"];
        let id = &operation["operationId"];
        self.validate(&format!("request of {id}"), schema, &body).map_err(|why| {
            format!("the operation accepted a request that is documented as wrong: {why}")
        })
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let reference = value["$ref"].as_str().and_then(|text| text.strip_prefix('#'));
        reference.and_then(|at| self.document.pointer(at)).unwrap_or(value)
    }

    /// Validates `value` against `schema`, which is compiled once per `name`.
    fn validate(&self, name: &str, schema: &Value, value: &Value) -> Result<(), String> {
        if schema.is_null() {
            return Ok(());
        }
        let validator = self.validator(name, schema);
        let flaws: Vec<_> = validator
            .iter_errors(value)
            .map(|flaw| format!("{flaw} at {}", flaw.instance_path()))
            .collect();
        if flaws.is_empty() { Ok(()) } else { Err(format!("{name}: {}", flaws.join("; "))) }
    }

    fn validator(&self, name: &str, schema: &Value) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            // References in the schema point into the document's components, so these are added to
            // the schema.
            let mut schema = schema.clone();
            schema["components"] = self.document["components"].clone();
            let options = jsonschema::draft202012::options().should_validate_formats(true);
            let validator = options.build(&schema);
            Arc::new(validator.unwrap_or_else(|why| panic!("{name} is no schema: {why}")))
        };
        Arc::clone(validators.entry(name.to_owned()).or_insert_with(make))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn contract() -> Contract {
        let thing = json!({
            "type": "object", "required": ["id"], "additionalProperties": false,
            "properties": {"id": {"type": "string", "format": "date-time"}},
        });
        let schema = json!({"$ref": "#/components/schemas/Thing"});
        let content = json!({"application/json": {"schema": schema}});
        let header = json!({"required": true, "schema": {"type": "string", "pattern": "^r"}});
        Contract::new(
            &json!({
                "paths": {"/things/{id}": {"post": {
                    "operationId": "act",
                    "requestBody": {"required": true, "content": content},
                    "responses": {
                        "200": {"headers": {"X-Request-Id": header}, "content": content},
                        "204": {"description": "Done."},
                    },
                }}},
                "components": {"schemas": {"Thing": thing}},
            })
            .to_string(),
        )
    }

    const GOOD: &str = r#"{"id": "2026-05-12T10:42:00Z"}"#;

    /// The difference that `compare` finds for an answer to `POST /things/1`.
    fn why(status: u16, kind: &str, id: &str, sent: &str, received: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in [("content-type", kind), ("x-request-id", id)] {
            if !value.is_empty() {
                headers.insert(name, HeaderValue::from_str(value).expect("a value"));
            }
        }
        let (sent, received) = (sent.as_bytes(), received.as_bytes());
        let (method, target) = ("POST", "/things/1?a=b");
        let exchange = Exchange { method, target, sent, status, headers: &headers, received };
        contract().compare(&exchange).err()
    }

    #[test]
    fn documented_answers_pass() {
        assert_eq!(why(200, "application/json; charset=utf-8", "r1", GOOD, GOOD), None);
        assert_eq!(why(204, "", "", GOOD, ""), None);
    }

    #[test]
    fn every_difference_is_reported() {
        let json = "application/json";
        for (found, expected) in [
            (why(500, json, "r1", GOOD, GOOD), "status is not documented"),
            (why(200, "text/plain", "r1", GOOD, GOOD), "\"text/plain\" is not documented"),
            (why(200, json, "", GOOD, GOOD), "X-Request-Id is missing"),
            (why(200, json, "s1", GOOD, GOOD), "does not match"),
            (why(200, json, "r1", GOOD, "{}"), "required property"),
            (why(200, json, "r1", GOOD, r#"{"id": "soon"}"#), "date-time"),
            (why(200, json, "r1", GOOD, r#"{"id": "2026-05-12T10:42:00Z", "x": 1}"#), "'x'"),
            (why(200, json, "r1", GOOD, "not JSON"), "no JSON"),
            (why(204, "", "", GOOD, "x"), "no body is documented"),
            (why(200, json, "r1", "{}", GOOD), "documented as wrong"),
            (why(204, "", "", "", ""), "no body was accepted"),
        ] {
            let found = found.expect(expected);
            assert!(found.contains(expected), "{found:?} has {expected:?}");
        }
    }
}
