//! Reports, checked against the ledger that they are computed from.

use crate::harness::Demo;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// A demo with captures in USD, refunds, a late failure and a refused refund.
async fn with_history() -> (tempfile::TempDir, Demo) {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[("REFUNDRY_SIMULATOR__LATE_FAILURE_MS", "50")]).await;
    let payment = demo.pay("ch_reports", 100_000).await;
    for (amount, simulate) in
        [(700, "succeed"), (1_300, "succeed"), (500, "late_failure:20"), (900, "refuse")]
    {
        let body =
            json!({"chargeId": payment, "amount": amount, "metadata": {"simulate": simulate}});
        assert_eq!(demo.post("/api/v1/refunds", &body).await.status, 201);
    }
    crate::harness::eventually("the late failure", Duration::from_secs(10), async || {
        let failed = demo.list("/api/v1/refunds?status=failed").await;
        let pending = demo.list("/api/v1/refunds?status=pending").await;
        (failed.len() == 2 && pending.is_empty()).then_some(())
    })
    .await;
    (folder, demo)
}

/// Debits and credits per ledger account in one currency.
async fn sums(demo: &Demo, currency: &str) -> BTreeMap<(String, String), i64> {
    let mut sums = BTreeMap::new();
    for entry in demo.list("/api/v1/ledger").await {
        if entry["currency"] == currency {
            let text = |field: &str| entry[field].as_str().unwrap().to_owned();
            *sums.entry((text("code"), text("direction"))).or_default() +=
                entry["amount"].as_i64().unwrap();
        }
    }
    sums
}

#[tokio::test(flavor = "multi_thread")]
async fn profit_and_loss_and_cash_flow_equal_the_ledger() {
    let (_folder, demo) = with_history().await;
    let sums = sums(&demo, "USD").await;
    let sum = |code: &str, side: &str| {
        sums.get(&(code.to_owned(), side.to_owned())).copied().unwrap_or(0)
    };
    let report = demo.get("/api/v1/reports/pnl?currency=USD").await.data().clone();
    assert_eq!(report["revenue"], sum("revenue", "credit"));
    assert_eq!(report["revenue"], 110_000);
    let refunds = sum("revenue_refund", "debit") - sum("revenue_refund", "credit");
    assert_eq!((&report["refunds"], refunds), (&json!(refunds), 2_000));
    assert_eq!((&report["platformFees"], &report["tax"]), (&json!(0), &json!(0)));
    assert_eq!(report["net"], 108_000);
    assert_eq!(report["currency"], "USD");
    let lines: i64 =
        report["lines"].as_array().unwrap().iter().map(|l| l["amount"].as_i64().unwrap()).sum();
    assert_eq!(report["net"], lines);
    assert_eq!(report["lines"][1], json!({"code": "revenue_refund", "amount": -2_000}));

    let flow = demo.get("/api/v1/reports/cash-flow?currency=USD").await.data().clone();
    assert_eq!(flow["totalInflow"], sum("cash", "debit"));
    assert_eq!(flow["totalOutflow"], sum("cash", "credit"));
    assert_eq!((&flow["totalInflow"], &flow["totalOutflow"]), (&json!(110_500), &json!(2_500)));
    assert_eq!(flow["net"], report["net"]);
    let buckets = flow["buckets"].as_array().unwrap();
    assert_eq!(buckets.len(), 30);
    let total = |field: &str| buckets.iter().map(|b| b[field].as_i64().unwrap()).sum::<i64>();
    assert_eq!((total("inflow"), total("outflow"), total("net")), (110_500, 2_500, 108_000));
    let posted = demo.list("/api/v1/ledger?sourceType=refund").await;
    let day = &posted[0]["postedAt"].as_str().unwrap()[..10];
    let bucket = buckets.iter().find(|b| b["day"] == day).expect("the day of the refunds");
    assert!(bucket["outflow"].as_i64().unwrap() > 0);
    let days: Vec<_> = buckets.iter().map(|b| b["day"].as_str().unwrap()).collect();
    assert!(days.is_sorted() && day >= days[28], "{days:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_includes_from_excludes_to_and_covers_one_currency_and_mode() {
    let (_folder, demo) = with_history().await;
    let pnl = async |query: &str| demo.get(&format!("/api/v1/reports/pnl?{query}")).await;
    let entries = demo.list("/api/v1/ledger?sourceType=refund&code=revenue_refund").await;
    let last = entries[0]["postedAt"].as_str().unwrap();
    let all = pnl("currency=USD").await;
    let until = pnl(&format!("currency=USD&to={last}")).await;
    let from = pnl(&format!("currency=USD&from={last}")).await;
    let both = until.data()["net"].as_i64().unwrap() + from.data()["net"].as_i64().unwrap();
    assert_eq!(all.data()["net"], both, "nothing is counted twice or left out");
    assert_ne!(from.data()["refunds"], 0);
    assert_eq!(pnl("currency=JPY").await.data()["revenue"], 5_000);
    assert_eq!(pnl("currency=CHF").await.data()["net"], 0);
    assert_eq!(pnl("currency=USD&to=2020-01-01").await.data()["net"], 0);
    let live = demo.ready_file["live"]["bearer"].as_str().unwrap();
    let auth = format!("Bearer {live}");
    let path = "/api/v1/reports/pnl?currency=USD";
    let reply = demo.try_send("GET", path, &[("authorization", &auth)], Vec::new()).await.unwrap();
    assert_eq!((&reply.data()["revenue"], &reply.data()["refunds"]), (&json!(10_000), &json!(0)));

    for (query, field) in [
        ("", "currency"),
        ("currency=usd", "currency"),
        ("currency=USD&from=soon", "from"),
        ("currency=USD&from=2026-01-01&to=2025-01-01", "to"),
        ("currency=USD&from=2024-01-01&to=2026-01-01", "to"),
    ] {
        let reply = pnl(query).await;
        assert_eq!((reply.status.as_u16(), &reply.json["error"]["field"]), (400, &json!(field)));
        assert_eq!(reply.json["error"]["code"], "validation_error");
    }
    let several = pnl("").await;
    let listed = &several.json["error"]["details"]["currencies"];
    assert_eq!(listed, &json!(["AUD", "IDR", "JPY", "KWD", "USD", "ZAR"]));
    assert!(several.json["error"]["message"].as_str().unwrap().contains("AUD, IDR"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_one_currency_need_not_name_it_and_one_with_none_gets_zeros() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let (_, text) = demo.run(&["keys", "create", "--new-account", "Empty shop"]);
    let bearer = text.lines().find_map(|line| line.strip_prefix("bearer")).unwrap().trim();
    let auth = format!("Bearer {bearer}");
    let headers = [("authorization", auth.as_str()), ("content-type", "application/json")];
    let get = async |path: &str| demo.try_send("GET", path, &headers, Vec::new()).await.unwrap();
    let empty = get("/api/v1/reports/pnl").await;
    assert_eq!((&empty.data()["net"], &empty.data()["currency"]), (&json!(0), &Value::Null));
    let body = json!({"amount": 42, "currency": "JPY", "provider": "simulator",
        "providerPaymentId": "only", "capturedAt": "2026-01-02T03:04:05Z"});
    let body = body.to_string().into_bytes();
    let paid = demo.try_send("POST", "/api/v1/payments", &headers, body).await.unwrap();
    assert_eq!(paid.status, 201);
    let flow = get("/api/v1/reports/cash-flow").await;
    assert_eq!((&flow.data()["net"], &flow.data()["currency"]), (&json!(42), &json!("JPY")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_csv_of_the_ledger_has_every_entry_once_and_is_streamed() {
    let (_folder, demo) = with_history().await;
    // Enough entries for more than one page of the export.
    let payment = demo.pay("ch_many", 1_000_000).await;
    for _ in 0..300 {
        let body = json!({"sourceType": "payment", "sourceId": payment, "amount": 7});
        assert_eq!(demo.post("/api/v1/refunds", &body).await.status, 201);
    }
    demo.wait_until_decided(Duration::from_secs(30)).await;
    let reply = demo.get("/api/v1/reports/ledger.csv").await;
    assert_eq!(reply.header("transfer-encoding"), "chunked");
    assert_eq!(reply.header("content-length"), "");
    assert!(reply.header("content-type").starts_with("text/csv; charset=utf-8"));
    let disposition = reply.header("content-disposition");
    assert!(disposition.starts_with("attachment; filename=\"ledger_20"), "{disposition}");
    assert!(reply.header("x-request-id").starts_with("req_"));

    let mut expected = demo.list("/api/v1/ledger").await;
    expected.reverse();
    let rows = csv(&demo, "/api/v1/reports/ledger.csv").await;
    assert_eq!(
        rows[0],
        "id,accountId,txId,code,direction,amount,amountDecimal,currency,sourceType,sourceId,memo,\
         postedAt"
    );
    assert_eq!(rows.len() - 1, expected.len());
    assert!(rows.len() > 600);
    for (row, entry) in rows[1..].iter().zip(&expected) {
        let text = |field: &str| entry[field].as_str().unwrap().to_owned();
        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!(cells.len(), 12, "{row}");
        assert_eq!(cells[0], text("id"));
        assert_eq!(cells[2], text("txId"));
        assert_eq!((cells[3], cells[4]), (&*text("code"), &*text("direction")));
        assert_eq!(cells[5], entry["amount"].as_i64().unwrap().to_string());
        assert_eq!(cells[9], text("sourceId"));
        assert_eq!(cells[11], text("postedAt"));
    }
    let decimal = |currency: &str| {
        let row = rows.iter().find(|row| row.contains(&format!(",{currency},"))).unwrap();
        row.split(',').nth(6).unwrap().to_owned()
    };
    assert_eq!((decimal("JPY"), decimal("KWD")), ("5000".to_owned(), "12.500".to_owned()));
    assert_eq!(decimal("ZAR"), "999.00");
    let none = csv(&demo, "/api/v1/reports/ledger.csv?from=2020-01-01&to=2020-02-01").await;
    assert_eq!(none.len(), 1, "the header alone");
    let wrong = demo.get("/api/v1/reports/ledger.csv?from=2020-01-01").await;
    assert_eq!((wrong.status.as_u16(), &wrong.json["error"]["field"]), (400, &json!("to")));
}

/// The lines of a CSV file, without the last, empty one.
async fn csv(demo: &Demo, path: &str) -> Vec<String> {
    let reply = demo.get(path).await;
    assert_eq!(reply.status, 200);
    assert!(reply.text.ends_with("\r\n"));
    reply.text.trim_end().split("\r\n").map(str::to_owned).collect()
}
