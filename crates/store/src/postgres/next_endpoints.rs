//! The search for due deliveries, which goes from endpoint to endpoint.

use super::PostgresStore;
use crate::StoreError;
use crate::queries::deliveries::DueEndpoint;
use crate::queries::{EndpointCursor, Query};

/// The first pending delivery of each of the next endpoints. The walk goes from endpoint to
/// endpoint along the index, however many deliveries each endpoint has.
const NEXT_ENDPOINTS: &str = "WITH RECURSIVE walk (scope, endpoint, next_at, step) AS ( \
     (SELECT scope, endpoint, next_at, 1 FROM deliveries \
      WHERE next_at IS NOT NULL AND (scope, endpoint) > ($1, $2) \
      ORDER BY scope, endpoint, next_at LIMIT 1) \
     UNION ALL \
     SELECT n.scope, n.endpoint, n.next_at, walk.step + 1 FROM walk CROSS JOIN LATERAL \
     (SELECT d.scope, d.endpoint, d.next_at FROM deliveries d WHERE d.next_at IS NOT NULL \
      AND (d.scope, d.endpoint) > (walk.scope, walk.endpoint) \
      ORDER BY d.scope, d.endpoint, d.next_at LIMIT 1) n WHERE walk.step < $3) \
     SELECT scope, endpoint, next_at FROM walk ORDER BY step";

impl PostgresStore {
    /// The first pending delivery of each of the next endpoints.
    pub(crate) async fn next_endpoints(
        &self,
        after: EndpointCursor,
        limit: u32,
    ) -> Result<Vec<DueEndpoint>, StoreError> {
        let (tenant, endpoint) =
            after.map_or((-1, [0; 16]), |(tenant, endpoint)| (tenant.code(), endpoint.bytes()));
        self.all(Query::new(NEXT_ENDPOINTS).with(tenant).with(endpoint).with(limit)).await
    }
}
