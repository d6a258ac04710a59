//! The buyer's form, and the check that it comes from one of our own pages.

use crate::http::query::Query;
use http::HeaderMap;
use http::header::{HOST, ORIGIN};

/// The action that a buyer chose.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Pay(String),
    Approve,
    Refuse,
    /// The money was sent by hand.
    Claim,
}

/// Reads a form; `None` when it names no action.
pub(super) fn read(body: &[u8]) -> Option<Wish> {
    let text = std::str::from_utf8(body).ok()?;
    let query = Query::parse(Some(text));
    let field = |name| query.get(name).ok().flatten().filter(|value| !value.is_empty());
    match &*field("do")? {
        "approve" => Some(Wish::Approve),
        "refuse" => Some(Wish::Refuse),
        "claim" => Some(Wish::Claim),
        "pay" => {
            let method = field("method").filter(|method| method.len() <= 64)?;
            let outcome = field("outcome").filter(|_| *method != *engine::MANUAL.id);
            Some(Wish::Pay(match outcome {
                Some(outcome) if outcome.len() <= 64 => format!("{method}_{outcome}"),
                _ => method.into_owned(),
            }))
        }
        _ => None,
    }
}

/// False when the browser says that the request comes from another site. There is no session to
/// steal, but another site must not pay for a buyer.
pub(super) fn is_from_here(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let origin = origin.to_str().unwrap_or_default();
    origin.split_once("://").is_some_and(|(_, authority)| authority == host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn forms_are_read() {
        for (body, wish) in [
            ("do=pay&method=card", Some(Wish::Pay("card".into()))),
            ("do=pay&method=card&outcome=", Some(Wish::Pay("card".into()))),
            ("do=pay&method=card&outcome=declined", Some(Wish::Pay("card_declined".into()))),
            ("do=pay&method=manual&outcome=declined", Some(Wish::Pay("manual".into()))),
            ("do=approve", Some(Wish::Approve)),
            ("do=refuse", Some(Wish::Refuse)),
            ("do=claim", Some(Wish::Claim)),
            ("do=pay", None),
            ("do=pay&method=", None),
            ("do=pay&method=card&method=card", None),
            ("do=steal", None),
            ("method=card", None),
            ("", None),
        ] {
            assert_eq!(read(body.as_bytes()), wish, "{body}");
        }
        assert_eq!(read(b"do=pay&method=\xff"), None);
    }

    #[test]
    fn other_sites_are_told_from_this_one() {
        let check = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("pay.example:8080"));
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            is_from_here(&headers)
        };
        assert!(check(&[]));
        assert!(check(&[("sec-fetch-site", "same-origin")]));
        assert!(check(&[("sec-fetch-site", "none")]));
        assert!(check(&[("origin", "https://pay.example:8080")]));
        assert!(!check(&[("sec-fetch-site", "cross-site")]));
        assert!(!check(&[("sec-fetch-site", "same-site")]));
        assert!(!check(&[("origin", "https://evil.example")]));
        assert!(!check(&[("origin", "https://pay.example")]));
        assert!(!check(&[("origin", "null")]));
    }
}
