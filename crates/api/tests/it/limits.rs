//! Each door refuses an excess request in its own words.

use crate::world::{Ask, Key, Reply, World};
use api::{ApiConfig, RateLimits};
use domain::tenant::Mode;
use http::HeaderName;
use std::num::NonZeroU32;

/// One request of each kind per second or minute.
async fn world() -> World {
    let rate_limits = RateLimits {
        reads_per_second: NonZeroU32::MIN,
        writes_per_second: NonZeroU32::MIN,
        heavy_per_minute: NonZeroU32::MIN,
        public_per_second: NonZeroU32::MIN,
        failures_per_minute: NonZeroU32::MIN,
        client_header: Some(HeaderName::from_static("x-forwarded-for")),
    };
    World::with_doors(ApiConfig { rate_limits: Some(rate_limits), ..ApiConfig::default() }).await
}

/// Sends the same request until it is one too many.
async fn exceed(world: &World, ask: Ask) -> Reply {
    let ask = ask.header("X-Forwarded-For", "203.0.113.9");
    for _ in 0..100 {
        let reply = world.send(ask.clone()).await;
        if reply.status == 429 {
            let seconds = reply.header("retry-after").expect("when to try again");
            assert!(seconds.parse::<u32>().is_ok_and(|seconds| seconds >= 1), "{seconds}");
            return reply;
        }
    }
    panic!("{} {} is never refused", ask.method, ask.target);
}

async fn with_key(path: &str) -> Reply {
    let world = world().await;
    let key: Key = world.key(Some(Mode::Test), "*").await;
    exceed(&world, Ask::get(path).bearer(&key)).await
}

#[tokio::test]
async fn the_native_door_answers_in_its_envelope() {
    let reply = with_key("/api/v1/refunds").await;
    assert_eq!(reply.problem(), "429 rate_limited");
    let world = world().await;
    let path = "/api/v1/public/checkout/sessions/cs_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    assert_eq!(exceed(&world, Ask::get(path)).await.problem(), "429 rate_limited");
}

#[tokio::test]
async fn the_elasticpay_door_answers_with_its_error_type() {
    let reply = with_key("/api/v1/payment_intents").await;
    assert_eq!(reply.body["success"], false);
    assert_eq!(reply.body["error"]["type"], "rate_limit");
    assert_eq!(reply.body["error"]["code"], "rate_limited");
}

#[tokio::test]
async fn the_yoco_door_answers_with_its_error_fields() {
    let reply = with_key("/api/webhooks").await;
    assert_eq!(reply.body["errorCode"], "rate_limited");
    let text = reply.body["description"].as_str().expect("a description");
    assert!(text.starts_with("too many requests"), "{text}");
}

#[tokio::test]
async fn a_buyer_gets_a_page_with_the_layout_and_the_policy_of_the_others() {
    let world = world().await;
    for (path, post) in [("/c/cs_x", false), ("/c/cs_x", true), ("/i/inv_x", false)] {
        let ask = if post { Ask::post(path, "do=claim") } else { Ask::get(path) };
        let reply = exceed(&world, ask).await;
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        let policy = reply.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        let page = reply.body.as_str().expect("a page");
        assert!(page.starts_with("<!doctype html>"), "{page}");
        assert!(page.contains("/assets/hosted.css"), "{page}");
        assert!(page.contains("<h1>Too many requests</h1>"), "{page}");
    }
}

#[tokio::test]
async fn the_service_itself_answers_whoever_asks_however_often() {
    let world = world().await;
    for path in ["/health", "/readyz", "/metrics", "/openapi.json", "/docs"] {
        for _ in 0..3 {
            let ask = Ask::get(path).header("X-Forwarded-For", "203.0.113.9");
            assert_eq!(world.send(ask).await.status, 200, "{path}");
        }
    }
}
