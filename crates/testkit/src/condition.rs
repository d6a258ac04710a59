//! Waiting for conditions, with a limit and never for a time.

use std::time::Duration;

/// The longest that anything is waited for. Generous: it is only ever reached by a failing test.
pub const LIMIT: Duration = Duration::from_secs(20);

/// The pause between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits for `work`, at most [`LIMIT`]. `what` is what is said when it takes longer.
pub async fn within_limit<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(LIMIT, work).await;
    done.unwrap_or_else(|_| panic!("waited {LIMIT:?} in vain for {what}"))
}

/// Looks again and again until `look` finds something, at most [`LIMIT`].
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
