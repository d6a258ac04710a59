//! Requests and expectations of public clients of this API: the `WooCommerce` plugin and the PHP
//! library.

use super::*;

/// Follows the plugin: creates a checkout with empty totals and fields of its own, pays it on the
/// page, and refunds it in two parts, reading the refunds before each.
#[tokio::test(flavor = "multi_thread")]
async fn the_plugins_requests_take_a_payment_and_refund_it() {
    let (_folder, demo) = demo(&[]).await;
    let body = json!({
        "amount": 12_500, "currency": "ZAR", "successUrl": "https://shop.example/thanks?order=7",
        "cancelUrl": "https://shop.example/cart", "failureUrl": "https://shop.example/failed",
        "metadata": {
            "billNote": "Order 7", "customerFirstName": "Thandi", "customerLastName": "",
            "customerEmailAddress": "thandi@shop.example",
        },
        "totalDiscount": null, "totalTaxAmount": 1_630, "subtotalAmount": null,
        "lineItems": [
            {
                "displayName": "Rooibos", "quantity": 2, "description": null,
                "pricingDetails": {"price": 5_000, "taxAmount": 652, "discountAmount": null},
            },
            {"displayName": "Delivery", "quantity": 1, "pricingDetails": {"price": 2_500}},
        ],
        "externalId": "7", "clientReferenceId": null, "productType": "woocommerce",
        "somethingNew": [{"a": 1}],
    });
    let reply = Curl::new(&demo, "POST", "/api/checkouts")
        .key("live")
        .header("X-Product", "woocommerce")
        .json(&body)
        .run();
    assert!([200, 201, 202].contains(&reply.status.as_u16()), "{}", reply.text);
    for field in ["id", "processingMode", "redirectUrl"] {
        assert!(reply.json[field].is_string(), "{field}");
    }
    assert!(reply.json.get("description").is_none());
    for field in
        ["metadata", "successUrl", "cancelUrl", "failureUrl", "externalId", "totalTaxAmount"]
    {
        assert_eq!(reply.json[field], body[field], "{field}");
    }
    assert_eq!(
        reply.json["lineItems"],
        json!([
            {
                "displayName": "Rooibos", "quantity": 2,
                "pricingDetails": {"price": 5_000, "taxAmount": 652},
            },
            {"displayName": "Delivery", "quantity": 1, "pricingDetails": {"price": 2_500}},
        ])
    );
    let checkout = reply.json["id"].as_str().unwrap().to_owned();
    let page = reply.json["redirectUrl"].as_str().unwrap().to_owned();

    // The buyer pays on the page, which shows the line items.
    let path = page.strip_prefix(&format!("http://127.0.0.1:{}", demo.port)).expect("our page");
    let shown = Curl::new(&demo, "GET", path).run();
    assert!(shown.text.contains("Rooibos"), "{}", shown.text);
    let paid = Curl::new(&demo, "POST", path)
        .header("Sec-Fetch-Site", "same-origin")
        .data("do=pay&method=card")
        .run();
    assert_eq!(paid.status, 303, "{}", paid.text);

    // The plugin's poller reads these two fields.
    let now = until(&demo, "live", &checkout, "completed").await;
    let payment = now["paymentId"].as_str().expect("an id").to_owned();

    let list = || {
        let path = format!("/api/payments/{payment}/refunds");
        let reply = Curl::new(&demo, "GET", &path).key("live").run();
        reply.json["refunds"].as_array().expect("refunds is an array").clone()
    };
    assert!(list().is_empty());
    let mut made = Vec::new();
    for amount in [2_500, 10_000] {
        let reply = refund(&demo, "live", &checkout, &json!({"amount": amount}))
            .header("X-Correlation-ID", &checkout)
            .run();
        assert!(reply.json.get("description").is_none(), "a description means failure");
        assert_eq!(reply.json["status"], "succeeded");
        let id = reply.json["refundId"].as_str().expect("an id").to_owned();
        assert!(id.contains("rfd"));
        made.push((id, amount));
        let listed: Vec<_> = list()
            .iter()
            .filter(|refund| refund["status"] == "succeeded")
            .map(|refund| {
                (refund["id"].as_str().unwrap().to_owned(), refund["amount"].as_i64().unwrap())
            })
            .collect();
        assert_eq!(listed, made, "a refund just made is listed under the same id");
    }
    let again = refund(&demo, "live", &checkout, &json!({"amount": 1})).run();
    assert_eq!(again.json["description"], "Payment has already been refunded.");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_librarys_requests_are_understood() {
    let (_folder, demo) = demo(&[]).await;
    let checkout = paid(&demo, "live", 900);
    // The library percent-encodes ids, sends an idempotency key with every request, and no content
    // type without a body.
    let encoded: String = checkout.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let path = format!("/api/checkouts/{encoded}/refund");
    let reply = Curl::new(&demo, "POST", &path)
        .key("live")
        .header("Accept", "application/json")
        .header("Idempotency-Key", "0c2f1f68-6e0c-4b8f-9d5e-3d7a4ad7c9f1")
        .run();
    assert_eq!(reply.status, 202, "{}", reply.text);
    assert_eq!(reply.json["id"], json!(checkout));
    let read = Curl::new(&demo, "GET", &format!("/api/checkouts/{encoded}")).key("live").run();
    assert_eq!(read.json["status"], "refunded");
    for broken in ["%", "%4", "%zz", "%ff", "ch%5F"] {
        let path = format!("/api/checkouts/{broken}/refund");
        assert_eq!(Curl::new(&demo, "POST", &path).key("live").run().status, 404, "{broken}");
    }

    // Webhooks.
    let body = json!({"name": "my-webhook", "url": "https://shop.example/hooks"});
    let made = Curl::new(&demo, "POST", "/api/webhooks").key("live").json(&body).run();
    assert_eq!(made.status, 200, "{}", made.text);
    let id = made.json["id"].as_str().expect("an id");
    assert!(made.json["secret"].as_str().expect("a secret").starts_with("whsec_"));
    let mut listed = made.json.clone();
    listed.as_object_mut().unwrap().remove("secret");
    let expected = json!({
        "id": id, "name": "my-webhook", "url": "https://shop.example/hooks", "mode": "live",
    });
    assert_eq!(listed, expected);
    // An endpoint with another format does not appear on this door.
    let other = json!({"url": "https://shop.example/other", "format": "refundry"});
    let other = native(&demo, "live", "POST", "/api/v1/webhooks", &other).await;
    let other = other.data()["id"].as_str().unwrap().to_owned();
    let list = || Curl::new(&demo, "GET", "/api/webhooks").key("live").run().json;
    assert_eq!(list(), json!({"subscriptions": [listed]}));
    let delete =
        |id: &str| Curl::new(&demo, "DELETE", &format!("/api/webhooks/{id}")).key("live").run();
    assert_error(&delete(&other), 404, "no such webhook");
    assert_error(&delete("sub_1"), 404, "no such webhook");
    let gone = delete(id);
    assert_eq!((gone.status.as_u16(), gone.text.as_str()), (204, ""));
    assert_error(&delete(id), 404, "no such webhook");
    assert_eq!(list(), json!({"subscriptions": []}));
    for (body, field) in [
        (json!({"name": "n"}), "url"),
        (json!({"url": "https://shop.example/hooks"}), "name"),
        (json!({"name": "n", "url": "shop.example"}), "url"),
        (json!({"name": 5, "url": "https://shop.example/hooks"}), "name"),
        (json!([]), "object"),
    ] {
        let reply = Curl::new(&demo, "POST", "/api/webhooks").key("live").json(&body).run();
        assert_error(&reply, 400, field);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_checkouts_are_refused_with_the_name_of_the_field() {
    let (_folder, demo) = demo(&[]).await;
    let item = |change: &Value| {
        let mut item =
            json!({"displayName": "Tea", "quantity": 1, "pricingDetails": {"price": 450}});
        for (field, value) in change.as_object().unwrap() {
            item[field] = value.clone();
        }
        json!({"lineItems": [item]})
    };
    for (change, field) in [
        (json!({"amount": null}), "amount is missing"),
        (json!({"amount": 0}), "amount must be 1 or more"),
        (json!({"amount": "900"}), "amount must be a number"),
        (json!({"currency": null}), "currency is missing"),
        (json!({"currency": "zar"}), "currency must be"),
        (json!({"successUrl": "javascript:alert(1)"}), "successUrl must be"),
        (json!({"failureUrl": "shop"}), "failureUrl must be"),
        (json!({"metadata": {"a": 1}}), "metadata.a must be a string"),
        (json!({"totalDiscount": -1}), "totalDiscount must be 0 or more"),
        (json!({"externalId": ""}), "externalId is empty"),
        (json!({"lineItems": {}}), "lineItems must be a list"),
        (item(&json!({"displayName": null})), "displayName is missing"),
        (item(&json!({"quantity": 0})), "quantity must be"),
        (item(&json!({"pricingDetails": null})), "pricingDetails is missing"),
        (item(&json!({"pricingDetails": {}})), "pricingDetails.price is missing"),
        (item(&json!({"pricingDetails": {"price": 1.5}})), "price must be"),
        (
            item(
                &json!({"quantity": 1_000_000, "pricingDetails": {"price": 9_007_199_254_740_991_i64}}),
            ),
            "too large",
        ),
    ] {
        let mut body = json!({"amount": 900, "currency": "ZAR"});
        for (field, value) in change.as_object().unwrap() {
            body[field] = value.clone();
        }
        let reply = Curl::new(&demo, "POST", "/api/checkouts").key("live").json(&body).run();
        assert_error(&reply, 400, field);
    }
    let empty = Curl::new(&demo, "POST", "/api/checkouts").key("live").run();
    assert_error(&empty, 400, "the body is empty");
}
