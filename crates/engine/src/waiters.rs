//! Requests that wait for a refund to be decided.

use domain::ids::RefundId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// How many refunds can be waited for at the same time. One more is answered without waiting.
const LIMIT: usize = 10_000;

/// The callers that wait, by refund.
#[derive(Default)]
pub(crate) struct Waiters {
    waiting: AtomicUsize,
    by_refund: Mutex<HashMap<RefundId, (Arc<Notify>, usize)>>,
}

/// A place in the queue; gives itself up when dropped.
pub(crate) struct Waiter {
    waiters: Arc<Waiters>,
    refund: RefundId,
    notify: Arc<Notify>,
}

impl Waiters {
    /// Starts to wait. Changes from now on are not missed.
    pub(crate) fn wait(self: &Arc<Self>, refund: RefundId) -> Option<Waiter> {
        let mut by_refund = self.by_refund.lock().unwrap_or_else(PoisonError::into_inner);
        if by_refund.len() >= LIMIT {
            return None;
        }
        let entry = by_refund.entry(refund).or_default();
        entry.1 += 1;
        self.waiting.fetch_add(1, Ordering::Release);
        Some(Waiter { waiters: self.clone(), refund, notify: entry.0.clone() })
    }

    /// Wakes the callers that wait for this refund. Nearly free when nobody waits at all.
    pub(crate) fn wake(&self, refund: RefundId) {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return;
        }
        let by_refund = self.by_refund.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((notify, _)) = by_refund.get(&refund) {
            notify.notify_waiters();
        }
    }
}

impl Waiter {
    /// Resolves at the next change after the returned future was first enabled.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut by_refund = self.waiters.by_refund.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiters.waiting.fetch_sub(1, Ordering::Release);
        if let Some(entry) = by_refund.get_mut(&self.refund) {
            entry.1 -= 1;
            if entry.1 == 0 {
                by_refund.remove(&self.refund);
            }
        }
    }
}
