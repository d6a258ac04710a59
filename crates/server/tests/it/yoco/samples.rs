//! The requests of the documentation's page on refunds, its table of statuses and its table of
//! errors, row by row.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_requests_of_the_page_refund_a_checkout_and_show_it() {
    let (_folder, demo) = demo(&[]).await;
    let checkout = paid(&demo, "live", 900);
    let before = get(&demo, "live", &checkout);
    let secret = demo.ready_file["live"]["secret"].as_str().unwrap();

    // Step 1, with every header and field of the tables.
    let reply = Curl::new(&demo, "POST", &format!("/api/checkouts/{checkout}/refund"))
        .header("Authorization", &format!("Bearer {secret}"))
        .header("Idempotency-Key", "7b7ea3b5-2ae8-4e33-9f2f-6ad1a1d4a0f3")
        .header("Content-Type", "application/json")
        .data(r#"{"metadata": {"reference": "order-42"}}"#)
        .run();
    assert_eq!(reply.status, 202, "{}", reply.text);
    let id = reply.json["refundId"].as_str().expect("an id").to_owned();
    assert!(id.starts_with("rfd_"));
    let expected = json!({
        "id": checkout, "refundId": id, "message": "Your refund has been processed",
        "status": "succeeded",
    });
    assert_eq!(reply.json, expected);

    // Step 2.
    let reply = Curl::new(&demo, "GET", &format!("/api/checkouts/{checkout}"))
        .header("Authorization", &format!("Bearer {secret}"))
        .run();
    assert_eq!(reply.status, 200);
    let mut expected = before;
    expected["status"] = json!("refunded");
    assert_eq!(reply.json, expected, "nothing but the status changed");

    let kept = native(&demo, "live", "GET", &format!("/api/v1/refunds/{id}"), &Value::Null).await;
    assert_eq!(kept.data()["metadata"], json!({"reference": "order-42"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_and_its_content_type_can_be_left_out() {
    let (_folder, demo) = demo(&[]).await;
    for send in [
        |curl: Curl<'_>| curl.run(),
        |curl: Curl<'_>| curl.header("Content-Type", "application/json").run(),
        |curl: Curl<'_>| curl.json(&json!({})).run(),
        |curl: Curl<'_>| curl.json(&json!({"metadata": null, "amount": null})).run(),
        // The content type that curl sends by default.
        |curl: Curl<'_>| curl.data("{}").run(),
        |curl: Curl<'_>| curl.header("Idempotency-Key", "one").run(),
    ] {
        let checkout = paid(&demo, "live", 900);
        let reply = send(refund(&demo, "live", &checkout, &Value::Null));
        assert_eq!(reply.status, 202, "{}", reply.text);
        assert_eq!(reply.json["id"], json!(checkout));
        assert_eq!(get(&demo, "live", &checkout)["status"], "refunded");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_goes_through_every_status_of_the_table() {
    let (_folder, demo) = demo(&[]).await;
    let body = json!({
        "amount": 900, "currency": "ZAR", "successUrl": "https://shop.example/thanks",
        "metadata": {"billNote": "7"},
    });
    let reply = Curl::new(&demo, "POST", "/api/checkouts").key("live").json(&body).run();
    assert_eq!(reply.status, 200);
    let checkout = reply.json["id"].as_str().expect("an id").to_owned();
    let account = demo.ready_file["accountId"].clone();
    let mut expected = json!({
        "id": checkout, "redirectUrl": format!("http://127.0.0.1:{}/c/{checkout}", demo.port),
        "status": "created", "amount": 900, "currency": "ZAR", "paymentId": null,
        "successUrl": "https://shop.example/thanks", "cancelUrl": null, "failureUrl": null,
        "metadata": {"billNote": "7"}, "merchantId": account, "totalDiscount": null,
        "totalTaxAmount": null, "subtotalAmount": null, "lineItems": null, "externalId": null,
        "clientReferenceId": null, "processingMode": "live",
    });
    assert_eq!(reply.json, expected);
    assert_eq!(get(&demo, "live", &checkout), expected);

    let page = Curl::new(&demo, "GET", &format!("/c/{checkout}")).run();
    assert_eq!(page.status, 200);
    expected["status"] = json!("started");
    assert_eq!(get(&demo, "live", &checkout), expected);

    // After a declined attempt, the buyer can try again.
    charge(&demo, &checkout, "card_declined");
    assert_eq!(get(&demo, "live", &checkout), expected);

    charge(&demo, &checkout, "card_processing");
    expected["status"] = json!("processing");
    assert_eq!(get(&demo, "live", &checkout), expected);

    expected["status"] = json!("completed");
    expected["paymentId"] = json!(checkout.replacen("ch_", "p_", 1));
    assert_eq!(until(&demo, "live", &checkout, "completed").await, expected);

    let part = refund(&demo, "live", &checkout, &json!({"amount": 400})).run();
    assert_eq!(part.status, 202);
    assert_eq!(
        get(&demo, "live", &checkout),
        expected,
        "a partial refund leaves the checkout completed"
    );

    let rest = refund(&demo, "live", &checkout, &Value::Null).run();
    assert_eq!(rest.status, 202);
    expected["status"] = json!("refunded");
    assert_eq!(get(&demo, "live", &checkout), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_before_settlement_is_a_reversal() {
    let (_folder, demo) = demo(&[("REFUNDRY_SETTLEMENT_SECONDS__SIMULATOR", "3600")]).await;
    // Not settled yet, since the provider's delay has not passed.
    let early = paid(&demo, "live", 900);
    assert_eq!(refund(&demo, "live", &early, &Value::Null).run().status, 202);
    assert_eq!(get(&demo, "live", &early)["status"], "reversed");

    // Settled over the API.
    let late = paid(&demo, "live", 900);
    let settle = format!("/api/v1/payments/{}/settle", payment(&late));
    let settled = native(&demo, "live", "POST", &settle, &json!({})).await;
    assert!(settled.data()["settledAt"].is_string());
    assert_eq!(refund(&demo, "live", &late, &Value::Null).run().status, 202);
    assert_eq!(get(&demo, "live", &late)["status"], "refunded");

    // Partly refunded before settlement and fully after: the last refund decides the status.
    let both = paid(&demo, "live", 900);
    assert_eq!(refund(&demo, "live", &both, &json!({"amount": 1})).run().status, 202);
    let settle = format!("/api/v1/payments/{}/settle", payment(&both));
    let at = json!({"settledAt": "2026-01-02T03:04:05Z"});
    let settled = native(&demo, "live", "POST", &settle, &at).await;
    assert_eq!(settled.data()["settledAt"], "2026-01-02T03:04:05.000Z");
    assert_eq!(refund(&demo, "live", &both, &Value::Null).run().status, 202);
    assert_eq!(get(&demo, "live", &both)["status"], "refunded");

    // A key of the other mode does not find the payment.
    let other = native(&demo, "test", "POST", &settle, &json!({})).await;
    assert_eq!(other.status, 404);
    let bad = native(&demo, "live", "POST", &settle, &json!({"settledAt": "soon"})).await;
    assert_eq!((bad.status.as_u16(), &bad.json["error"]["field"]), (400, &json!("settledAt")));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_of_the_table_of_errors_is_answered() {
    let (_folder, demo) = demo(&[]).await;
    let checkout = paid(&demo, "live", 900);
    let path = format!("/api/checkouts/{checkout}/refund");
    let required = "A key is required, but has not been specified.";

    // 403: no key, or an incorrect one.
    let reply = Curl::new(&demo, "POST", &path).run();
    assert_error(&reply, 403, required);
    assert_eq!(reply.json["description"], required);
    for wrong in ["sk_live_wrong", "", "pk_live_wrong"] {
        let auth = format!("Bearer {wrong}");
        let reply = Curl::new(&demo, "POST", &path).header("Authorization", &auth).run();
        assert_eq!((reply.status.as_u16(), &reply.json["description"]), (403, &json!(required)));
    }
    assert!(refunds(&demo, "live", &checkout).is_empty());

    // 409: a request under the same key is being processed. The provider does not answer the first
    // one.
    let held = json!({"amount": 1, "metadata": {"simulate": "stay_pending"}});
    let keyed = || refund(&demo, "live", &checkout, &held).header("Idempotency-Key", "held");
    let (first, second) = std::thread::scope(|threads| {
        let first = threads.spawn(|| keyed().run());
        let mut second = None;
        for _ in 0..200 {
            if !refunds(&demo, "live", &checkout).is_empty() {
                second = Some(keyed().run());
                break;
            }
        }
        (first.join().expect("an answer"), second.expect("the first is under way"))
    });
    assert_eq!(first.status, 202, "{}", first.text);
    assert_error(&second, 409, "Conflict");
    assert_eq!(second.header("retry-after"), "1");

    // 422: the same key with another request.
    let other = refund(&demo, "live", &checkout, &json!({"amount": 2}));
    let text =
        "The request payload (method, path, parameters) does not match the original request.";
    assert_error(&other.header("Idempotency-Key", "held").run(), 422, text);
    assert_eq!(refunds(&demo, "live", &checkout).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cors_headers_are_sent_to_other_sites() {
    let (_folder, demo) = demo(&[]).await;
    let checkout = paid(&demo, "live", 900);
    let path = format!("/api/checkouts/{checkout}");
    let origin = |curl: Curl<'_>| curl.header("Origin", "https://shop.example").run();
    let preflight = Curl::new(&demo, "OPTIONS", &format!("{path}/refund"))
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "authorization");
    let answers = [
        origin(preflight),
        origin(Curl::new(&demo, "GET", &path).key("live")),
        origin(Curl::new(&demo, "GET", &path)),
        origin(refund(&demo, "live", &checkout, &Value::Null)),
        origin(Curl::new(&demo, "GET", "/api/v1/payments").key("live")),
        origin(Curl::new(&demo, "GET", "/api/v1/payments")),
    ];
    assert_eq!(answers[0].status, 405);
    for answer in answers {
        let mut names = answer.headers.keys();
        assert!(!names.any(|name| name.as_str().starts_with("access-control-")), "{answer:?}");
    }
}
