//! A text that PostgreSQL refuses, in a batch with requests that it accepts.

use crate::committer::{commit_together, refund, won};
use engine::{Error, StoreError};
use testkit::EngineRig;

#[tokio::test]
async fn a_text_that_the_database_refuses_fails_alone() {
    let rig = EngineRig::open().await;
    let (one, other) = (rig.pay(1_000, "USD").await, rig.pay(1_000, "USD").await);
    // No text of PostgreSQL holds a NUL.
    let bad = |number| refund(rig.refund(&one).amount(10).reference(&format!("a\0{number}")));
    let good = || refund(rig.refund(&other).amount(10));
    let requests = vec![
        good(),
        bad(1),
        good(),
        good(),
        good(),
        bad(2),
        bad(3),
        good(),
        good(),
        good(),
        good(),
    ];
    let answers = commit_together(&rig, requests).await;
    let expected = [true, false, true, true, true, false, false, true, true, true, true];
    assert_eq!(won(&answers), expected, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.is_err()) {
        let Err(Error::Store(error)) = answer else { panic!("{answer:?}") };
        assert!(matches!(&**error, StoreError::Database(_)), "{error:?}");
        let cause = std::error::Error::source(&**error).expect("a cause").to_string();
        assert!(cause.contains("22021"), "{cause}");
    }
    assert!(rig.refunds_of(&one).await.is_empty());
    assert_eq!(rig.refunds_of(&other).await.len(), 8);
    rig.run_until_quiet().await;
    assert_eq!(rig.verify_paid_as_booked(&other).await, 80);
    rig.verify_clean().await;
}
