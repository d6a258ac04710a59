//! Idempotency keys: repeated requests, different requests, concurrent requests, and a crash.

use super::*;

/// Creates a refund under a key.
fn keyed(demo: &Demo, checkout: &str, key: &str, body: &Value) -> Reply {
    refund(demo, "live", checkout, body).header("Idempotency-Key", key).run()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_answer_is_returned_again_whether_success_or_refusal() {
    let (_folder, mut demo) = demo(&[]).await;
    let checkout = paid(&demo, "live", 900);
    let cases = [
        ("success", json!({"amount": 100, "metadata": {"a": "b"}}), 202),
        ("too much", json!({"amount": 1_000}), 400),
        ("bad field", json!({"amount": "x"}), 400),
        ("provider", json!({"amount": 5, "metadata": {"simulate": "refuse"}}), 400),
    ];
    let mut answers = Vec::new();
    for (key, body, status) in &cases {
        let first = keyed(&demo, &checkout, key, body);
        assert_eq!(first.status.as_u16(), *status, "{}", first.text);
        assert_eq!(first.header("idempotent-replayed"), "");
        answers.push(first.text);
    }
    let made = refunds(&demo, "live", &checkout).len();
    // The stored answer is returned even after the rest was refunded, and after a restart.
    assert_eq!(refund(&demo, "live", &checkout, &Value::Null).run().status, 202);
    assert!(demo.stop().await);
    demo.restart().await;
    for _ in 0..2 {
        for ((key, body, status), answer) in cases.iter().zip(&answers) {
            let again = keyed(&demo, &checkout, key, body);
            assert_eq!((again.status.as_u16(), &again.text), (*status, answer));
            assert_eq!(again.header("idempotent-replayed"), "true", "{key}");
        }
    }
    assert_eq!(refunds(&demo, "live", &checkout).len(), made + 1);
    // The same for the answer to a checkout, and to a checkout that is refused.
    let post = |key: &str, body: &Value| {
        let curl = Curl::new(&demo, "POST", "/api/checkouts").key("live");
        curl.header("Idempotency-Key", key).json(body).run()
    };
    let good = json!({"amount": 7, "currency": "ZAR"});
    let first = post("checkout", &good);
    let again = post("checkout", &good);
    assert_eq!((first.status.as_u16(), &first.text), (200, &again.text));
    assert_eq!(again.header("idempotent-replayed"), "true");
    let bad = json!({"amount": 7});
    assert_error(&post("bad", &bad), 400, "currency");
    assert_eq!(post("bad", &bad).header("idempotent-replayed"), "true");
    // The repeated answer contains the webhook's secret, but no file stores the secret in the
    // clear.
    let hook = json!({"name": "n", "url": "https://shop.example/hooks"});
    let post = || {
        let curl = Curl::new(&demo, "POST", "/api/webhooks").key("live");
        curl.header("Idempotency-Key", "hook").json(&hook).run()
    };
    let (first, again) = (post(), post());
    assert_eq!(first.json, again.json);
    let secret = first.json["secret"].as_str().unwrap().to_owned();
    let list = Curl::new(&demo, "GET", "/api/webhooks").key("live").run();
    assert_eq!(list.json["subscriptions"].as_array().unwrap().len(), 1);
    assert!(demo.stop().await);
    for file in ["refundry.db", "refundry.db-wal"] {
        let stored = std::fs::read(demo.data.join(file)).unwrap_or_default();
        assert!(!stored.windows(secret.len()).any(|part| part == secret.as_bytes()), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_another_method_path_or_body_is_refused() {
    let (_folder, demo) = demo(&[]).await;
    let (one, two) = (paid(&demo, "live", 900), paid(&demo, "live", 900));
    let body = json!({"amount": 100});
    assert_eq!(keyed(&demo, &one, "k", &body).status, 202);
    // Another body, including one that means the same.
    assert_eq!(keyed(&demo, &one, "k", &json!({"amount": 101})).status, 422);
    assert_eq!(keyed(&demo, &one, "k", &Value::Null).status, 422);
    // Another path: another checkout, and another operation.
    assert_eq!(keyed(&demo, &two, "k", &body).status, 422);
    let curl = Curl::new(&demo, "POST", "/api/checkouts").key("live");
    assert_eq!(curl.header("Idempotency-Key", "k").json(&body).run().status, 422);
    assert!(refunds(&demo, "live", &two).is_empty());
    // GET and DELETE are idempotent by themselves, so their keys are ignored.
    let path = format!("/api/checkouts/{one}");
    let read = Curl::new(&demo, "GET", &path).key("live").header("Idempotency-Key", "k").run();
    assert_eq!(read.status, 200);
    // The refusal of a key is not stored as the key's answer.
    let again = keyed(&demo, &one, "k", &body);
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (202, "true"));
    // Invalid keys.
    for header in ["Idempotency-Key;", &format!("Idempotency-Key: {}", "k".repeat(256))] {
        let mut reply = refund(&demo, "live", &one, &body);
        reply.headers.push(header.to_owned());
        assert_error(&reply.run(), 400, "1 to 255 printable ASCII characters");
    }
    assert_eq!(refunds(&demo, "live", &one).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_under_one_key_make_one_refund() {
    let (_folder, demo) = demo(&[]).await;
    let checkout = paid(&demo, "live", 900);
    let body = json!({"amount": 100, "metadata": {"simulate": "succeed_after:700"}});
    let auth = format!("Bearer {}", demo.ready_file["live"]["secret"].as_str().unwrap());
    let path = format!("/api/checkouts/{checkout}/refund");
    let headers = [("authorization", auth.as_str()), ("idempotency-key", "many")];
    let sends =
        (0..40).map(|_| demo.try_send("POST", &path, &headers, body.to_string().into_bytes()));
    let replies = futures_util::future::join_all(sends).await;
    let mut first = Vec::new();
    for reply in replies.into_iter().map(|reply| reply.expect("an answer")) {
        match reply.status.as_u16() {
            202 => first.push(reply.text),
            409 => assert_eq!(reply.json["description"], "Conflict"),
            other => panic!("{other} {}", reply.text),
        }
    }
    assert_eq!(first.len(), 1, "one request was processed, the others arrived during it");
    let again = keyed(&demo, &checkout, "many", &body);
    // The first request had no content type; the content type is not part of the comparison.
    assert_eq!((again.header("idempotent-replayed"), &again.text), ("true", &first[0]));
    assert_eq!(refunds(&demo, "live", &checkout).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_gets_the_answer_under_its_key_later() {
    let (_folder, demo) = demo(&[]).await;
    let checkout = paid(&demo, "live", 900);
    let body = json!({"amount": 100, "metadata": {"simulate": "succeed_after:900"}});
    let curl = refund(&demo, "live", &checkout, &body).header("Idempotency-Key", "impatient");
    let left = tokio::time::timeout(Duration::from_millis(300), async {
        let headers: Vec<_> =
            curl.headers.iter().map(|header| header.split_once(": ").unwrap()).collect();
        demo.try_send("POST", &curl.path, &headers, body.to_string().into_bytes()).await
    })
    .await;
    assert!(left.is_err(), "the client left before the answer");
    let again = eventually("the answer", LIMIT, async || {
        let again = keyed(&demo, &checkout, "impatient", &body);
        (again.status != 409).then_some(again)
    })
    .await;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (202, "true"));
    assert_eq!(again.json["message"], "Your refund has been processed");
    assert_eq!(refunds(&demo, "live", &checkout).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_between_the_refund_and_its_answer_there_is_no_second_refund() {
    let envs = [
        ("REFUNDRY_LEASE_SECONDS", "8"),
        ("REFUNDRY_PROVIDER_TIMEOUT_SECONDS", "1"),
        ("REFUNDRY_YOCO_REFUND_WAIT_SECONDS", "4"),
    ];
    let (_folder, mut demo) = demo(&envs).await;
    let checkout = paid(&demo, "live", 900);
    let body = json!({"amount": 100, "metadata": {"simulate": "succeed_after:3000"}});
    let auth = format!("Bearer {}", demo.ready_file["live"]["secret"].as_str().unwrap());
    let path = format!("/api/checkouts/{checkout}/refund");
    let headers = [("authorization", auth.as_str()), ("idempotency-key", "crash")];
    let made = {
        let send = demo.try_send("POST", &path, &headers, body.to_string().into_bytes());
        let kill = async {
            let made = eventually("the refund", LIMIT, async || {
                refunds(&demo, "live", &checkout).first().cloned()
            })
            .await;
            let pid = demo.pid().to_string();
            assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
            made
        };
        let (answer, made) = tokio::join!(send, kill);
        assert!(answer.is_none(), "the server was killed before the answer");
        made
    };
    demo.kill();
    demo.restart().await;
    let mut conflicts = 0;
    let again = eventually("the answer", LIMIT, async || {
        let again = keyed(&demo, &checkout, "crash", &body);
        conflicts += u32::from(again.status == 409);
        (again.status != 409).then_some(again)
    })
    .await;
    assert!(conflicts > 0, "the dead node's lease has to run out");
    assert_eq!(again.status, 202, "{}", again.text);
    assert_eq!(again.json["refundId"], made["id"], "the same refund");
    assert_eq!(keyed(&demo, &checkout, "crash", &body).header("idempotent-replayed"), "true");
    demo.wait_until_decided(LIMIT).await;
    assert_eq!(refunds(&demo, "live", &checkout).len(), 1);
    let balance = format!("/api/v1/payments/{}", payment(&checkout));
    eventually("the payout", LIMIT, async || {
        let balance = native(&demo, "live", "GET", &balance, &Value::Null).await;
        (balance.data()["amountRefunded"] == 100).then_some(())
    })
    .await;
}
