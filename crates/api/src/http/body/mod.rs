//! Request bodies: read with a limit, and then as a JSON object.

pub mod canonical;
mod fields;
mod list;
pub mod metadata;
mod object;
mod strict;
mod strings;
mod text;
mod url;

pub use object::{Least, Object, missing};
pub use strings::{NamedText, StringList, TextMap};
pub use url::LONGEST_URL;

use axum::body::{Body, Bytes, HttpBody};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, EXPECT};
use http_body_util::BodyExt;
use std::time::Duration;

/// Bytes of a refused body that are read and discarded, so that a client which writes before it
/// reads gets the answer instead of a broken connection.
const COURTESY: usize = 16 * 1024 * 1024;

/// The reason why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    TooLarge,
    TooSlow,
    /// The connection broke, or the framing is wrong.
    Broken,
    /// The content type is not JSON in UTF-8.
    MediaType,
}

/// Reads a whole body of at most `limit` bytes, for at most `patience`.
pub async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    patience: Duration,
) -> Result<Bytes, BodyError> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    // A client that sends `Expect` gets the answer before it sends the body.
    if announced > limit && (headers.contains_key(EXPECT) || announced > COURTESY) {
        return Err(BodyError::TooLarge);
    }
    tokio::time::timeout(patience, collect(body, limit)).await.unwrap_or(Err(BodyError::TooSlow))
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, BodyError> {
    let Some(first) = next_chunk(&mut body).await? else { return Ok(Bytes::new()) };
    if first.len() <= limit && body.is_end_stream() {
        return Ok(first);
    }
    let mut whole = Vec::with_capacity(first.len().saturating_mul(2).min(limit));
    let mut received = first.len();
    let mut chunk = Some(first);
    while let Some(bytes) = chunk {
        if received <= limit {
            whole.extend_from_slice(&bytes);
        } else if received > COURTESY {
            return Err(BodyError::TooLarge);
        }
        chunk = next_chunk(&mut body).await?;
        received = received.saturating_add(chunk.as_ref().map_or(0, Bytes::len));
    }
    if received > limit { Err(BodyError::TooLarge) } else { Ok(whole.into()) }
}

async fn next_chunk(body: &mut Body) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyError::Broken)?;
        if let Ok(bytes) = frame.into_data() {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// Checks that the content type is JSON in UTF-8.
pub fn check_json(headers: &HeaderMap) -> Result<(), BodyError> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(BodyError::MediaType);
    };
    if value == "application/json" || value.to_str().is_ok_and(is_json_in_utf8) {
        Ok(())
    } else {
        Err(BodyError::MediaType)
    }
}

fn is_json_in_utf8(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    json && parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http_body_util::channel::Channel;
    use std::convert::Infallible;

    const LIMIT: usize = 8;

    async fn read_body(body: Body) -> Result<Bytes, BodyError> {
        read(&HeaderMap::new(), body, LIMIT, Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn a_body_up_to_the_limit_is_read_whole() {
        assert_eq!(read_body(Body::empty()).await, Ok(Bytes::new()));
        assert_eq!(read_body(Body::from("12345678")).await, Ok(Bytes::from("12345678")));
        assert_eq!(read_body(Body::from("123456789")).await, Err(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn chunks_count_together() {
        for (chunks, expected) in [
            (vec!["1234", "5678"], Ok(Bytes::from("12345678"))),
            (vec!["", "1234", "", "5"], Ok(Bytes::from("12345"))),
            (vec!["1234", "5678", "9"], Err(BodyError::TooLarge)),
        ] {
            let (mut sender, channel) = Channel::<Bytes, Infallible>::new(1);
            let send = async move {
                for chunk in chunks {
                    sender.send_data(Bytes::from(chunk)).await.expect("the reader listens");
                }
            };
            let ((), body) = tokio::join!(send, read_body(Body::new(channel)));
            assert_eq!(body, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let (_sender, channel) = Channel::<Bytes, Infallible>::new(1);
        assert_eq!(read_body(Body::new(channel)).await, Err(BodyError::TooSlow));
    }

    #[test]
    fn only_json_in_utf_8_is_taken() {
        for (value, taken) in [
            ("application/json", true),
            ("Application/JSON; Charset=UTF-8", true),
            ("application/json;charset=\"utf-8\"", true),
            ("application/json; charset=latin1", false),
            ("application/jsonp", false),
            ("text/json", false),
            ("application/x-www-form-urlencoded", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            assert_eq!(check_json(&headers).is_ok(), taken, "{value}");
            headers.append(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            assert!(check_json(&headers).is_err(), "twice");
        }
        assert!(check_json(&HeaderMap::new()).is_err(), "missing");
    }
}
