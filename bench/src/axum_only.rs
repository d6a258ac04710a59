//! (a) A server with axum alone: it reads a small JSON body and answers with as many bytes as a
//! refund has, without storing anything. The rate of this server is the cost of HTTP on this machine.

use anyhow::{Context, Result};
use axum::extract::Json;
use axum::routing::{get, post};
use axum::{Router, http::StatusCode};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

pub const PATH: &str = "/api/v1/refunds";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    source_type: String,
    source_id: String,
    amount: i64,
    reason: String,
}

/// Has as many fields and bytes as Refundry's answer to a refund.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    data: Data,
    error: Option<&'static str>,
    meta: Meta,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    id: &'static str,
    arn: &'static str,
    account_id: &'static str,
    mode: &'static str,
    amount: i64,
    currency: &'static str,
    status: &'static str,
    status_detail: &'static str,
    reason: String,
    source_type: String,
    source_id: String,
    payment_id: &'static str,
    charge_id: &'static str,
    invoice_id: Option<&'static str>,
    failure_reason: Option<&'static str>,
    failure_code: Option<&'static str>,
    failure_message: Option<&'static str>,
    late: bool,
    origin: &'static str,
    provider_refund_id: Option<&'static str>,
    reference: Option<&'static str>,
    metadata: Option<&'static str>,
    created_at: &'static str,
    updated_at: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    request_id: &'static str,
    timestamp: &'static str,
}

/// Serves until the process is killed.
pub fn serve(listen: SocketAddr) -> Result<()> {
    // The runtime has the same settings as the server's.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let router =
            Router::new().route("/health", get(|| async { "ok" })).route(PATH, post(answer));
        let listener = tokio::net::TcpListener::bind(listen).await.context("cannot listen")?;
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            // The server sets this option, too. A failure only costs speed.
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, router).await.context("cannot serve")
    })
}

async fn answer(Json(request): Json<Request>) -> (StatusCode, Json<Answer>) {
    const TIME: &str = "2026-01-02T03:04:05.678Z";
    let data = Data {
        id: "rfd_01KAKX7X5S8GQ3W0M5B6TZ4R2E",
        arn: "arn:refundry:refund:acc_01KAKX7X5S8GQ3W0M5B6TZ4R2E:rfd_01KAKX7X5S8GQ3W0M5B6TZ4R2E",
        account_id: "acc_01KAKX7X5S8GQ3W0M5B6TZ4R2E",
        mode: "test",
        amount: request.amount,
        currency: "USD",
        status: "pending",
        status_detail: "queued",
        reason: request.reason,
        source_type: request.source_type,
        source_id: request.source_id,
        payment_id: "pay_01KAKX7X5S8GQ3W0M5B6TZ4R2E",
        charge_id: "bench_00000000",
        invoice_id: None,
        failure_reason: None,
        failure_code: None,
        failure_message: None,
        late: false,
        origin: "api",
        provider_refund_id: None,
        reference: None,
        metadata: None,
        created_at: TIME,
        updated_at: TIME,
    };
    let meta = Meta { request_id: "req_01KAKX7X5S8GQ3W0M5B6TZ4R2E", timestamp: TIME };
    (StatusCode::CREATED, Json(Answer { data, error: None, meta }))
}
