//! Invoices over real HTTP: creating, paying and refunding them.

use crate::harness::{Demo, Reply, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(15);

async fn demo() -> (tempfile::TempDir, Demo) {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(folder.path(), &[]).await;
    (folder, demo)
}

fn request(status: &str) -> Value {
    json!({
        "customerId": "cus_1", "currency": "USD", "status": status,
        "lines": [
            {"description": "Tea", "quantity": 3, "unitAmount": 500},
            {"description": "Pot", "quantity": 1, "unitAmount": 1000},
        ],
        "discount": 300, "tax": 220, "memo": "Thank you",
    })
}

fn id(reply: &Reply) -> String {
    reply.data()["id"].as_str().expect("an id").to_owned()
}

async fn create(demo: &Demo, status: &str) -> String {
    id(&demo.post("/api/v1/invoices", &request(status)).await)
}

async fn act(demo: &Demo, invoice: &str, act: &str) -> Reply {
    demo.post(&format!("/api/v1/invoices/{invoice}/{act}"), &json!({})).await
}

async fn get(demo: &Demo, invoice: &str) -> Value {
    demo.get(&format!("/api/v1/invoices/{invoice}")).await.data().clone()
}

/// Submits the form of the hosted page as a browser without scripts does.
async fn pay(demo: &Demo, invoice: &str, outcome: &str) -> Reply {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let form = format!("do=pay&method=card&outcome={outcome}").into_bytes();
    demo.try_send("POST", &format!("/i/{invoice}"), &headers, form).await.expect("an answer")
}

async fn page(demo: &Demo, invoice: &str) -> Reply {
    demo.try_send("GET", &format!("/i/{invoice}"), &[], Vec::new()).await.expect("an answer")
}

async fn assert_clean(mut demo: Demo) {
    assert!(demo.stop().await);
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
}

async fn assert_refund_refused(demo: &Demo, invoice: &str) {
    for (profile, status, code) in [("node", 409, "state_conflict"), ("go", 404, "not_found")] {
        let auth = format!("Bearer {}", demo.bearer());
        let headers = [
            ("authorization", auth.as_str()),
            ("content-type", "application/json"),
            ("refundry-error-profile", profile),
        ];
        for body in [
            json!({"sourceType": "invoice", "sourceId": invoice}),
            json!({"chargeId": invoice.replace("inv_", "in_")}),
        ] {
            let body = body.to_string().into_bytes();
            let reply =
                demo.try_send("POST", "/api/v1/refunds", &headers, body).await.expect("an answer");
            assert_eq!(reply.status, status, "{profile} {}", reply.json);
            assert_eq!(reply.json["error"]["code"], code);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_is_created_finalized_charged_and_refunded_by_every_id() {
    let (_folder, demo) = demo().await;
    let reply = demo.post("/api/v1/invoices", &request("draft")).await;
    assert_eq!(reply.status, 201);
    let draft = reply.data();
    let invoice = id(&reply);
    for (field, value) in [
        ("status", json!("draft")),
        ("number", json!("INV-000001")),
        ("customerId", json!("cus_1")),
        ("subtotal", json!(2_500)),
        ("discount", json!(300)),
        ("tax", json!(220)),
        ("total", json!(2_420)),
        ("amountPaid", json!(0)),
        ("amountDue", json!(2_420)),
        ("hostedInvoiceUrl", Value::Null),
        ("chargeId", Value::Null),
        ("issuedAt", Value::Null),
        ("collectionAttempts", json!(0)),
    ] {
        assert_eq!(draft[field], value, "{field}");
    }
    assert_eq!(draft["lines"][0]["amount"], 1_500);
    assert_eq!(draft["lines"][1]["description"], "Pot");
    assert_eq!(page(&demo, &invoice).await.status, 404, "a draft has no public page");
    assert_refund_refused(&demo, &invoice).await;
    let open = act(&demo, &invoice, "finalize").await;
    assert_eq!(open.data()["status"], "open");
    let hosted = format!("http://127.0.0.1:{}/i/{invoice}", demo.port);
    assert_eq!(open.data()["hostedInvoiceUrl"], json!(hosted));
    assert_eq!(act(&demo, &invoice, "finalize").await.status, 409);
    let shown = page(&demo, &invoice).await;
    for text in ["INV-000001", "USD 24.20", "Discount", "Tax", "Thank you"] {
        assert!(shown.text.contains(text), "{text}: {}", shown.text);
    }
    assert_eq!(pay(&demo, &invoice, "declined").await.status, 303);
    let failed = get(&demo, &invoice).await;
    assert_eq!((&failed["status"], &failed["collectionAttempts"]), (&json!("open"), &json!(1)));
    assert_eq!(pay(&demo, &invoice, "").await.status, 303);
    let paid = get(&demo, &invoice).await;
    assert_eq!((&paid["status"], &paid["amountDue"]), (&json!("paid"), &json!(0)));
    let charge = paid["chargeId"].as_str().unwrap().to_owned();
    let listed = &demo.list("/api/v1/invoices?status=paid").await[0];
    assert_eq!(
        listed["chargeId"],
        Value::Null,
        "the field is present only where a single invoice is read"
    );

    let reply = act(&demo, &invoice, "void").await;
    assert_eq!(
        (reply.status.as_u16(), &reply.json["error"]["code"]),
        (409, &json!("state_conflict"))
    );
    assert_eq!(act(&demo, &invoice, "pay").await.status, 409);
    for body in [
        json!({"sourceType": "invoice", "sourceId": invoice, "amount": 20}),
        json!({"sourceType": "invoice", "sourceId": invoice.replace("inv_", "in_"), "amount": 400}),
        json!({"chargeId": charge}),
    ] {
        let refund = demo.post("/api/v1/refunds", &body).await;
        assert_eq!(refund.data()["invoiceId"], json!(invoice), "{}", refund.json);
    }
    demo.wait_until_decided(LIMIT).await;
    let payment = invoice.replace("inv_", "pay_");
    let payment = demo.get(&format!("/api/v1/payments/{payment}")).await;
    assert_eq!(payment.data()["status"], "refunded");
    assert!(page(&demo, &invoice).await.text.contains("Refunded"));
    let events = demo.list("/api/v1/events?order=asc").await;
    let types: Vec<_> = events
        .iter()
        .filter(|event| event["data"]["aggregateType"] == "invoice")
        .map(|event| {
            let status = &event["data"]["object"]["status"];
            format!("{} {}", event["type"].as_str().unwrap(), status.as_str().unwrap())
        })
        .collect();
    assert_eq!(
        types,
        [
            "invoice.created draft",
            "invoice.finalized open",
            "invoice.pending open",
            "invoice.failed open",
            "invoice.pending open",
            "invoice.paid paid",
        ]
    );
    assert_clean(demo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_marked_paid_outside_cannot_be_refunded() {
    let (_folder, demo) = demo().await;
    let invoice = create(&demo, "open").await;
    let paid = act(&demo, &invoice, "pay").await;
    assert_eq!(paid.data()["status"], "paid");
    assert_eq!(get(&demo, &invoice).await["chargeId"], Value::Null);
    assert_refund_refused(&demo, &invoice).await;
    assert_eq!(act(&demo, &invoice, "void").await.status, 409);
    pay(&demo, &invoice, "").await;
    assert!(page(&demo, &invoice).await.text.contains("Paid"));
    let payment = invoice.replace("inv_", "pay_");
    let payment = demo.get(&format!("/api/v1/payments/{payment}")).await;
    assert_eq!(payment.status, 404, "the invoice was not charged as well");
    assert_clean(demo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_void_invoice_cannot_be_paid_or_refunded() {
    let (_folder, demo) = demo().await;
    let key = Some("void-1");
    let invoice = create(&demo, "open").await;
    let path = format!("/api/v1/invoices/{invoice}/void");
    let void = demo.try_post(&path, key, &json!({})).await.unwrap();
    assert_eq!(void.data()["status"], "void");
    let again = demo.try_post(&path, key, &json!({})).await.unwrap();
    assert_eq!(again.header("idempotent-replayed"), "true");
    pay(&demo, &invoice, "").await;
    assert_eq!(get(&demo, &invoice).await["status"], "void");
    assert!(page(&demo, &invoice).await.text.contains("withdrawn"));
    assert_refund_refused(&demo, &invoice).await;
    for word in ["pay", "finalize", "void", "send"] {
        assert_eq!(act(&demo, &invoice, word).await.status, 409, "{word}");
    }
    // While the buyer is asked to approve, the payment may already be under way.
    let busy = create(&demo, "open").await;
    pay(&demo, &busy, "action").await;
    for word in ["void", "pay"] {
        let reply = act(&demo, &busy, word).await;
        assert_eq!(reply.json["error"]["code"], "state_conflict", "{}", reply.json);
    }
    let draft = create(&demo, "draft").await;
    assert_eq!(act(&demo, &draft, "pay").await.status, 409);
    assert_eq!(act(&demo, &draft, "void").await.data()["status"], "void");
    assert_clean(demo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_have_no_gaps_under_concurrent_creation() {
    let (_folder, demo) = demo().await;
    let demo = Arc::new(demo);
    let writers: Vec<_> = (0..40)
        .map(|n| {
            let demo = demo.clone();
            tokio::spawn(async move {
                // Every fourth request is refused, and every fifth is sent twice.
                let mut body = request("open");
                if n % 4 == 0 {
                    body["discount"] = json!(2_501);
                }
                let key = format!("invoice-{}", n - i32::from(n % 5 == 1));
                demo.try_post("/api/v1/invoices", Some(&key), &body).await.unwrap().status
            })
        })
        .collect();
    for writer in writers {
        let status = writer.await.unwrap().as_u16();
        assert!([201, 400, 409].contains(&status), "{status}");
    }
    let numbers: BTreeSet<_> = demo
        .list("/api/v1/invoices")
        .await
        .iter()
        .map(|invoice| invoice["number"].as_str().unwrap().to_owned())
        .collect();
    let gapless: BTreeSet<_> = (1..=numbers.len()).map(|n| format!("INV-{n:06}")).collect();
    assert!(numbers.len() > 20);
    assert_eq!(numbers, gapless);
    assert_clean(Arc::into_inner(demo).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_invoice_is_past_due_and_can_still_be_paid() {
    let (_folder, demo) = demo().await;
    let mut body = request("open");
    body["dueAt"] = json!("2026-01-01T00:00:00Z");
    let invoice = id(&demo.post("/api/v1/invoices", &body).await);
    eventually("the invoice to be late", LIMIT, async || {
        (get(&demo, &invoice).await["status"] == "past_due").then_some(())
    })
    .await;
    pay(&demo, &invoice, "").await;
    assert_eq!(get(&demo, &invoice).await["status"], "paid");
    assert_clean(demo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sending_emits_an_event_and_an_invoice_over_zero_is_paid_at_once() {
    let (_folder, demo) = demo().await;
    let invoice = create(&demo, "open").await;
    assert_eq!(act(&demo, &invoice, "send").await.data()["status"], "open");
    let path = format!("/api/v1/invoices/{invoice}/send-email");
    let sent = demo.post(&path, &json!({"to": "buyer@shop.example"})).await;
    assert_eq!(sent.data(), &json!({"sent": false, "to": "buyer@shop.example"}));
    assert_eq!(demo.post(&path, &json!({"to": "nobody"})).await.status, 400);
    assert_eq!(demo.list("/api/v1/events?type=invoice.sent").await.len(), 2);
    assert_eq!(act(&demo, &create(&demo, "draft").await, "send").await.status, 409);
    let mut free = request("open");
    free["discount"] = json!(2_500);
    free["tax"] = json!(0);
    let free = demo.post("/api/v1/invoices", &free).await;
    assert_eq!((&free.data()["status"], &free.data()["total"]), (&json!("paid"), &json!(0)));
    assert_refund_refused(&demo, &id(&free)).await;
    assert_clean(demo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_invoices_are_refused_and_change_nothing() {
    let (_folder, demo) = demo().await;
    let line = |quantity: Value, unit: Value| json!([{"description": "Tea", "quantity": quantity, "unitAmount": unit}]);
    for (field, value, named) in [
        ("customerId", Value::Null, "customerId"),
        ("customerId", json!(5), "customerId"),
        ("currency", json!("XXX"), "currency"),
        ("lines", json!([]), "lines"),
        ("lines", Value::Null, "lines"),
        ("lines", json!("Tea"), "lines"),
        ("lines", Value::Array(vec![json!({}); 101]), "lines"),
        ("lines", line(json!(0), json!(1)), "lines[0].quantity"),
        ("lines", line(json!("1"), json!(1)), "lines[0].quantity"),
        ("lines", line(json!(1), json!(1.5)), "lines[0].unitAmount"),
        ("lines", line(json!(1_000_000), json!(9_007_199_254_740_991_i64)), "lines[0].unitAmount"),
        ("tax", json!(9_007_199_254_740_991_i64), "lines"),
        ("discount", json!(2_501), "discount"),
        ("discount", json!(-1), "discount"),
        ("tax", json!(-1), "tax"),
        ("dueAt", json!("tomorrow"), "dueAt"),
        ("status", json!("paid"), "status"),
        ("memo", json!("x".repeat(1_001)), "memo"),
    ] {
        let mut body = request("open");
        body[field] = value.clone();
        let reply = demo.post("/api/v1/invoices", &body).await;
        assert_eq!(reply.status, 400, "{field} {value}: {}", reply.json);
        assert_eq!(reply.json["error"]["field"], named, "{field} {value}: {}", reply.json);
    }
    assert!(demo.list("/api/v1/invoices").await.is_empty());
    for unknown in ["inv_01HX0000000000000000000000", "cs_01HX0000000000000000000000", "x"] {
        assert_eq!(demo.get(&format!("/api/v1/invoices/{unknown}")).await.status, 404);
        assert_eq!(page(&demo, unknown).await.status, 404);
        assert_eq!(act(&demo, unknown, "pay").await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_finds_no_invoice() {
    let (_folder, demo) = demo().await;
    let invoice = create(&demo, "open").await;
    let live = format!("Bearer {}", demo.ready_file["live"]["bearer"].as_str().unwrap());
    let headers = [("authorization", live.as_str()), ("content-type", "application/json")];
    for (method, word) in
        [("GET", ""), ("POST", "/finalize"), ("POST", "/pay"), ("POST", "/void"), ("POST", "/send")]
    {
        let path = format!("/api/v1/invoices/{invoice}{word}");
        let reply = demo.try_send(method, &path, &headers, b"{}".to_vec()).await.unwrap();
        assert_eq!(reply.status, 404, "{method} {word}");
    }
    let reply = demo.try_send("GET", "/api/v1/invoices", &headers, Vec::new()).await.unwrap();
    assert_eq!(reply.data(), &json!([]));
    assert_eq!(get(&demo, &invoice).await["status"], "open");
}
