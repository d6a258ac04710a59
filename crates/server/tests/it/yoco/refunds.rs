//! Which checkouts can be refunded, and how the settings change that.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn payments_of_test_keys_are_refunded_only_with_the_setting() {
    let (_folder, mut demo) = demo(&[]).await;
    let checkout = paid(&demo, "test", 900);
    assert_eq!(get(&demo, "test", &checkout)["processingMode"], "test");
    let reply = refund(&demo, "test", &checkout, &Value::Null).run();
    assert_error(&reply, 400, "REFUNDRY_YOCO_ALLOW_TEST_REFUNDS=1");
    assert!(refunds(&demo, "test", &checkout).is_empty());
    // The door looks for the checkout before it checks the setting, so a key of the wrong mode gets
    // 404.
    assert_eq!(refund(&demo, "live", &checkout, &Value::Null).run().status, 404);
    assert!(demo.stop().await);
    demo.restart_with(&[("REFUNDRY_YOCO_ALLOW_TEST_REFUNDS", "1")]).await;
    assert_eq!(refund(&demo, "test", &checkout, &Value::Null).run().status, 202);
    assert_eq!(get(&demo, "test", &checkout)["status"], "refunded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_allows_full_refunds_only() {
    let (_folder, demo) = demo(&[("REFUNDRY_YOCO_FULL_REFUNDS_ONLY", "true")]).await;
    let checkout = paid(&demo, "live", 900);
    for amount in [1, 899, 901] {
        let reply = refund(&demo, "live", &checkout, &json!({"amount": amount})).run();
        assert_error(&reply, 400, "partial refunds are not supported");
    }
    assert!(refunds(&demo, "live", &checkout).is_empty());
    assert_eq!(refund(&demo, "live", &checkout, &json!({"amount": 900})).run().status, 202);
    assert_eq!(get(&demo, "live", &checkout)["status"], "refunded");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_word_for_an_accepted_refund_can_be_chosen() {
    let pending = [("REFUNDRY_YOCO_REFUND_STATUS", "pending")];
    let (_folder, demo1) = demo(&pending).await;
    // With this setting, the door answers `pending` without waiting for the provider.
    let checkout = paid(&demo1, "live", 900);
    let held = json!({"metadata": {"simulate": "succeed_after:1500"}});
    let reply = refund(&demo1, "live", &checkout, &held).run();
    assert_eq!((reply.status.as_u16(), &reply.json["status"]), (202, &json!("pending")));
    assert_eq!(get(&demo1, "live", &checkout)["status"], "completed");
    let listed = &refunds(&demo1, "live", &checkout)[0];
    assert_eq!((&listed["id"], &listed["status"]), (&reply.json["refundId"], &json!("pending")));
    until(&demo1, "live", &checkout, "refunded").await;

    let (_folder, demo2) = demo(&[("REFUNDRY_YOCO_REFUND_STATUS", "successful")]).await;
    let checkout = paid(&demo2, "live", 900);
    let reply = refund(&demo2, "live", &checkout, &Value::Null).run();
    assert_eq!((reply.status.as_u16(), &reply.json["status"]), (202, &json!("successful")));

    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(crate::harness::REFUNDRY)
        .args(["demo", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.path())
        .env("REFUNDRY_YOCO_REFUND_STATUS", "done")
        .output()
        .expect("the command runs");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("yoco_refund_status must be succeeded, successful or pending"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_that_cannot_be_made_are_refused_and_change_nothing() {
    let (_folder, demo) = demo(&[]).await;
    let checkout = paid(&demo, "live", 900);
    let unknown = "ch_01KREAEM40E8TXW4VNC0XM1R2P";
    for id in [unknown, "ch_x", "x", &checkout.replacen("ch_", "p_", 1), &payment(&checkout)] {
        assert_error(&refund(&demo, "live", id, &Value::Null).run(), 404, "no such checkout");
        let path = format!("/api/checkouts/{id}");
        assert_error(&Curl::new(&demo, "GET", &path).key("live").run(), 404, "no such checkout");
    }
    for id in [unknown, "p_01KREAEM40E8TXW4VNC0XM1R2P", &checkout] {
        let path = format!("/api/payments/{id}/refunds");
        assert_error(&Curl::new(&demo, "GET", &path).key("live").run(), 404, "no such payment");
    }
    for body in ["[]", "x", "\"x\"", "5", "null", "{\"amount\": 1, \"amount\": 2}", " "] {
        let reply = refund(&demo, "live", &checkout, &Value::Null).data(body).run();
        assert_error(&reply, 400, "");
        assert_eq!(reply.json["errorType"], "invalid_request_error", "{body}");
    }
    for (field, value) in [
        ("amount", json!(0)),
        ("amount", json!(-1)),
        ("amount", json!("1")),
        ("amount", json!(1.5)),
        ("amount", json!([1])),
        ("metadata", json!("x")),
        ("metadata", json!({"a": 1})),
    ] {
        let reply = refund(&demo, "live", &checkout, &json!({field: value})).run();
        assert_error(&reply, 400, field);
    }
    let reply = refund(&demo, "live", &checkout, &json!({"amount": 901})).run();
    assert_error(&reply, 400, "amount is 901 and 900 is refundable");
    let unpaid = open(&demo, "live", 900);
    let reply = refund(&demo, "live", &unpaid, &Value::Null).run();
    assert_error(&reply, 400, "only a completed checkout can be refunded");
    assert!(refunds(&demo, "live", &checkout).is_empty());

    // The provider refuses the refund.
    let body = json!({"metadata": {"simulate": "refuse"}});
    let reply = refund(&demo, "live", &checkout, &body).run();
    assert_error(&reply, 400, "");
    assert_eq!(reply.json["errorCode"], "refund_failed");
    let listed = refunds(&demo, "live", &checkout);
    assert_eq!((listed.len(), &listed[0]["status"]), (1, &json!("failed")));
    assert_eq!(listed[0]["failureReason"], reply.json["description"]);
    assert_eq!(get(&demo, "live", &checkout)["status"], "completed");

    // A refund of everything is under way, and then completes.
    let body = json!({"metadata": {"simulate": "succeed_after:4000"}});
    let accepted = refund(&demo, "live", &checkout, &body).run();
    assert_eq!((accepted.status.as_u16(), &accepted.json["status"]), (202, &json!("succeeded")));
    assert!(accepted.json["message"].as_str().unwrap().contains("is being processed"));
    for body in [Value::Null, json!({"amount": 1})] {
        let reply = refund(&demo, "live", &checkout, &body).run();
        assert_error(&reply, 400, "is being processed");
    }
    until(&demo, "live", &checkout, "refunded").await;
    for body in [Value::Null, json!({"amount": 1}), json!({"amount": 900})] {
        let reply = refund(&demo, "live", &checkout, &body).run();
        assert_error(&reply, 400, "");
        assert_eq!(reply.json["description"], "Payment has already been refunded.");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_doors_see_one_payment_with_one_balance() {
    let (_folder, mut demo) = demo(&[]).await;
    let checkout = paid(&demo, "live", 900);
    let path = format!("/api/v1/payments/{}", payment(&checkout));
    let balance = native(&demo, "live", "GET", &path, &Value::Null).await;
    let data = balance.data();
    assert_eq!((&data["kind"], &data["sourceId"]), (&json!("checkout"), &json!(checkout)));
    let charge = data["providerPaymentId"].clone();

    // One partial refund through this door, and one under each of the payment's ids through the
    // native door.
    let ours = refund(&demo, "live", &checkout, &json!({"amount": 100})).run();
    let mut made = vec![ours.json["refundId"].clone()];
    for name in [
        json!({"sourceType": "checkout", "sourceId": checkout}),
        json!({"sourceId": checkout}),
        json!({"chargeId": charge}),
        json!({"chargeId": checkout}),
        json!({"paymentId": payment(&checkout)}),
    ] {
        let mut body = name;
        body["amount"] = json!(100);
        let reply = native(&demo, "live", "POST", "/api/v1/refunds", &body).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        made.push(reply.data()["id"].clone());
    }
    let listed: Vec<_> =
        refunds(&demo, "live", &checkout).iter().map(|r| r["id"].clone()).collect();
    assert_eq!(listed, made);
    let theirs =
        native(&demo, "live", "GET", &format!("/api/v1/refunds?sourceId={checkout}"), &Value::Null)
            .await;
    assert_eq!(theirs.data().as_array().unwrap().len(), made.len());
    let reply = refund(&demo, "live", &checkout, &json!({"amount": 301})).run();
    assert_error(&reply, 400, "300 is refundable");

    // The remainder is refunded through the native door and appears here.
    let body = json!({"sourceType": "checkout", "sourceId": checkout});
    native(&demo, "live", "POST", "/api/v1/refunds", &body).await.data();
    until(&demo, "live", &checkout, "refunded").await;
    let balance = native(&demo, "live", "GET", &path, &Value::Null).await;
    assert_eq!(balance.data()["amountRefunded"], 900);
    for refund in refunds(&demo, "live", &checkout) {
        assert!(refund["amount"].is_i64() && refund["id"].as_str().unwrap().contains("rfd"));
        assert_eq!(refund["status"], "succeeded");
    }

    // A payment registered as a checkout has no page and can be refunded all the same.
    let body = json!({
        "amount": 500, "currency": "ZAR", "provider": "simulator", "kind": "checkout",
        "providerPaymentId": "ch_registered",
    });
    let made = native(&demo, "live", "POST", "/api/v1/payments", &body).await;
    let registered = made.data()["sourceId"].as_str().unwrap().to_owned();
    assert_eq!(get(&demo, "live", &registered)["status"], "completed");
    assert_eq!(refund(&demo, "live", &registered, &Value::Null).run().status, 202);
    assert_eq!(get(&demo, "live", &registered)["status"], "refunded");
    assert!(demo.stop().await);
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_and_the_other_mode_see_nothing() {
    let (_folder, demo) = demo(&[("REFUNDRY_YOCO_ALLOW_TEST_REFUNDS", "1")]).await;
    let checkout = paid(&demo, "test", 900);
    let payment = checkout.replacen("ch_", "p_", 1);
    let hook = json!({"name": "mine", "url": "https://shop.example/hooks"});
    let hook = Curl::new(&demo, "POST", "/api/webhooks").key("test").json(&hook).run();
    let hook = hook.json["id"].as_str().unwrap().to_owned();
    let (code, text) = demo.run(&["keys", "create", "--new-account", "Other shop"]);
    assert_eq!(code, 0, "{text}");
    let other = text.lines().find_map(|line| line.strip_prefix("secret")).unwrap().trim();
    let live = demo.ready_file["live"]["secret"].as_str().unwrap();
    for secret in [other, live] {
        let auth = format!("Bearer {secret}");
        for (method, path) in [
            ("GET", format!("/api/checkouts/{checkout}")),
            ("POST", format!("/api/checkouts/{checkout}/refund")),
            ("GET", format!("/api/payments/{payment}/refunds")),
            ("DELETE", format!("/api/webhooks/{hook}")),
        ] {
            let curl = Curl::new(&demo, method, &path).header("Authorization", &auth);
            assert_error(&curl.run(), 404, "no such");
        }
        let list = Curl::new(&demo, "GET", "/api/webhooks").header("Authorization", &auth).run();
        assert_eq!(list.json, json!({"subscriptions": []}));
        // Another account's idempotency key of the same name is independent.
        let keyed = Curl::new(&demo, "POST", "/api/checkouts")
            .header("Authorization", &auth)
            .header("Idempotency-Key", "order-1")
            .json(&json!({"amount": 5, "currency": "ZAR"}))
            .run();
        assert_eq!(keyed.status, 200);
        assert_eq!(keyed.header("idempotent-replayed"), "");
    }
    assert!(refunds(&demo, "test", &checkout).is_empty());
    assert_eq!(get(&demo, "test", &checkout)["status"], "completed");
}
