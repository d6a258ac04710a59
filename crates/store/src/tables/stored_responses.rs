//! Requests under an idempotency key with their responses, in the table `answers`.

use super::put::{bytes, id, int, maybe_int, time};
use super::{Cells, FromRow, Table, changing, key};
use crate::StoreError;
use crate::stored_responses::{NewRequest, StoredResponse};
use domain::time::Timestamp;
use domain::unique_keys::KeyHash;

pub(crate) static STORED_RESPONSES: Table<NewRequest> = Table::new(
    "answers",
    &[
        key("scope", |r| int(r.tenant.code())),
        key("hash", |r| id(r.hash.0)),
        changing("request", |r| id(r.request)),
        changing("generation", |r| id(r.generation.to_bytes())),
        changing("lease_until", |r| time(r.lease_until)),
        changing("expires_at", |r| time(r.expires_at)),
        changing("status", |_| maybe_int(None::<i64>)),
        changing("body", |_| bytes(None)),
    ],
);

impl FromRow for StoredResponse {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        let request = NewRequest {
            tenant: c.tenant()?,
            hash: KeyHash(c.take()?),
            request: c.take()?,
            generation: c.ulid()?,
            lease_until: c.time()?,
            expires_at: Timestamp(c.take()?),
        };
        Ok(StoredResponse { request, status: c.take()?, body: c.take()? })
    }
}
