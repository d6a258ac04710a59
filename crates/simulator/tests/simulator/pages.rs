//! The pages: which requests they refuse.

use crate::psp::*;
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use domain::ids::AccountId;
use domain::money::Currency;
use domain::outcome::ProviderOutcome;
use domain::tenant::Tenant;
use http_body_util::BodyExt;
use simulator::{Limits, Merchants, Unavailable, pages};
use std::sync::Arc;
use std::time::Duration;
use tower_service::Service;

/// One account, with one payment in test mode.
struct OneShop;

#[async_trait]
impl Merchants for OneShop {
    async fn account_numbers(&self) -> Result<Vec<u32>, Unavailable> {
        Ok(vec![tenant().account()])
    }

    async fn account_number(&self, _: AccountId) -> Result<Option<u32>, Unavailable> {
        Ok(None)
    }

    async fn registered_payments(
        &self,
        charge: &str,
    ) -> Result<Vec<(Tenant, Currency)>, Unavailable> {
        match charge {
            PAYMENT => Ok(vec![(tenant(), currency("USD"))]),
            "broken" => Err(Unavailable("no database".to_owned())),
            _ => Ok(Vec::new()),
        }
    }
}

fn open() -> (Psp, Router) {
    let psp = Psp::open();
    let limits = Limits { body_bytes: 100, body_timeout: Duration::from_secs(5) };
    let router = pages(psp.simulator.clone(), Arc::new(OneShop), limits);
    (psp, router)
}

async fn send(router: &Router, method: &str, target: &str, media: &str, body: &str) -> StatusCode {
    let request = Request::builder().method(method).uri(target).header("content-type", media);
    let request = request.body(Body::from(body.to_owned())).expect("a request");
    let Ok(response) = router.clone().call(request).await;
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(body["error"].is_string(), !status.is_success(), "{body}");
    status
}

#[tokio::test]
async fn bodies_that_are_no_refund_are_refused_and_nothing_is_paid() {
    let (psp, router) = open();
    let path = "/simulator/payments/ch_1/refunds";
    let large = format!(r#"{{"amount":1,"note":"{}"}}"#, "x".repeat(100));
    for (media, body, expected) in [
        ("text/plain", r#"{"amount":1}"#, 415),
        ("application/json; charset=latin1", r#"{"amount":1}"#, 415),
        ("application/json", &*large, 413),
        ("application/json", "[1,null,null,null]", 400),
        ("application/json", r#"{"amount":1.5}"#, 400),
        ("application/json", r#"{"amount":"1"}"#, 400),
        ("application/json", r#"{"amount":1,"amount":2}"#, 400),
        ("application/json", r#"{"amount":9007199254740992}"#, 400),
        ("application/json", r#"{"amount":1,"currency":"usd"}"#, 400),
        ("application/json", r#"{"amount":1,"mode":"both"}"#, 400),
        ("application/json", r#"{"amount":1,"mode":"live"}"#, 404),
        ("application/json", r#"{"amount":1,"accountId":"x"}"#, 404),
    ] {
        assert_eq!(send(&router, "POST", path, media, body).await, expected, "{media} {body}");
    }
    assert_eq!(psp.paid_out().await, 0);
    let media = "Application/JSON; charset=\"UTF-8\"";
    let body = r#"{"amount":1,"currency":null,"mode":null,"accountId":null,"other":[]}"#;
    assert_eq!(send(&router, "POST", path, media, body).await, 201);
    assert_eq!(psp.paid_out().await, 1);
}

#[tokio::test]
async fn parameters_that_lead_nowhere_are_refused() {
    let (_psp, router) = open();
    for (target, expected) in [
        ("/simulator/payments/ch_1", 200),
        ("/simulator/payments/ch_1?mode=test&other=1", 200),
        ("/simulator/payments/ch_1?mode=test&mode=test", 400),
        ("/simulator/payments/ch_1?mode=x", 400),
        ("/simulator/payments/ch_1?accountId=x", 404),
        ("/simulator/payments/ch_1?mode=live", 404),
        ("/simulator/payments/%ff", 404),
        ("/simulator/payments/broken", 503),
    ] {
        assert_eq!(send(&router, "GET", target, "text/plain", "").await, expected, "{target}");
    }
}

#[tokio::test]
async fn a_top_up_pays_what_is_held() {
    let (psp, router) = open();
    of_outcome(psp.submit(&order("k1", "hold_for_funds")).await, ProviderOutcome::Held);
    assert_eq!(send(&router, "POST", "/simulator/top-up?mode=live", "", "").await, StatusCode::OK);
    assert_eq!(psp.paid_out().await, 0, "another mode");
    assert_eq!(send(&router, "POST", "/simulator/top-up", "", "").await, StatusCode::OK);
    assert_eq!(psp.paid_out().await, ASKED);
    let wrong = send(&router, "POST", "/simulator/top-up?mode=prod", "", "").await;
    assert_eq!(wrong, StatusCode::BAD_REQUEST);
}
