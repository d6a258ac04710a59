//! The description of these operations in the OpenAPI document.

use crate::openapi::{Answer, Chapter, Fields, JSON, Operation, Parameter, Schema};
use http::Method;

const TAG: &str = "Service";

/// This part of the document.
/// `names` are the names of the documents.
pub fn chapter(names: &[&str]) -> Chapter {
    let get = |path, id, summary| Operation::new(Method::GET, path, id, TAG, summary);
    let alive = |operation: Operation| {
        operation.says("The process answers. Asks nobody else.").answers(Answer::json(
            200,
            "It does.",
            status("ok"),
        ))
    };
    let operations = vec![
        alive(get("/health", "getHealth", "Check that the process answers")),
        alive(get("/healthz", "getHealthz", "Check that the process answers")),
        get("/readyz", "getReadiness", "Check that the process can do its work")
            .answers(Answer::json(200, "It can.", status("ok")))
            .answers(Answer::json(503, "The database is not available.", status("unavailable"))),
        get("/metrics", "getMetrics", "Get the metrics").answers(Answer::of(
            200,
            "In Prometheus' text format.",
            "text/plain",
            Schema::string(),
        )),
        get("/openapi.json", "getOpenapi", "Get this document").answers(Answer::of(
            200,
            "The OpenAPI document.",
            JSON,
            Schema::any().with("type", "object"),
        )),
        get("/openapi/{document}", "getDoorOpenapi", "Get the document of a door")
            .takes([Parameter::path("document", "Its name.", documents(names, ".json"))])
            .answers(Answer::json(200, "The document.", Schema::any().with("type", "object")))
            .answers(no_such()),
        get("/docs", "getDocs", "Read this document").answers(Answer::of(
            200,
            "The document as a page.",
            "text/html",
            Schema::string(),
        )),
        get("/docs/{document}", "getDoorDocs", "Read the document of a door")
            .takes([Parameter::path("document", "Its name.", documents(names, ""))])
            .answers(Answer::of(200, "The document as a page.", "text/html", Schema::string()))
            .answers(no_such()),
    ];
    Chapter {
        tags: vec![(TAG, "For the people and machines that run the service. No key is asked for.")],
        operations,
        ..Chapter::default()
    }
}

fn documents(names: &[&str], ending: &str) -> Schema {
    let names: Vec<_> = names.iter().map(|name| format!("{name}{ending}")).collect();
    Schema::words(names.iter().map(String::as_str))
}

fn no_such() -> Answer {
    Answer::json(404, "There is no such document.", Schema::named("Refusal"))
}

fn status(word: &str) -> Schema {
    Fields::new().must("status", Schema::words([word])).closed()
}
