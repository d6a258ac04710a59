//! The search for due deliveries, which goes from endpoint to endpoint.

use super::SqliteStore;
use super::codec::first;
use crate::StoreError;
use crate::queries::EndpointCursor;
use crate::queries::deliveries::DueEndpoint;
use rusqlite::params;

/// The first pending delivery of the next endpoint. The key of the search ends with the largest
/// time, so that the search begins behind the whole backlog of the endpoint instead of walking
/// through it.
const NEXT_ENDPOINT: &str = "SELECT scope, endpoint, next_at FROM deliveries \
     WHERE next_at IS NOT NULL AND (scope, endpoint, next_at) > (?1, ?2, 9223372036854775807) \
     ORDER BY scope, endpoint, next_at LIMIT 1";

impl SqliteStore {
    /// The first pending delivery of each of the next endpoints.
    pub(crate) async fn next_endpoints(
        &self,
        after: EndpointCursor,
        limit: u32,
    ) -> Result<Vec<DueEndpoint>, StoreError> {
        self.read(move |connection| {
            let (mut after, mut found) = (after, Vec::new());
            let mut select = connection.prepare_cached(NEXT_ENDPOINT)?;
            for _ in 0..limit {
                let (tenant, endpoint) =
                    after.map_or((-1, [0; 16]), |(tenant, id)| (tenant.code(), id.bytes()));
                let next: Option<DueEndpoint> = first(&mut select, params![tenant, endpoint])?;
                let Some(next) = next else { break };
                after = Some((next.0, next.1));
                found.push(next);
            }
            Ok(found)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::{Connection, StatementStatus};

    /// Instructions that SQLite executes to search behind an endpoint with `backlog` pending
    /// deliveries.
    fn steps_behind(backlog: i64) -> i32 {
        let connection = Connection::open_in_memory().expect("a database");
        let schema = [
            include_str!("../../migrations/sqlite/V1__refunds.sql"),
            include_str!("../../migrations/sqlite/V2__webhooks.sql"),
        ];
        connection.execute_batch(&schema.concat()).expect("tables");
        let endpoint = [1_u8; 16];
        connection
            .execute(
                "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?1) \
                 INSERT INTO deliveries (scope, id, endpoint, event, subject, type, format, seq, \
                 status, attempts, once, updated_at, next_at) SELECT 2, \
                 CAST(printf('%016d', i) AS BLOB), ?2, ?2, ?2, 10, 1, 1, 1, 0, 0, i, i FROM n",
                params![backlog, endpoint],
            )
            .expect("a backlog");
        let mut search = connection.prepare(NEXT_ENDPOINT).expect("a search");
        let found = search.query_map(params![2, endpoint], |_| Ok(())).expect("rows").count();
        assert_eq!(found, 0, "there is no other endpoint");
        let steps = search.get_status(StatementStatus::VmStep);
        let found = search.query_map(params![2, [0_u8; 16]], |row| row.get::<_, i64>(2));
        let found: Vec<_> = found.expect("rows").collect::<Result<_, _>>().expect("times");
        assert_eq!(found, [1], "the first delivery of the endpoint");
        steps
    }

    #[test]
    fn a_look_does_not_walk_through_a_backlog() {
        assert_eq!(steps_behind(10), steps_behind(5_000));
    }
}
