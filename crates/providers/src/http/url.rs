//! URLs of a provider's API.

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt;
use std::net::IpAddr;

/// Everything but the characters that never have a meaning in a URL (RFC 3986, section 2.3).
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A URL for a request. A flaw in it is told when the request is sent, so that building a request
/// needs no error handling.
#[derive(Clone)]
pub struct Url {
    text: String,
    flaw: Option<&'static str>,
}

/// The server of a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) tls: bool,
    /// In lower case, an IPv6 address without brackets.
    pub(super) host: Box<str>,
    pub(super) port: u16,
}

impl Url {
    /// `base` and one path segment for each of `segments`, whatever characters they have.
    pub(super) fn join(base: &str, segments: &[&str]) -> Self {
        let mut url = Self::from(base);
        for segment in segments {
            // An empty id would turn the URL of one thing into the URL of all. Dots mean a level
            // up, also when they are encoded.
            if matches!(*segment, "" | "." | "..") {
                url.flaw = Some("a segment of the path is empty or means another path");
            }
            url.text.push('/');
            url.text.extend(utf8_percent_encode(segment, &RESERVED));
        }
        url
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.text.push(if self.text.contains('?') { '&' } else { '?' });
        self.text.extend(utf8_percent_encode(name, &RESERVED));
        self.text.push('=');
        self.text.extend(utf8_percent_encode(value, &RESERVED));
        self
    }

    pub(super) fn parse(&self) -> Result<(Uri, Origin), &'static str> {
        if let Some(flaw) = self.flaw {
            return Err(flaw);
        }
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\');
        if !self.text.bytes().all(plain) {
            return Err("the URL has a character that no URL has");
        }
        let uri: Uri = self.text.parse().map_err(|_| "the URL cannot be read")?;
        let origin = Origin::of(&uri)?;
        Ok((uri, origin))
    }
}

impl From<&str> for Url {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), flaw: None }
    }
}

/// Without the query, which may hold data of a buyer.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, query) = self.text.split_once('?').unwrap_or((&self.text, ""));
        f.write_str(path)?;
        f.write_str(if query.is_empty() { "" } else { "?.." })
    }
}

impl Origin {
    fn of(uri: &Uri) -> Result<Self, &'static str> {
        let authority = uri.authority().ok_or("the URL names no host")?;
        if authority.as_str().contains('@') {
            return Err("the URL holds a user name or a password");
        }
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if is_this_machine(host) => false,
            _ => return Err("the URL must begin with https:// (http:// only for this machine)"),
        };
        let port = match authority.as_str().rsplit_once(':') {
            Some((_, port)) if !port.ends_with(']') => port.parse().ok(),
            _ => Some(if tls { 443 } else { 80 }),
        };
        let port = port.filter(|port| *port != 0).ok_or("the URL has no such port")?;
        if host.is_empty() {
            return Err("the URL names no host");
        }
        Ok(Self { tls, host: host.to_ascii_lowercase().into(), port })
    }

    /// The host, if it is an address.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    address.map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(segments: &[&str]) -> Result<String, &'static str> {
        let url = Url::join("https://api.psp.example/v1", segments);
        url.parse().map(|(uri, _)| uri.to_string())
    }

    #[test]
    fn an_id_stays_one_segment_of_the_path() {
        for (id, path) in [
            ("re_1", "re_1"),
            ("a/b", "a%2Fb"),
            ("a?b=c#d", "a%3Fb%3Dc%23d"),
            ("../charges", "..%2Fcharges"),
            ("%2e%2e", "%252e%252e"),
            ("a b+c", "a%20b%2Bc"),
            ("\u{fc}\r\n\0", "%C3%BC%0D%0A%00"),
            ("a\\b;c:d@e", "a%5Cb%3Bc%3Ad%40e"),
            ("...", "..."),
        ] {
            let expected = format!("https://api.psp.example/v1/refunds/{path}");
            assert_eq!(joined(&["refunds", id]).as_deref(), Ok(expected.as_str()), "{id}");
        }
        for id in ["", ".", ".."] {
            assert!(joined(&["refunds", id]).is_err(), "{id:?}");
        }
    }

    #[test]
    fn a_query_holds_any_value() {
        let url =
            Url::join("https://api.psp.example", &["v1"]).query("a&b", "c=d&e").query("f", "");
        let (uri, _) = url.parse().expect("a URL");
        assert_eq!(uri, "https://api.psp.example/v1?a%26b=c%3Dd%26e&f=");
        assert_eq!(format!("{url:?}"), "https://api.psp.example/v1?..");
    }

    #[test]
    fn only_https_and_this_machine_are_called() {
        for (text, origin) in [
            ("https://api.psp.example/v1", (true, "api.psp.example", 443)),
            ("https://API.psp.example:8443", (true, "api.psp.example", 8443)),
            ("https://10.0.0.1/", (true, "10.0.0.1", 443)),
            ("https://[fd00::1]:444/", (true, "fd00::1", 444)),
            ("http://127.0.0.1:9000/", (false, "127.0.0.1", 9000)),
            ("http://[::1]/", (false, "::1", 80)),
            ("http://localhost:9000/", (false, "localhost", 9000)),
        ] {
            let (_, parsed) = Url::from(text).parse().expect(text);
            assert_eq!((parsed.tls, &*parsed.host, parsed.port), origin, "{text}");
        }
        for text in [
            "",
            "/v1",
            "api.psp.example",
            "http://api.psp.example/",
            "http://10.0.0.1/",
            "http://localhost.psp.example/",
            "ftp://api.psp.example/",
            "https://",
            "https://:443/",
            "https://user:pass@api.psp.example/",
            "https://api.psp.example@evil.example/",
            "https://api.psp.example:99999/",
            "https://api.psp.example:0/",
            "https://api.psp.example:/",
            "https://api.psp.example/#top",
            "https://api.psp.example\\@evil.example/",
            "https://api.psp.example/a b",
            "https://api.psp.example/\u{e9}",
        ] {
            assert!(Url::from(text).parse().is_err(), "{text}");
        }
    }
}
