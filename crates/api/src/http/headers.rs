//! Request headers that exist under two names, and headers that may appear once.

use crate::http::invalid::Invalid;
use http::{HeaderMap, HeaderName, HeaderValue};

/// A header under the name of the system it comes from and under Refundry's own. Both mean the same.
#[derive(Debug)]
pub struct Twin {
    theirs: HeaderName,
    ours: HeaderName,
    text: &'static str,
}

impl Twin {
    const fn new(theirs: &'static str, ours: &'static str, text: &'static str) -> Self {
        Self { theirs: HeaderName::from_static(theirs), ours: HeaderName::from_static(ours), text }
    }

    /// The name for messages.
    pub const fn name(&self) -> &'static str {
        self.text
    }

    /// The header's value under either name.
    pub fn find<'a>(&self, headers: &'a HeaderMap) -> Result<Option<&'a HeaderValue>, Invalid> {
        let theirs = single(headers, &self.theirs)?;
        let ours = single(headers, &self.ours)?;
        match (theirs, ours) {
            (Some(a), Some(b)) if a != b => {
                let message = format!("{} has two names with two values; send one", self.text);
                Err(Invalid::field(self.text, message))
            }
            (a, b) => Ok(a.or(b)),
        }
    }
}

/// The signing time in Unix seconds.
pub static TIMESTAMP: Twin =
    Twin::new("x-plugipay-timestamp", "x-refundry-timestamp", "X-Refundry-Timestamp");
/// The account that a platform key acts for.
pub static ON_BEHALF_OF: Twin =
    Twin::new("x-plugipay-on-behalf-of", "x-refundry-on-behalf-of", "X-Refundry-On-Behalf-Of");
/// The mode that a platform key acts in.
pub static MODE: Twin = Twin::new("x-plugipay-mode", "x-refundry-mode", "X-Refundry-Mode");
/// The error table for the answer.
pub static ERROR_PROFILE: Twin =
    Twin::new("x-refundry-error-profile", "refundry-error-profile", "Refundry-Error-Profile");
pub static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub static PREFER: HeaderName = HeaderName::from_static("prefer");

/// A header that may appear once.
pub fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, Invalid> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        let message = format!("the header {name} appears more than once; send it once");
        return Err(Invalid::field(name.as_str().to_owned(), message));
    }
    Ok(first)
}

/// The seconds of `wait=N` in a `Prefer` header (RFC 7240). Unreadable values are ignored.
pub fn preferred_wait(headers: &HeaderMap) -> Option<u64> {
    headers
        .get_all(&PREFER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|preference| preference.split(';').next()?.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))
        .find_map(|(_, seconds)| seconds.trim().trim_matches('"').parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn both_names_of_a_header_mean_the_same() {
        for name in ["x-plugipay-mode", "x-refundry-mode"] {
            let headers = headers(&[(name, "live")]);
            assert_eq!(MODE.find(&headers), Ok(Some(&HeaderValue::from_static("live"))));
        }
        let both = headers(&[("x-plugipay-mode", "live"), ("x-refundry-mode", "live")]);
        assert!(MODE.find(&both).is_ok_and(|value| value.is_some()));
        assert_eq!(MODE.find(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn a_header_with_two_values_is_refused() {
        let twins = headers(&[("x-plugipay-mode", "live"), ("x-refundry-mode", "test")]);
        assert!(MODE.find(&twins).is_err());
        let twice = headers(&[("x-plugipay-mode", "live"), ("x-plugipay-mode", "live")]);
        assert!(MODE.find(&twice).is_err());
    }

    #[test]
    fn a_preferred_wait_is_found_among_other_preferences() {
        for (value, wait) in [
            ("wait=10", Some(10)),
            ("respond-async, wait=5", Some(5)),
            ("Wait = \"7\"; foo=bar", Some(7)),
            ("wait=0", Some(0)),
            ("wait=-1", None),
            ("wait=soon", None),
            ("wait", None),
            ("return=minimal", None),
        ] {
            assert_eq!(preferred_wait(&headers(&[("prefer", value)])), wait, "{value}");
        }
        assert_eq!(preferred_wait(&HeaderMap::new()), None);
    }
}
