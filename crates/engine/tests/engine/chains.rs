//! The chains in which SQLite keeps the refunds of each payment.

use crate::tampering::check;

#[tokio::test]
async fn a_chain_of_refunds_that_is_broken_is_found() {
    let of_dollars = "currency = 'USD' AND previous IS NOT NULL";
    check(&format!("UPDATE refunds SET previous = NULL WHERE {of_dollars}"), &["chain"]).await;
    check(&format!("UPDATE refunds SET previous = id WHERE {of_dollars}"), &["follower"]).await;
    let yen = "(SELECT id FROM refunds WHERE currency = 'JPY')";
    check(&format!("UPDATE refunds SET previous = {yen} WHERE {of_dollars}"), &["previous"]).await;
    check("UPDATE payments SET last_refund = NULL WHERE currency = 'JPY'", &["follower"]).await;
    let other = format!("UPDATE payments SET last_refund = {yen} WHERE currency = 'USD'");
    check(&other, &["last refund", "follower"]).await;
}
