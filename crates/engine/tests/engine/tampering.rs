//! Verification finds what was changed behind the engine's back: one case per check.

use crate::lock::{BROKEN_RULE, tamper};
use domain::refund::State;
use testkit::EngineRig;

/// A database with a refund of every outcome, and nothing wrong with it.
async fn open() -> EngineRig {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    for (script, state) in [
        ("succeed", State::Succeeded),
        ("late_failure", State::Failed),
        ("wrong_amount", State::NeedsReview),
    ] {
        let refund = rig.refund(&payment).amount(1_000).simulate(script).key(script).create().await;
        rig.run_until_quiet().await;
        assert_eq!(rig.reload(&refund).await.state, state);
    }
    rig.refund_in_dashboard(&payment, 10_000).await;
    rig.run_until_quiet().await;
    let yen = rig.pay(500, "JPY").await;
    rig.refund(&yen).reference("waits").create().await;
    rig.verify_clean().await;
    rig
}

/// Tampers, and expects differences of which one is about each of `subjects`.
pub async fn check(sql: &str, subjects: &[&str]) {
    let rig = open().await;
    tamper(&rig, sql);
    let report = rig.store.verify().await.expect("a verification");
    for subject in subjects {
        let about = report.differences.iter().any(|found| found.subject.contains(subject));
        assert!(about, "{sql}\nfinds nothing about {subject:?}: {:#?}", report.differences);
    }
}

#[tokio::test]
async fn a_balance_that_does_not_follow_from_the_refunds_is_found() {
    let subject = &["refunded/reserved/excess"];
    check("UPDATE payments SET refunded = refunded - 1 WHERE currency = 'USD'", subject).await;
    check("UPDATE payments SET reserved = reserved - 1 WHERE currency = 'JPY'", subject).await;
    check("UPDATE payments SET excess = excess + 1 WHERE currency = 'USD'", subject).await;
    check("UPDATE refunds SET amount = amount + 1 WHERE currency = 'JPY'", subject).await;
    check("DELETE FROM refunds WHERE currency = 'JPY'", subject).await;
}

#[tokio::test]
async fn a_refund_without_a_payment_or_in_another_currency_is_found() {
    check("UPDATE refunds SET currency = 'EUR' WHERE currency = 'JPY'", &["payment currency"])
        .await;
    check("DELETE FROM payments WHERE currency = 'JPY'", &["payment currency"]).await;
}

#[tokio::test]
async fn a_payment_that_somebody_else_changed_is_read_again() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(1_000, "USD").await;
    rig.refund(&payment).amount(1).create().await;
    tamper(&rig, "UPDATE payments SET captured = 500");
    assert!(rig.refund(&payment).amount(600).try_create().await.is_err());
    rig.refund(&payment).amount(499).create().await;
}

#[tokio::test]
async fn a_status_that_does_not_follow_from_the_state_is_found() {
    check("UPDATE refunds SET status = 2 WHERE state = 9", &["status of state"]).await;
}

#[tokio::test]
async fn a_refund_that_is_never_looked_at_again_is_found() {
    check("UPDATE refunds SET due_at = NULL WHERE state = 3", &["due in state"]).await;
    check("UPDATE refunds SET due_at = 1 WHERE state = 11", &["due in state"]).await;
}

#[tokio::test]
async fn a_capture_that_is_not_posted_once_is_found() {
    let subject = &["capture posted"];
    check("DELETE FROM postings WHERE reason = 1 AND currency = 'JPY'", subject).await;
    check("UPDATE postings SET amount = 499 WHERE reason = 1 AND currency = 'JPY'", subject).await;
    let twice = "INSERT INTO postings (scope, id, reason, source_type, source, payment, amount,
         currency) SELECT scope, x'00000000000000000000000000000001', reason,
         source_type, source, payment, amount, currency FROM postings
         WHERE reason = 1 AND currency = 'JPY'";
    check(twice, subject).await;
}

#[tokio::test]
async fn a_refund_that_is_not_posted_as_it_ended_is_found() {
    let subject = &["posted"];
    check("DELETE FROM postings WHERE reason = 3", subject).await;
    check("UPDATE postings SET amount = amount + 1 WHERE reason = 2", subject).await;
    check("UPDATE refunds SET state = 11, status = 3 WHERE state = 10", subject).await;
}

#[tokio::test]
async fn a_transfer_about_nothing_is_found() {
    let sql = "UPDATE postings SET source = x'00000000000000000000000000000001' WHERE reason = 2";
    check(sql, &[" source"]).await;
}

#[tokio::test]
async fn running_totals_that_do_not_follow_from_the_transfers_are_found() {
    check("UPDATE totals SET debits = debits + 1, credits = credits + 1", &["totals of"]).await;
    check("DELETE FROM totals WHERE currency = 'JPY'", &["totals of"]).await;
    let more = "INSERT INTO totals (scope, currency, code, debits, credits)
         SELECT scope, 'EUR', code, sum(debits), sum(credits) FROM totals
         WHERE currency = 'JPY' GROUP BY scope, code";
    check(more, &["totals of"]).await;
}

#[tokio::test]
async fn a_ledger_that_is_out_of_balance_is_found() {
    let sql = "UPDATE totals SET debits = debits + 1 WHERE currency = 'USD' AND code = 1";
    check(sql, &["ledger of"]).await;
}

#[tokio::test]
async fn events_with_a_gap_or_another_end_than_the_refunds_are_found() {
    let subject = &["last event"];
    let longer = "refund IN (SELECT id FROM refunds WHERE last_seq > 2)";
    for gap in [1, 2] {
        check(&format!("DELETE FROM events WHERE seq = {gap} AND {longer}"), subject).await;
    }
    check(&format!("DELETE FROM events WHERE seq = 3 AND {longer}"), subject).await;
    check(&format!("UPDATE events SET seq = seq + 100 WHERE {longer}"), subject).await;
    check("UPDATE events SET state = 11 WHERE state = 10", subject).await;
    let more = "INSERT INTO events (scope, id, type, refund, state, seq)
         SELECT scope, x'00000000000000000000000000000001', 16, id, state, last_seq + 1
         FROM refunds WHERE state = 3";
    check(more, subject).await;
    check("UPDATE refunds SET last_seq = last_seq + 1 WHERE currency = 'JPY'", subject).await;
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_found() {
    check("UPDATE keys SET id = x'00000000000000000000000000000001'", &["name "]).await;
}

#[tokio::test]
async fn a_row_that_breaks_a_rule_of_the_schema_is_found() {
    let over = "UPDATE payments SET captured = 499, excess = 0 WHERE currency = 'JPY'";
    check(over, &[BROKEN_RULE]).await;
}

#[tokio::test]
async fn differences_name_ids_as_people_know_them() {
    let rig = open().await;
    tamper(&rig, "UPDATE payments SET refunded = refunded - 1 WHERE currency = 'USD'");
    let report = rig.store.verify().await.expect("a verification");
    let payment =
        &rig.engine.list_payments(rig.tenant, first_page()).await.expect("a read").items[0];
    let id = payment.capture.id.ulid().to_string();
    assert!(report.differences.iter().any(|found| found.to_string().contains(&id)), "{report:#?}");
}

fn first_page() -> engine::PageQuery {
    let order = engine::SortOrder::Ascending;
    engine::PageQuery { limit: 1, after: None, order, from: None, until: None }
}
