//! The simulated provider in this server: its book, the loop that drives it, and its pages.

use crate::Failure;
use crate::clock::{SystemClock, seed};
use crate::config::Config;
use crate::loops::{milliseconds, rest};
use crate::setup::make_folder;
use api::ApiConfig;
use async_trait::async_trait;
use axum::Router;
use domain::ids::AccountId;
use domain::money::Currency;
use domain::tenant::Tenant;
use engine::{Engine, InboundWebhook};
use simulator::{Limits, Merchants, NAME, Simulator, Unavailable, WebhookSink};
use std::sync::Arc;

/// Webhooks and changes in one step at most.
const STEP: usize = 64;

/// Opens the simulator, where the configuration enables it.
pub fn open(config: &Config) -> Result<Option<Arc<Simulator>>, Failure> {
    if !config.simulator.enabled {
        return Ok(None);
    }
    make_folder(&config.data)?;
    let own = || config.data.join("simulator.db");
    let book = config.simulator.book.clone().unwrap_or_else(own);
    Ok(Some(Simulator::open(&book, config.simulator.build(), Arc::new(SystemClock), seed()?)?))
}

/// The pages under `/simulator`, with the limits that bodies have at the doors.
pub fn pages(simulator: &Arc<Simulator>, engine: &Engine) -> Router {
    let doors = ApiConfig::default();
    let limits = Limits { body_bytes: doors.max_body_bytes, body_timeout: doors.body_timeout };
    simulator::pages(simulator.clone(), Arc::new(Link(engine.clone())), limits)
}

/// Does the simulator's work when it is due.
pub async fn run(simulator: Arc<Simulator>, engine: Engine) {
    let link = Link(engine.clone());
    loop {
        match simulator.next_due() {
            None => simulator.wait_for_work().await,
            Some(due) if due <= engine.now() => {
                simulator.step(&link, STEP).await;
            }
            Some(due) => {
                tokio::select! {
                    () = rest(milliseconds(due.ms_since(engine.now()))) => {}
                    () = simulator.wait_for_work() => {}
                }
            }
        }
    }
}

/// The engine as the simulator sees it.
struct Link(Engine);

/// Receives the simulator's webhooks as if they had come over the network.
#[async_trait]
impl WebhookSink for Link {
    async fn deliver(&self, tenant: Tenant, webhook: InboundWebhook) -> bool {
        self.0.receive_webhook(tenant, NAME, None, webhook).await.is_ok()
    }
}

#[async_trait]
impl Merchants for Link {
    async fn account_numbers(&self) -> Result<Vec<u32>, Unavailable> {
        let accounts = self.0.list_accounts().await?;
        Ok(accounts.iter().map(|account| account.number).collect())
    }

    async fn account_number(&self, id: AccountId) -> Result<Option<u32>, Unavailable> {
        let account = self.0.find_account(id).await?;
        Ok(account.map(|account| account.number))
    }

    async fn registered_payments(
        &self,
        charge: &str,
    ) -> Result<Vec<(Tenant, Currency)>, Unavailable> {
        let payments = self.0.find_payments_by_charge_everywhere(charge).await?;
        Ok(payments
            .iter()
            .map(|payment| (payment.capture.tenant, payment.capture.currency))
            .collect())
    }
}
