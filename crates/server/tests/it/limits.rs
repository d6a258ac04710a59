//! Rate limits: they count per account and mode, and one tenant never uses up the limit of another.

use crate::harness::{Demo, Reply};
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const ON: (&str, &str) = ("REFUNDRY_RATE_LIMITS__ENABLED", "true");

async fn demo(envs: &[(&'static str, &'static str)]) -> (tempfile::TempDir, Demo) {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), envs).await;
    (folder, demo)
}

async fn get(demo: &Demo, bearer: &str, path: &str) -> Reply {
    let auth = format!("Bearer {bearer}");
    demo.try_send("GET", path, &[("authorization", &auth)], Vec::new()).await.expect("an answer")
}

fn number(reply: &Reply, header: &str) -> u64 {
    let value = reply.header(header);
    value.parse().unwrap_or_else(|_| panic!("{header}: {value:?}"))
}

fn is_limited(reply: &Reply) -> bool {
    if reply.status != 429 {
        return false;
    }
    assert_eq!(reply.json["error"]["code"], "rate_limited", "{}", reply.json);
    assert!(number(reply, "retry-after") >= 1);
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_over_the_limit_are_refused_until_the_window_has_passed() {
    let (_folder, demo) = demo(&[ON, ("REFUNDRY_RATE_LIMITS__READS_PER_SECOND", "5")]).await;
    let first = demo.get("/api/v1/refunds").await;
    assert_eq!(first.status, 200);
    assert_eq!(number(&first, "x-ratelimit-limit"), 5);
    assert_eq!(number(&first, "x-ratelimit-remaining"), 4);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let reset = number(&first, "x-ratelimit-reset");
    assert!(reset >= now && reset <= now + 2, "{reset} at {now}");
    let refused = crate::harness::eventually("the limit", Duration::from_secs(10), async || {
        let reply = demo.get("/api/v1/refunds").await;
        is_limited(&reply).then_some(reply)
    })
    .await;
    assert_eq!(number(&refused, "x-ratelimit-remaining"), 0);
    assert_eq!(number(&refused, "x-ratelimit-limit"), 5);
    crate::harness::eventually("a share", Duration::from_secs(5), async || {
        (demo.get("/api/v1/refunds").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_accounts_and_classes_have_separate_limits() {
    let (_folder, demo) = demo(&[
        ON,
        ("REFUNDRY_RATE_LIMITS__HEAVY_PER_MINUTE", "2"),
        ("REFUNDRY_RATE_LIMITS__WRITES_PER_SECOND", "2"),
    ])
    .await;
    let csv = "/api/v1/reports/ledger.csv";
    for remaining in [1, 0] {
        let reply = demo.get(csv).await;
        assert_eq!(reply.status, 200);
        assert_eq!(number(&reply, "x-ratelimit-limit"), 2);
        assert_eq!(number(&reply, "x-ratelimit-remaining"), remaining);
    }
    let refused = demo.get(csv).await;
    assert!(is_limited(&refused));
    assert!(number(&refused, "retry-after") > 20, "two a minute");
    assert_eq!(demo.get("/api/v1/refunds").await.status, 200, "reads have their own share");
    let live = demo.ready_file["live"]["bearer"].as_str().unwrap();
    assert_eq!(get(&demo, live, csv).await.status, 200, "so has the other mode");
    let (_, made) = demo.run(&["keys", "create", "--new-account", "Other shop"]);
    let other = made.lines().find_map(|line| line.strip_prefix("bearer")).unwrap().trim();
    assert_eq!(get(&demo, other, csv).await.status, 200, "and another account");
    let platform = demo.ready_file["platform"]["bearer"].as_str().unwrap();
    assert!(is_limited(&get(&demo, platform, csv).await), "whichever key sends the request");

    let write = async || demo.post("/api/v1/refunds", &json!({"chargeId": "nobody"})).await;
    let mut limited = 0;
    for _ in 0..20 {
        limited += usize::from(is_limited(&write().await));
    }
    assert!(limited > 0, "refused requests count as well");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_count_against_the_client_and_not_the_account() {
    let (_folder, demo) = demo(&[
        ON,
        ("REFUNDRY_RATE_LIMITS__FAILURES_PER_MINUTE", "3"),
        ("REFUNDRY_RATE_LIMITS__READS_PER_SECOND", "100"),
        ("REFUNDRY_RATE_LIMITS__CLIENT_HEADER", "X-Forwarded-For"),
    ])
    .await;
    let key = demo.ready_file["test"]["keyId"].as_str().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
    let forged = format!("Plugipay-HMAC-SHA256 keyId={key}, signature={}", "0".repeat(64));
    let forge = async |from: &str| {
        let headers = [
            ("authorization", forged.as_str()),
            ("x-plugipay-timestamp", now.as_str()),
            ("x-forwarded-for", from),
        ];
        demo.try_send("GET", "/api/v1/refunds", &headers, Vec::new()).await.unwrap()
    };
    for _ in 0..3 {
        let reply = forge("203.0.113.9").await;
        assert_eq!((reply.status.as_u16(), reply.header("x-ratelimit-limit")), (401, ""));
    }
    assert!(is_limited(&forge("203.0.113.9").await));
    assert!(
        is_limited(&forge("1.1.1.1, 203.0.113.9").await),
        "only the last address in the header counts"
    );
    assert_eq!(forge("203.0.113.10").await.status, 401, "another client");
    let auth = format!("Bearer {}", demo.bearer());
    let headers = [("authorization", auth.as_str()), ("x-forwarded-for", "203.0.113.9")];
    let reply = demo.try_send("GET", "/api/v1/refunds", &headers, Vec::new()).await.unwrap();
    assert_eq!(reply.status, 200, "a genuine key is served from the same address");
    assert_eq!(number(&reply, "x-ratelimit-remaining"), 99);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_has_no_limits_unless_they_are_configured() {
    let (_folder, demo) = demo(&[("REFUNDRY_RATE_LIMITS__HEAVY_PER_MINUTE", "1")]).await;
    for _ in 0..10 {
        let reply = demo.get("/api/v1/reports/ledger.csv").await;
        assert_eq!((reply.status.as_u16(), reply.header("x-ratelimit-limit")), (200, ""));
    }
    for path in ["/health", "/metrics"] {
        let reply = demo.try_send("GET", path, &[], Vec::new()).await.unwrap();
        assert_eq!(reply.status, 200, "{path}");
    }
}

#[test]
fn a_limit_of_zero_is_a_configuration_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("refundry.toml");
    for (setting, named) in [
        ("reads_per_second = 0", "reads_per_second"),
        ("client_header = \"not a header\"", "client_header"),
        ("writes = 5", "writes"),
    ] {
        std::fs::write(&file, format!("[rate_limits]\n{setting}\n")).unwrap();
        let args = ["serve", "--config", file.to_str().unwrap()];
        let (code, text) = crate::harness::run(&args, folder.path());
        assert_eq!(code, 2, "{text}");
        assert!(text.contains(named), "{text}");
    }
}
