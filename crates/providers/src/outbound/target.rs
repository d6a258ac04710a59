//! Checks the text of URLs before a call. The addresses of a name are checked again after the name
//! is resolved.

use super::address::{Network, is_public};
use http::Uri;
use http::uri::Scheme;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The URLs and addresses that may be called.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Call only `https` URLs.
    pub https_only: bool,
    /// Networks that may be called although they are not public.
    pub allowed: Vec<Network>,
}

impl Policy {
    pub fn permits(&self, address: IpAddr) -> bool {
        is_public(address) || self.allowed.iter().any(|network| network.contains(address))
    }
}

/// Reasons to refuse a URL or an address. The text is for the person who registered the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("is no absolute URL such as https://shop.example/webhooks")]
    Malformed,
    #[error("must start with https://")]
    Scheme,
    #[error("must start with https:// in live mode")]
    Plain,
    #[error("must not contain a user name or a password")]
    Credentials,
    #[error("must not contain a fragment (#)")]
    Fragment,
    /// A number that some resolvers read as an address.
    #[error("must name its host by name or by a plain address such as 93.184.216.34")]
    OddAddress,
    #[error("leads to an address that is not public")]
    NotPublic,
}

/// The host of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// A checked address.
    Address(IpAddr),
    /// A name that must be resolved.
    Name(String),
}

pub fn check_url(text: &str, policy: &Policy) -> Result<Uri, Refused> {
    if text.contains('#') {
        return Err(Refused::Fragment);
    }
    let odd = |byte: u8| !byte.is_ascii_graphic() || matches!(byte, b'\\' | b'"' | b'<' | b'>');
    if text.bytes().any(odd) {
        return Err(Refused::Malformed);
    }
    let uri: Uri = text.parse().map_err(|_| Refused::Malformed)?;
    let scheme = uri.scheme().ok_or(Refused::Malformed)?;
    if *scheme != Scheme::HTTPS && *scheme != Scheme::HTTP {
        return Err(Refused::Scheme);
    }
    if policy.https_only && *scheme != Scheme::HTTPS {
        return Err(Refused::Plain);
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(Refused::Credentials);
    }
    check_host(uri.host().unwrap_or_default(), policy)?;
    Ok(uri)
}

pub(super) fn check_host(host: &str, policy: &Policy) -> Result<Host, Refused> {
    let permitted = |address: IpAddr| {
        policy.permits(address).then_some(Host::Address(address)).ok_or(Refused::NotPublic)
    };
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(Refused::Malformed)?;
        return permitted(inner.parse::<Ipv6Addr>().map_err(|_| Refused::Malformed)?.into());
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return permitted(address.into());
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    // Many resolvers read a name that ends in a number as an address: 2130706433, 0177.0.0.1,
    // 0x7f.1.
    if is_number(last) {
        return Err(Refused::OddAddress);
    }
    let good = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() > 253 || !name.split('.').all(good) {
        return Err(Refused::Malformed);
    }
    // Names that mean this machine wherever they are resolved (RFC 6761).
    if last.eq_ignore_ascii_case("localhost") && !policy.permits(Ipv4Addr::LOCALHOST.into()) {
        return Err(Refused::NotPublic);
    }
    Ok(Host::Name(name.to_owned()))
}

fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, policy: &Policy) -> Option<Refused> {
        check_url(text, policy).err()
    }

    #[test]
    fn public_hosts_are_taken() {
        let policy = Policy { https_only: true, ..Policy::default() };
        for text in [
            "https://shop.example/hooks?a=b",
            "https://shop.example:8443",
            "https://SHOP.example./",
            "https://xn--bcher-kva.example/",
            "https://a_b.example/",
            "https://93.184.216.34/",
            "https://[2606:4700::1111]:443/x",
            "https://7.example/",
            "https://10.0.0.1.example/",
        ] {
            assert_eq!(check(text, &policy), None, "{text}");
        }
    }

    #[test]
    fn everything_that_leads_inside_is_refused() {
        for (text, refused) in [
            ("http://127.0.0.1/", Refused::NotPublic),
            ("http://127.1/", Refused::OddAddress),
            ("http://2130706433/", Refused::OddAddress),
            ("http://017700000001/", Refused::OddAddress),
            ("http://0177.0.0.1/", Refused::OddAddress),
            ("http://0x7f.1/", Refused::OddAddress),
            ("http://0x7f000001/", Refused::OddAddress),
            ("http://0X7F.0.0.0x1/", Refused::OddAddress),
            ("http://127.0.0.1./", Refused::OddAddress),
            ("http://127.0.0.0x/", Refused::OddAddress),
            ("http://256.1.1.1/", Refused::OddAddress),
            ("http://localhost/", Refused::NotPublic),
            ("http://LOCALHOST./", Refused::NotPublic),
            ("http://api.localhost:80/", Refused::NotPublic),
            ("http://169.254.169.254/latest/meta-data/", Refused::NotPublic),
            ("http://[::1]/", Refused::NotPublic),
            ("http://[::ffff:127.0.0.1]/", Refused::NotPublic),
            ("http://[::ffff:7f00:1]/", Refused::NotPublic),
            ("http://[::127.0.0.1]/", Refused::NotPublic),
            ("http://[64:ff9b::7f00:1]/", Refused::NotPublic),
            ("http://[2002:7f00:1::]/", Refused::NotPublic),
            ("http://[fe80::1]/", Refused::NotPublic),
            ("http://[fe80::1%25eth0]/", Refused::Malformed),
            ("http://[::]/", Refused::NotPublic),
            ("http://0.0.0.0/", Refused::NotPublic),
        ] {
            assert_eq!(check(text, &Policy::default()), Some(refused), "{text}");
        }
    }

    #[test]
    fn what_is_no_plain_url_is_refused() {
        for (text, refused) in [
            ("", Refused::Malformed),
            ("shop.example", Refused::Malformed),
            ("/hooks", Refused::Malformed),
            ("https://", Refused::Malformed),
            ("https:///hooks", Refused::Malformed),
            ("https://shop example/", Refused::Malformed),
            ("https://shop.example/\u{e9}", Refused::Malformed),
            ("https://sh\u{f6}p.example/", Refused::Malformed),
            ("https://a..example/", Refused::Malformed),
            ("https://shop.example\\@evil.example/", Refused::Malformed),
            ("https://user:pass@shop.example/", Refused::Credentials),
            ("https://shop.example@127.0.0.1/", Refused::Credentials),
            ("https://shop.example/#top", Refused::Fragment),
            ("ftp://shop.example/", Refused::Scheme),
            ("file:///etc/passwd", Refused::Malformed),
            ("javascript:alert(1)", Refused::Malformed),
            ("gopher://shop.example/", Refused::Scheme),
        ] {
            assert_eq!(check(text, &Policy::default()), Some(refused), "{text}");
        }
        let live = Policy { https_only: true, ..Policy::default() };
        assert_eq!(check("http://shop.example/", &live), Some(Refused::Plain));
        assert_eq!(check("http://shop.example/", &Policy::default()), None);
    }

    #[test]
    fn an_allow_list_opens_what_it_names_and_nothing_else() {
        let policy = Policy { https_only: false, allowed: Network::LOOPBACK.to_vec() };
        for text in ["http://127.0.0.1:9000/", "http://localhost:9000/", "http://[::1]/"] {
            assert_eq!(check(text, &policy), None, "{text}");
        }
        assert_eq!(check("http://10.0.0.1/", &policy), Some(Refused::NotPublic));
        assert_eq!(check("http://2130706433/", &policy), Some(Refused::OddAddress));
    }
}
