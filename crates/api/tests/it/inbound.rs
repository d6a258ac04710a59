//! Webhooks of providers.

use crate::world::{Ask, World};
use domain::tenant::Mode;

#[tokio::test]
async fn forged_and_unreadable_webhooks_change_nothing() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let before = world.books(&key).await;
    let path = format!("/api/v1/inbound-webhooks/simulator/{}/test", world.account);
    assert_eq!(world.send(Ask::post(&path, "{}")).await.problem(), "401 invalid_signature");
    for path in [
        format!("/api/v1/inbound-webhooks/acme/{}/test", world.account),
        format!("/api/v1/inbound-webhooks/simulator/{}/other", world.account),
        "/api/v1/inbound-webhooks/simulator/acc_00000000000000000000000000/test".to_owned(),
        "/api/v1/inbound-webhooks/simulator/x/test".to_owned(),
    ] {
        assert_eq!(world.send(Ask::post(&path, "{}")).await.problem(), "404 not_found", "{path}");
    }
    let large = vec![b' '; 2 * 1024 * 1024];
    assert_eq!(world.send(Ask::post(&path, large)).await.problem(), "413 payload_too_large");
    assert_eq!(world.books(&key).await, before);
}
