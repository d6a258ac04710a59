//! Links in a JSON object.

use super::object::Object;
use crate::http::invalid::{Invalid, excerpt};

pub const LONGEST_URL: usize = 2_000;

impl Object<'_> {
    /// Reads a link that a browser may be sent to: `http` or `https` and nothing that could end an
    /// attribute or a header.
    pub fn url(&self, field: &'static str) -> Result<Option<Box<str>>, Invalid> {
        let Some(text) = self.name(field, LONGEST_URL)? else { return Ok(None) };
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let host = host.filter(|host| !host.is_empty() && !host.contains('@'));
        let plain =
            text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
        if host.is_none() || !plain {
            let message = format!(
                "{field} must be an http:// or https:// link, percent-encoded; got {:?}",
                excerpt(&text)
            );
            return Err(Invalid::field(field, message));
        }
        Ok(Some(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_http_and_cannot_break_out() {
        let read = |url: &str| {
            let body = serde_json::json!({ "u": url }).to_string();
            let object = Object::parse(body.as_bytes()).expect("valid JSON");
            object.url("u").is_ok()
        };
        for url in [
            "https://shop.example/thanks?order=7&x=%20#top",
            "http://localhost:3000/a",
            "https://xn--bcher-kva.example",
            "http://[::1]:8080/",
        ] {
            assert!(read(url), "{url}");
        }
        for url in [
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "//shop.example",
            "/thanks",
            "https://",
            "https:///path",
            "http://user:secret@shop.example/",
            "data:text/html,x",
            "https://shop.example/\"><script>",
            "https://shop.example/a b",
            "https://shop.example/\u{e9}",
            " https://shop.example",
            "",
        ] {
            assert!(!read(url), "{url}");
        }
    }
}
