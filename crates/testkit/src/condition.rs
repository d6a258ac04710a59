//! Waits for conditions with a limit, so that no test sleeps for a fixed time.

use std::time::Duration;

/// Longest wait for anything. Only a failing test ever reaches this limit.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Pause between two checks of a condition.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits for `work`, at most [`LIMIT`]. `what` names the work in the panic.
pub async fn within_limit<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(LIMIT, work).await;
    done.unwrap_or_else(|_| panic!("waited {LIMIT:?} for {what}"))
}

/// Calls `look` until it returns a value, at most for [`LIMIT`].
#[expect(clippy::disallowed_methods, reason = "the pause between two looks of a bounded wait")]
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    within_limit(what, found).await
}
