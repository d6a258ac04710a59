//! One step of the simulator's own work: due changes are made and webhooks are sent.

use crate::rows::{Task, TaskKind};
use crate::timeline;
use crate::webhook::Signer;
use crate::worker::Fault;
use crate::{Simulator, Step, WebhookSink};
use domain::time::Timestamp;
use futures_util::future::join_all;
use std::collections::BTreeMap;

/// The pause after a failed read or write of the book.
const REST_MS: i64 = 1_000;

impl Simulator {
    /// Does the work that is due, at most about `limit` pieces of it: state changes, and webhooks
    /// delivered to `sink`. Webhooks of one refund go out one after another, those of different
    /// refunds at the same time. A webhook whose delivery is not recorded (because the process ends,
    /// or this future is dropped) is delivered again.
    pub async fn step(&self, sink: &dyn WebhookSink, limit: usize) -> Step {
        // Two steps at the same time would deliver the same webhooks.
        let _turn = self.turn.lock().await;
        let done = self.try_step(sink, limit).await;
        done.unwrap_or_else(|_| {
            self.worker.schedule().set(Some(self.clock.now().plus_ms(REST_MS)));
            Step::default()
        })
    }

    /// The time of the next due task: in the past if [`Simulator::step`] has work now, `None` if
    /// nothing is scheduled. Does not read the book.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.worker.schedule().next_due()
    }

    /// Waits until a task is scheduled before the known next due time. Wakes one waiter, including
    /// one that starts to wait after the task was scheduled. A loop that waits for this or until
    /// [`Simulator::next_due`] sleeps when there is nothing to do, and misses nothing.
    pub async fn wait_for_work(&self) {
        self.worker.schedule().sooner().await;
    }

    async fn try_step(&self, sink: &dyn WebhookSink, limit: usize) -> Result<Step, Fault> {
        let due = self.worker.ask_patiently(move |book| timeline::do_due(book, limit)).await?;
        let mut step = Step { changed: due.changed, ..Step::default() };
        if due.webhooks.is_empty() {
            return Ok(step);
        }
        let lanes = lanes(due.webhooks).into_values().map(|lane| self.deliver(sink, lane));
        let deliveries: Vec<_> = join_all(lanes).await.into_iter().flatten().collect();
        step.delivered = deliveries.iter().filter(|(_, acknowledged)| *acknowledged).count();
        step.refused = deliveries.len().saturating_sub(step.delivered);
        let retry_ms = self.config.webhook_retry_ms;
        self.worker
            .ask_patiently(move |book| timeline::record_deliveries(book, &deliveries, retry_ms))
            .await?;
        Ok(step)
    }

    /// Delivers the webhooks of one refund, and returns with each whether it was acknowledged.
    async fn deliver(&self, sink: &dyn WebhookSink, lane: Vec<Task>) -> Vec<(Task, bool)> {
        let mut deliveries = Vec::with_capacity(lane.len());
        for mut due in lane {
            let (body, now) = (due.body.take().unwrap_or_default(), self.clock.now());
            let webhook = match due.kind {
                TaskKind::ForgedWebhook => Signer::forger().sign(body, now),
                _ => self.signer.sign(body, now),
            };
            let acknowledged = sink.deliver(due.tenant, webhook).await;
            deliveries.push((due, acknowledged));
        }
        deliveries
    }
}

fn lanes(webhooks: Vec<Task>) -> BTreeMap<ulid::Ulid, Vec<Task>> {
    let mut lanes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for webhook in webhooks {
        lanes.entry(webhook.refund).or_default().push(webhook);
    }
    lanes
}
