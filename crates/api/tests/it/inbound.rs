//! Webhooks of providers.

use crate::world::{Ask, Key, Reply, World};
use domain::tenant::Mode;
use http::Method;
use serde_json::json;

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

/// An account at the test provider whose webhooks carry this secret. Returns its id.
async fn provider_account(world: &World, key: &Key, secret: &str) -> String {
    let account = json!({"provider": "test_psp", "name": secret,
        "config": {"merchant_account": secret}, "secrets": {"api_key": "k", "webhook_secret": secret}});
    let made = world.send(Ask::post("/api/v1/provider-accounts", account.to_string()).bearer(key));
    made.await.data(201)["id"].as_str().expect("an id").to_owned()
}

async fn told(world: &World, account: &str, secret: &str, event: &str, refund: &str) -> Reply {
    let path = format!("/api/v1/inbound-webhooks/test_psp/{account}");
    let body = json!({"event": event, "payment": "ch_1", "refund": refund, "amount": 30});
    world.send(Ask::post(&path, body.to_string()).header("x-secret", secret)).await
}

#[tokio::test]
async fn webhooks_of_a_provider_account_are_verified_with_its_secret_and_taken_in_once() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let (one, other) = (
        provider_account(&world, &key, "one").await,
        provider_account(&world, &key, "other").await,
    );
    for account in [&one, &other] {
        let payment = json!({"amount": 1_000, "currency": "USD", "provider": "test_psp",
            "providerPaymentId": "ch_1", "providerAccount": account});
        world.send(Ask::post("/api/v1/payments", payment.to_string()).bearer(&key)).await.data(201);
    }
    // The secret of one account opens nothing at another one.
    let before = world.books(&key).await;
    for (account, secret) in [(&one, "other"), (&other, "one"), (&one, ""), (&one, "On\u{e9}")] {
        let reply = told(&world, account, secret, "e0", "re_0").await;
        assert_eq!(reply.problem(), "401 invalid_signature", "{secret}");
    }
    assert_eq!(world.books(&key).await, before);

    let refunded = async || {
        let list = world.send(Ask::get("/api/v1/payments").bearer(&key)).await;
        let all = list.data(200).as_array().expect("a list").clone();
        let of = |account: &str| {
            let its = all.iter().find(|payment| payment["providerAccount"] == *account);
            its.map(|payment| payment["amountRefunded"].as_i64().expect("an amount"))
        };
        (of(&one), of(&other))
    };
    for _ in 0..2 {
        let reply = told(&world, &one, "one", "e1", "re_1").await;
        assert_eq!((reply.status.as_u16(), &reply.body), (200, &json!("[accepted]")));
        assert_eq!(refunded().await, (Some(30), Some(0)));
    }
    // The same event of another account is another one; the same one with other content is not.
    assert_eq!(told(&world, &other, "other", "e1", "re_1").await.status, 200);
    assert_eq!(refunded().await, (Some(30), Some(30)));
    assert_eq!(told(&world, &one, "one", "e1", "re_2").await.status, 200);
    assert_eq!(refunded().await, (Some(30), Some(30)));
    assert_eq!(told(&world, &one, "one", "e2", "re_2").await.status, 200);
    assert_eq!(refunded().await, (Some(60), Some(30)));
}

#[tokio::test]
async fn a_webhook_of_an_account_that_cannot_be_used_is_to_be_sent_again() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let account = provider_account(&world, &key, "Broken").await;
    let reply = told(&world, &account, "Broken", "e1", "re_1").await;
    assert_eq!(reply.problem(), "503 service_unavailable");
}

#[tokio::test]
async fn a_refund_of_a_deleted_account_is_refused_in_words_about_the_account() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let account = provider_account(&world, &key, "one").await;
    let payment = json!({"amount": 1_000, "currency": "USD", "provider": "test_psp",
        "providerPaymentId": "ch_1", "providerAccount": account});
    world.send(Ask::post("/api/v1/payments", payment.to_string()).bearer(&key)).await.data(201);
    let of = format!("/api/v1/provider-accounts/{account}");
    world.send(Ask::new(Method::DELETE, &of).bearer(&key)).await;
    let before = world.books(&key).await;
    let body = json!({"paymentId": payment_id(&world, &key).await, "amount": 5}).to_string();
    let reply = world.send(Ask::post("/api/v1/refunds", body).bearer(&key)).await;
    assert_eq!(reply.problem(), "409 state_conflict");
    let message = reply.body["error"]["message"].as_str().expect("a message");
    assert!(message.contains(&account) && message.contains("at the provider itself"), "{message}");
    assert_eq!(world.books(&key).await, before);
}

async fn payment_id(world: &World, key: &Key) -> String {
    let list = world.send(Ask::get("/api/v1/payments").bearer(key)).await;
    list.data(200)[0]["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn webhooks_come_for_accounts_that_are_paused_and_not_for_those_that_are_gone() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let account = provider_account(&world, &key, "one").await;
    let of = format!("/api/v1/provider-accounts/{account}");
    let pause = json!({"reason": "an audit"}).to_string();
    world.send(Ask::post(&format!("{of}/pause"), pause).bearer(&key)).await.data(200);
    assert_eq!(told(&world, &account, "one", "e1", "re_1").await.status, 200);
    let large = vec![b' '; 2 * 1024 * 1024];
    let path = format!("/api/v1/inbound-webhooks/test_psp/{account}");
    assert_eq!(
        world.send(Ask::post(&path, large.clone())).await.problem(),
        "413 payload_too_large"
    );
    world.send(Ask::new(Method::DELETE, &of).bearer(&key)).await;
    for (path, body) in [
        // Nothing of the body is read for an address that is not there.
        (path, large),
        (format!("/api/v1/inbound-webhooks/simulator/{account}"), b"{}".to_vec()),
        ("/api/v1/inbound-webhooks/test_psp/pa_1".to_owned(), b"{}".to_vec()),
        ("/api/v1/inbound-webhooks/test_psp/pa_01HF7YAT00C8XH478G3EFR2SH8".to_owned(), vec![]),
    ] {
        assert_eq!(world.send(Ask::post(&path, body)).await.problem(), "404 not_found", "{path}");
    }
}
