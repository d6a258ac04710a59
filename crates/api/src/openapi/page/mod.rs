//! A document as a page: made on the server, once, from the same value that `/openapi.json`
//! prints. It loads nothing, runs nothing, and works without scripts.

mod curl;
mod example;
mod markup;
mod outline;
mod schemas;

use super::RenderedDocument;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use markup::{escape, paragraphs, resolve, text};
use outline::{Operation, anchor, operations};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::sync::LazyLock;

const STYLE: &str = include_str!("style.css");

/// Allows only the inline style sheet, by its hash.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});

/// The page of a document.
/// `all` are the documents that it links to.
pub fn answer(document: &'static RenderedDocument, all: &'static [RenderedDocument]) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY.as_str()),
        (CACHE_CONTROL, "public, max-age=300"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    let page = document.page.get_or_init(|| print(document, all));
    (headers, page.as_str()).into_response()
}

fn print(rendered: &RenderedDocument, all: &[RenderedDocument]) -> String {
    let document = &rendered.value;
    let info = &document["info"];
    let title = escape(text(&info["title"]));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} API</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the content</a>\n"
    );
    let operations = operations(document);
    print_menu(&mut page, document, &operations);
    let version = escape(text(&info["version"]));
    let mut others = String::new();
    for other in all.iter().filter(|other| other.name != rendered.name) {
        let title = escape(text(&other.value["info"]["title"]));
        let _ = write!(others, " · <a href=\"{}\">{title} API</a>", other.page_path);
    }
    let _ = write!(
        page,
        "<main id=\"main\">\n<header>\n<h1>{title} API</h1>\n<p class=\"version\">Version \
         {version} · <a href=\"{}\">OpenAPI 3.1 document</a>{others}</p>\n{}</header>\n",
        rendered.path,
        paragraphs(text(&info["description"])),
    );
    print_start(&mut page);
    print_authentication(&mut page, document);
    for tag in document["tags"].as_array().into_iter().flatten() {
        print_tag(&mut page, document, tag, &operations);
    }
    schemas::print_all(&mut page, document);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// The operations that have a tag.
fn tagged<'a>(
    operations: &'a [Operation<'a>],
    tag: &'a str,
) -> impl Iterator<Item = &'a Operation<'a>> {
    operations.iter().filter(move |operation| operation.value["tags"][0] == tag)
}

fn print_menu(page: &mut String, document: &Value, operations: &[Operation<'_>]) {
    page.push_str(
        "<nav aria-label=\"Operations\">\n<p class=\"brand\"><a href=\"#main\">Refundry</a></p>\n",
    );
    page.push_str("<ul>\n<li><a href=\"#start\">Start</a></li>\n<li><a href=\"#authentication\">Authentication</a></li>\n</ul>\n");
    for tag in document["tags"].as_array().into_iter().flatten() {
        let name = text(&tag["name"]);
        let _ = write!(
            page,
            "<details{}><summary>{}</summary>\n<ul>\n",
            if name == "Refunds" { " open" } else { "" },
            escape(name)
        );
        for operation in tagged(operations, name) {
            let summary = escape(text(&operation.value["summary"]));
            let _ = writeln!(page, "<li><a href=\"#{}\">{summary}</a></li>", operation.id());
        }
        page.push_str("</ul></details>\n");
    }
    page.push_str("<ul>\n<li><a href=\"#schemas\">Schemas</a></li>\n</ul>\n</nav>\n");
}

fn print_start(page: &mut String) {
    page.push_str(
        "<section aria-labelledby=\"start\">\n<h2 id=\"start\">Start</h2>\n\
         <p>The commands on this page use two variables. <code>refundry demo</code> prints an address \
         and a key, and makes the payments that the examples refund.</p>\n\
         <pre tabindex=\"0\" aria-label=\"Shell commands\"><code>export REFUNDRY_URL=http://127.0.0.1:8080\nexport REFUNDRY_KEY=pk_test_…</code></pre>\n</section>\n",
    );
}

fn print_authentication(page: &mut String, document: &Value) {
    page.push_str("<section aria-labelledby=\"authentication\">\n<h2 id=\"authentication\">Authentication</h2>\n");
    let schemes = document["components"]["securitySchemes"].as_object();
    for (name, scheme) in schemes.into_iter().flatten() {
        let title = match name.as_str() {
            "bearer" => "Bearer keys",
            "signature" => "Signed requests",
            other => other,
        };
        let text = paragraphs(text(&scheme["description"]));
        let _ = write!(page, "<h3>{}</h3>\n{text}", escape(title));
    }
    page.push_str("</section>\n");
}

fn print_tag(page: &mut String, document: &Value, tag: &Value, operations: &[Operation<'_>]) {
    let name = text(&tag["name"]);
    let anchor = format!("tag-{}", anchor(name));
    let _ = write!(
        page,
        "<section aria-labelledby=\"{anchor}\">\n<h2 id=\"{anchor}\">{}</h2>\n{}",
        escape(name),
        paragraphs(text(&tag["description"])),
    );
    for operation in tagged(operations, name) {
        print_operation(page, document, operation);
    }
    page.push_str("</section>\n");
}

fn print_operation(page: &mut String, document: &Value, operation: &Operation<'_>) {
    let (id, value) = (operation.id(), operation.value);
    let _ = write!(
        page,
        "<article aria-labelledby=\"{id}\">\n<h3 id=\"{id}\"><a href=\"#{id}\">{}</a></h3>\n\
         <p class=\"route\"><span class=\"method {}\">{}</span> <code>{}</code></p>\n{}",
        escape(text(&value["summary"])),
        operation.method,
        operation.method.to_ascii_uppercase(),
        escape(operation.path),
        paragraphs(text(&value["description"])),
    );
    let command = escape(&curl::command(document, operation));
    let _ = writeln!(
        page,
        "<pre tabindex=\"0\" aria-label=\"{id} with curl\"><code>{command}</code></pre>"
    );
    print_parameters(page, document, value);
    print_body(page, document, value);
    print_answers(page, document, value);
    page.push_str("</article>\n");
}

fn print_parameters(page: &mut String, document: &Value, operation: &Value) {
    let parameters: Vec<_> = operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|parameter| resolve(document, parameter))
        .collect();
    for (place, title) in
        [("path", "In the path"), ("query", "In the query"), ("header", "Headers")]
    {
        let mut rows = String::new();
        for parameter in parameters.iter().filter(|parameter| parameter["in"] == place) {
            let name = text(&parameter["name"]);
            let about = text(&parameter["description"]);
            let required = parameter["required"] == true && place != "path";
            schemas::print_row(&mut rows, document, name, &parameter["schema"], required, about);
        }
        if !rows.is_empty() {
            let open = if place == "header" { "" } else { " open" };
            let _ = write!(
                page,
                "<details{open}><summary>{title}</summary>\n<dl>\n{rows}</dl></details>\n"
            );
        }
    }
}

fn print_body(page: &mut String, document: &Value, operation: &Value) {
    let content = operation["requestBody"]["content"].as_object();
    for (media_type, body) in content.into_iter().flatten() {
        let schema = resolve(document, &body["schema"]);
        let optional = operation["requestBody"]["required"] != true;
        let optional = if optional { ", can be left out" } else { "" };
        let _ = writeln!(
            page,
            "<details open><summary>Body <span>{media_type}{optional}</span></summary>"
        );
        page.push_str(&paragraphs(text(&schema["description"])));
        schemas::print_fields(page, document, schema);
        for (_, example) in body["examples"].as_object().into_iter().flatten() {
            let summary = escape(text(&example["summary"]));
            let value = escape(&format!("{:#}", example["value"]));
            let _ = write!(
                page,
                "<p class=\"caption\">{summary}</p>\n<pre tabindex=\"0\" aria-label=\"Example: {summary}\"><code>{value}</code></pre>\n"
            );
        }
        page.push_str("</details>\n");
    }
}

fn print_answers(page: &mut String, document: &Value, operation: &Value) {
    let answers = operation["responses"].as_object();
    page.push_str("<details class=\"answers\"><summary>Answers</summary>\n");
    for (status, answer) in answers.into_iter().flatten() {
        let answer = resolve(document, answer);
        let about = paragraphs(text(&answer["description"]));
        let class = status.get(..1).unwrap_or_default();
        let _ = write!(
            page,
            "<div class=\"answer s{class}\"><p class=\"status\">{status}</p><div>{about}"
        );
        for (media_type, content) in answer["content"].as_object().into_iter().flatten() {
            if status.starts_with('2') && media_type == super::operation::JSON {
                let value = example::of(document, &content["schema"]);
                let value = escape(&format!("{value:#}"));
                let _ = writeln!(
                    page,
                    "<pre tabindex=\"0\" aria-label=\"Example of the answer\"><code>{value}</code></pre>"
                );
                schemas::print_links(page, &content["schema"]);
            }
        }
        page.push_str("</div></div>\n");
    }
    page.push_str("</details>\n");
}
