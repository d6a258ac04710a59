//! Money that buyers send by hand, confirmed on a node that runs no provider which takes payments.

use domain::checkout::{NewCheckout, State};
use domain::money::Currency;
use domain::payment::Kind;
use engine::{Engine, MANUAL, Registry};
use testkit::EngineRig;

fn new_checkout(rig: &EngineRig) -> NewCheckout {
    NewCheckout {
        tenant: rig.tenant,
        kind: Kind::CheckoutSession,
        amount: 9_000,
        currency: Currency::parse("USD").expect("a currency"),
        methods: vec![MANUAL.id.into()],
        success_url: None,
        cancel_url: None,
        lines: Vec::new(),
        customer: None,
        template: None,
        metadata: None,
        extra: None,
        expires_in_ms: None,
    }
}

#[tokio::test]
async fn a_node_without_the_provider_confirms_money_that_was_sent_by_hand() {
    let rig = EngineRig::open().await;
    let opened = rig.engine.open_checkout(new_checkout(&rig), None).await.expect("opened").value;
    let claimed = rig.engine.claim_checkout(&opened, None).await.expect("claimed");
    assert_eq!(claimed.state, State::PendingReview);
    let mut parts = rig.parts_with(Registry::new(), rig.config());
    parts.registry = Registry::new().with_payment_provider_elsewhere("simulator");
    let other = Engine::start(parts);
    assert_eq!(other.payment_provider_name(rig.tenant), Some("simulator"));
    let confirmed = other.confirm_checkout(&claimed, None).await.expect("confirmed").value;
    assert_eq!(confirmed.state, State::Completed);
    let payment = rig.payment(confirmed.terms.id).await;
    assert_eq!((payment.capture.captured, &*payment.capture.provider), (9_000, "simulator"));
    other.open_checkout(new_checkout(&rig), None).await.expect_err("no provider takes payments");
}
