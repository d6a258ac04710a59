//! The description of these pages in the OpenAPI document.

use crate::openapi::{Answer, Chapter, Fields, Operation, Parameter, Schema};
use http::Method;

const TAG: &str = "Hosted pages";
const HTML: &str = "text/html";
const FORM: &str = "application/x-www-form-urlencoded";

pub fn chapter() -> Chapter {
    Chapter {
        tags: vec![(TAG, "The pages on which buyers pay. They work without scripts.")],
        operations: vec![
            show("/c/{id}", "showCheckoutPage", "Show the page of a checkout"),
            act("/c/{id}", "actOnCheckoutPage", "Act on the page of a checkout"),
            show("/i/{id}", "showInvoicePage", "Show the page of an invoice"),
            act("/i/{id}", "actOnInvoicePage", "Act on the page of an invoice"),
            asset("/assets/hosted.css", "getHostedStyle", "Get the pages' style sheet", "text/css"),
            asset(
                "/assets/hosted.js",
                "getHostedScript",
                "Get the pages' script",
                "text/javascript",
            ),
        ],
        ..Chapter::default()
    }
}

fn page(status: u16, text: &str) -> Answer {
    Answer::of(status, text, HTML, Schema::string())
}

fn over_limit() -> Answer {
    page(429, "Too many requests; the page says when to load it again.")
        .with_headers(&["Retry-After"])
}

fn id() -> Parameter {
    Parameter::path("id", "The checkout or invoice.", Schema::string())
}

fn show(path: &'static str, name: &'static str, summary: &'static str) -> Operation {
    let choose = Parameter::query("choose", "Shows every way to pay again.", Schema::string());
    Operation::new(Method::GET, path, name, TAG, summary)
        .takes([id(), choose])
        .answers(page(200, "The page."))
        .answers(page(404, "There is nothing to pay here."))
        .answers(page(503, "It does not work now."))
        .answers(over_limit())
}

fn act(path: &'static str, name: &'static str, summary: &'static str) -> Operation {
    let form = Fields::new()
        .must("do", Schema::words(["pay", "approve", "refuse", "claim"]))
        .may("method", Schema::string().says("With `pay`: how, in at most 64 characters."))
        .may("outcome", Schema::string().says("With `pay`: what the simulator does with it."))
        .open();
    Operation::new(Method::POST, path, name, TAG, summary)
        .takes([id()])
        .reads_as(FORM, true, form, &[])
        .answers(Answer::empty(303, "Back to the page, which says what became of it."))
        .answers(page(403, "The form comes from another site."))
        .answers(page(404, "There is nothing to pay here."))
        .answers(page(422, "The page once more, with what was wrong."))
        .answers(page(503, "It does not work now."))
        .answers(over_limit())
}

fn asset(
    path: &'static str,
    name: &'static str,
    summary: &'static str,
    media_type: &'static str,
) -> Operation {
    Operation::new(Method::GET, path, name, TAG, summary)
        .answers(Answer::of(200, "It.", media_type, Schema::string()))
        .answers(over_limit())
}
