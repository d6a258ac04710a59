//! Requests whose whole answer is kept under the caller's idempotency key, refusals included, for
//! doors that promise that.
//!
//! A request is begun, processed and answered in three commits. Its effect on money has an
//! idempotency key of its own, made from this use of the caller's key. After a crash between any two
//! commits, the next caller that repeats the request processes it again, to the same effect.

use crate::Engine;
use crate::input::IdempotencyKey;
use crate::{Error, unique_keys};
use domain::decide::KEY_LIFETIME_MS;
use domain::tenant::Tenant;
use domain::unique_keys::KeyHash;
use secrecy::ExposeSecret as _;
use store::{NewRequest, StoreError};
use ulid::Ulid;

/// A request under an idempotency key that is the caller's to process.
#[derive(Clone, Debug)]
pub struct Keyed {
    door: &'static str,
    tenant: Tenant,
    hash: KeyHash,
    generation: Ulid,
}

/// The progress of a request under an idempotency key.
#[derive(Debug)]
pub enum IdempotentRequest {
    Process(Keyed),
    Running,
    /// The key came with another request.
    Other,
    Answered {
        status: u16,
        body: Vec<u8>,
    },
}

impl Keyed {
    /// The key for what the request does. It is forgotten with the caller's, so that a key that ran
    /// out is new again.
    pub fn key(&self) -> IdempotencyKey {
        IdempotencyKey { door: self.door, value: self.generation.to_string().into() }
    }
}

impl Engine {
    /// Begins a request, which `parts` tell from others.
    pub async fn begin_request(
        &self,
        tenant: Tenant,
        key: &IdempotencyKey,
        parts: &[&[u8]],
    ) -> Result<IdempotentRequest, Error> {
        let now = self.now();
        let (door, hash) = (key.door, unique_keys::idempotency(key));
        let new = NewRequest {
            tenant,
            hash,
            request: unique_keys::whole_request(parts),
            generation: self.with_ids(|ids| ids.ulid(now)),
            lease_until: now.plus_ms(self.config().lease_ms),
            expires_at: now.plus_ms(KEY_LIFETIME_MS),
        };
        Ok(match self.within_commit(self.store().begin_request(new, now)).await? {
            store::IdempotentRequest::Process(generation) => {
                IdempotentRequest::Process(Keyed { door, tenant, hash, generation })
            }
            store::IdempotentRequest::Running => IdempotentRequest::Running,
            store::IdempotentRequest::Other => IdempotentRequest::Other,
            store::IdempotentRequest::Answered { generation, status, body } => {
                let body = self.master_key().open(&row_of(tenant, generation), &body);
                let body = body.map_err(|error| unreadable(&error))?;
                IdempotentRequest::Answered { status, body: body.expose_secret().to_vec() }
            }
        })
    }

    /// Keeps the answer to a request. Answers can hold secrets, so they are sealed.
    pub async fn keep_answer(&self, keyed: &Keyed, status: u16, body: &[u8]) -> Result<(), Error> {
        let row = row_of(keyed.tenant, keyed.generation);
        let sealed = self.with_ids(|ids| self.master_key().seal(&row, body, ids.rng()));
        let sealed = sealed.map_err(|error| unreadable(&error))?;
        let at = (keyed.tenant, keyed.hash, keyed.generation);
        self.within_commit(self.store().keep_answer(at, status, sealed)).await
    }

    /// Ends a request without an answer to keep: the next one under the key goes on from there.
    pub async fn abandon_request(&self, keyed: &Keyed) -> Result<(), Error> {
        let at = (keyed.tenant, keyed.hash, keyed.generation);
        self.within_commit(self.store().abandon_request(at, self.now())).await
    }

    /// Waits for the database as long as for any commit.
    pub(crate) async fn within_commit<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(self.config().commit_timeout, work).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(Error::TimedOut),
        }
    }
}

/// The row that a sealed answer is bound to.
fn row_of(tenant: Tenant, generation: Ulid) -> String {
    format!("answer {} {generation}", tenant.code())
}

fn unreadable(error: &crate::SecretError) -> Error {
    StoreError::Inconsistent(format!("an answer: {error}")).into()
}
