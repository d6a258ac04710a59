//! Concurrent refunds of one payment through two doors.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_refunds_through_two_doors_never_exceed_the_captured_amount() {
    const CAPTURED: i64 = 10_000;
    // The captured amount has room for 166 refunds, so that each door creates some.
    const PART: i64 = 60;
    let (_folder, mut demo) = demo(&[]).await;
    let checkout = paid(&demo, "live", CAPTURED);
    let secret = format!("Bearer {}", demo.ready_file["live"]["secret"].as_str().unwrap());
    let bearer = format!("Bearer {}", demo.ready_file["live"]["bearer"].as_str().unwrap());
    let path = format!("/api/checkouts/{checkout}/refund");
    let ours = json!({"amount": PART}).to_string();
    let theirs =
        json!({"sourceType": "checkout", "sourceId": checkout, "amount": PART}).to_string();
    let sends = (0..200).map(|n| {
        let (demo, secret, bearer) = (&demo, &secret, &bearer);
        let (path, ours, theirs) = (&path, &ours, &theirs);
        async move {
            let key = format!("race-{n}");
            let json = ("content-type", "application/json");
            let (auth, path, body) = if n % 2 == 0 {
                (secret, path.as_str(), ours)
            } else {
                (bearer, "/api/v1/refunds", theirs)
            };
            let headers =
                [("authorization", auth.as_str()), ("idempotency-key", key.as_str()), json];
            let reply = demo.try_send("POST", path, &headers, body.clone().into_bytes()).await;
            (n % 2 == 0, reply.expect("an answer"))
        }
    });
    let mut won = (0, 0);
    for (yoco, reply) in futures_util::future::join_all(sends).await {
        match (yoco, reply.status.as_u16()) {
            (true, 202) => won.0 += 1,
            (false, 201) => won.1 += 1,
            // Refused requests get the error of their door.
            (true, 400) => {
                let text = reply.json["description"].as_str().expect("a description");
                assert!(text.contains("40 is refundable"), "{text}");
            }
            (false, 422) => assert_eq!(reply.json["error"]["code"], "over_refund"),
            (_, other) => panic!("{other} {}", reply.text),
        }
    }
    assert_eq!(won.0 + won.1, CAPTURED / PART);
    assert!(won.0 > 0 && won.1 > 0, "both doors created some: {won:?}");
    // Many requests, through both doors, ask for all of the remainder. One succeeds.
    let all = json!({"sourceType": "checkout", "sourceId": checkout}).to_string();
    let sends = (0..40).map(|n| {
        let (demo, secret, bearer, path, all) = (&demo, &secret, &bearer, &path, &all);
        async move {
            let json = ("content-type", "application/json");
            let (auth, path, body) = match n % 2 {
                0 => (secret, path.as_str(), Vec::new()),
                _ => (bearer, "/api/v1/refunds", all.clone().into_bytes()),
            };
            let headers = [("authorization", auth.as_str()), json];
            let reply = demo.try_send("POST", path, &headers, body).await.expect("an answer");
            (n % 2 == 0, reply)
        }
    });
    let mut winners = 0;
    for (yoco, reply) in futures_util::future::join_all(sends).await {
        match (yoco, reply.status.as_u16()) {
            (true, 202) | (false, 201) => winners += 1,
            (true, 400) => {
                let text = reply.json["description"].as_str().expect("a description");
                let under_way = text.contains("is being processed");
                assert!(under_way || text == "Payment has already been refunded.", "{text}");
            }
            (false, 409) => assert_eq!(reply.json["error"]["code"], "state_conflict"),
            (_, other) => panic!("{other} {}", reply.text),
        }
    }
    assert_eq!(winners, 1);
    until(&demo, "live", &checkout, "refunded").await;
    let balance = format!("/api/v1/payments/{}", payment(&checkout));
    let balance = native(&demo, "live", "GET", &balance, &Value::Null).await;
    let data = balance.data();
    assert_eq!((&data["amountRefunded"], &data["amountExcess"]), (&json!(CAPTURED), &json!(0)));
    let charge = data["providerPaymentId"].as_str().unwrap();
    let book = demo.get(&format!("/simulator/payments/{charge}")).await;
    let payouts = book.json["payouts"].as_array().expect("a list");
    let paid: i64 = payouts.iter().map(|payout| payout["amount"].as_i64().unwrap()).sum();
    assert_eq!(paid, CAPTURED, "sum of the provider's payouts");
    // The list has all of them, a hundred per page.
    let list = format!("/api/payments/{}/refunds", checkout.replacen("ch_", "p_", 1));
    let first = Curl::new(&demo, "GET", &list).key("live").run();
    let cursor = first.json["nextCursor"].as_str().expect("a next page");
    assert_eq!(first.json["refunds"].as_array().unwrap().len(), 100);
    assert_eq!(first.json["refunds"][99]["id"], cursor);
    let second = Curl::new(&demo, "GET", &format!("{list}?cursor={cursor}")).key("live").run();
    assert_eq!(
        (second.json["refunds"].as_array().unwrap().len(), &second.json["nextCursor"]),
        (67, &Value::Null)
    );
    let bad = Curl::new(&demo, "GET", &format!("{list}?cursor=x")).key("live").run();
    assert_error(&bad, 400, "cursor");
    assert!(demo.stop().await);
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
}
