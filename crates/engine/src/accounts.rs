//! Accounts and API keys: making them, finding them, revoking them.

use crate::Engine;
use crate::access::{ApiKey, ErrorProfile, KeyForm, Permissions};
use crate::input::{IdempotencyKey, KeyRequest};
use crate::{Error, unique_keys};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::decide::Refusal;
use domain::ids::AccountId;
use domain::tenant::{Mode, Tenant};
use domain::time::Timestamp;
use domain::unique_keys::UniqueKey;
use rand_core::Rng;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use store::{Account, ApiKeyRow, NewApiKey, Once, StoreError};

/// How long a key is believed without looking it up again. A revocation by another process takes
/// effect within this time; one by this process at once.
const KEY_CACHE_MS: i64 = 250;

/// How many keys are remembered; the memory starts over when it is full.
const KEY_CACHE_LIMIT: usize = 10_000;

/// How much of a Bearer token is kept in the clear, for people to tell keys apart.
const PREFIX_LENGTH: usize = 12;

/// A new key's secrets. They cannot be shown again.
pub struct NewKey {
    pub created_at: Timestamp,
    /// The first characters of its Bearer token, which stay visible.
    pub prefix: String,
    /// The key's public id, for signed requests.
    pub key_id: String,
    pub secret: SecretString,
    pub bearer: SecretString,
}

/// The result of a request for a key.
pub enum MadeKey {
    New(NewKey),
    /// The same request made this one before. Its secrets were shown then.
    Before(KeyListing),
}

/// A key as it is listed: without its secrets.
#[derive(Clone, Debug)]
pub struct KeyListing {
    pub id: Box<str>,
    pub name: Box<str>,
    pub account: AccountId,
    /// Its mode; `None` for platform keys.
    pub mode: Option<Mode>,
    pub scopes: Box<str>,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    /// The first characters of its Bearer token; unknown for old keys.
    pub prefix: Option<Box<str>>,
    /// When it was last used, to the hour.
    pub last_used_at: Option<Timestamp>,
}

impl From<ApiKeyRow> for KeyListing {
    fn from(row: ApiKeyRow) -> Self {
        Self {
            id: row.key.id,
            name: row.key.name,
            account: row.account,
            mode: row.key.mode,
            scopes: row.key.scopes,
            created_at: row.key.created_at,
            revoked_at: row.revoked_at,
            prefix: row.key.bearer_prefix,
            last_used_at: row.last_used_at,
        }
    }
}

#[derive(Default)]
pub(crate) struct KeyCache {
    by_id: Mutex<Cache<Box<str>>>,
    by_bearer: Mutex<Cache<[u8; 32]>>,
    accounts: Mutex<HashMap<AccountId, Arc<Account>>>,
    /// Counts revocations. A look-up that one overtook is not remembered.
    revocations: AtomicU64,
}

/// The random part of a Bearer token.
fn print_token(form: KeyForm, bytes: [u8; 32]) -> String {
    /// 32 letters and digits: five bits of each byte.
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    match form {
        KeyForm::Refundry => URL_SAFE_NO_PAD.encode(bytes),
        KeyForm::ElasticPay => {
            bytes.iter().map(|byte| char::from(DIGITS[usize::from(byte & 31)])).collect()
        }
    }
}

type Cache<K> = HashMap<K, (Arc<ApiKey>, Timestamp)>;

fn cached<K: Hash + Eq>(cache: &Mutex<Cache<K>>, key: &K, now: Timestamp) -> Option<Arc<ApiKey>> {
    let cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    let (api_key, since) = cache.get(key)?;
    (now.ms_since(*since) < KEY_CACHE_MS).then(|| api_key.clone())
}

/// Remembers a key, unless a revocation came between reading it and now, which the lock decides:
/// revoking counts first and then clears what is remembered.
fn remember<K: Hash + Eq>(
    cache: &Mutex<Cache<K>>,
    key: K,
    api_key: &Arc<ApiKey>,
    now: Timestamp,
    still_valid: impl Fn() -> bool,
) {
    let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    if !still_valid() {
        return;
    }
    if cache.len() >= KEY_CACHE_LIMIT {
        cache.clear();
    }
    cache.insert(key, (api_key.clone(), now));
}

impl Engine {
    /// Creates an account.
    pub async fn create_account(&self, name: &str) -> Result<Account, Error> {
        let now = self.now();
        let id = AccountId::from_ulid(self.with_ids(|ids| ids.ulid(now)));
        Ok(self.store().create_account(id, name, now).await?)
    }

    /// The first 1,000 accounts, oldest first.
    pub async fn list_accounts(&self) -> Result<Vec<Account>, Error> {
        Ok(self.store().list_accounts().await?)
    }

    /// The account with this id. An account never changes, so it is looked up once.
    pub async fn find_account(&self, id: AccountId) -> Result<Option<Arc<Account>>, Error> {
        let cache = &self.key_cache().accounts;
        let known = cache.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let Some(account) = self.store().find_account(id).await? else { return Ok(None) };
        let account = Arc::new(account);
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= KEY_CACHE_LIMIT {
            cache.clear();
        }
        cache.insert(id, account.clone());
        Ok(Some(account))
    }

    /// Makes a key.
    pub async fn create_key(&self, request: KeyRequest) -> Result<NewKey, Error> {
        match self.make_key(request, None).await? {
            (new, Once::Done(())) => Ok(new),
            // Without a name there is nothing that could have been done before.
            (_, Once::Before(_) | Once::Taken) => Err(Error::closed()),
        }
    }

    /// Makes a key, once under the idempotency key of a caller in `scope`.
    pub async fn create_key_once(
        &self,
        tenant: Tenant,
        request: KeyRequest,
        key: Option<&IdempotencyKey>,
    ) -> Result<MadeKey, Error> {
        let name = key.map(|key| self.name_answer(tenant, key, unique_keys::key_request(&request)));
        match self.make_key(request, name).await? {
            (new, Once::Done(())) => Ok(MadeKey::New(new)),
            (_, Once::Taken) => Err(Refusal::KeyReused.into()),
            (_, Once::Before(id)) => {
                let row = self.store().find_api_key(&id).await?;
                let missing = || StoreError::Inconsistent("a named API key is missing".into());
                Ok(MadeKey::Before(row.ok_or_else(missing)?.into()))
            }
        }
    }

    /// A key whose Bearer token is stored as a hash, its signing secret sealed.
    async fn make_key(
        &self,
        request: KeyRequest,
        name: Option<UniqueKey>,
    ) -> Result<(NewKey, Once<()>), Error> {
        let invalid = |field, message: String| Error::Invalid { field, message };
        Permissions::parse(&request.scopes).map_err(|e| invalid("scopes", e.to_string()))?;
        if request.name.chars().count() > 80 {
            return Err(invalid("name", "must have at most 80 characters".into()));
        }
        let account = self.find_account(request.account).await?.ok_or_else(|| {
            invalid("account", format!("there is no account {}", request.account))
        })?;
        let platform = request.platform || request.mode.is_none();
        let start = request.form.prefix(request.mode, platform).ok_or_else(|| {
            let form = request.form.as_str();
            invalid("mode", format!("a key in the form of {form} works in one mode; name it"))
        })?;
        let now = self.now();
        let word = request.mode.filter(|_| !platform).map_or("platform", Mode::as_str);
        let (ulid, secret, token) = self.with_ids(|ids| {
            let mut bytes = [[0; 32]; 2];
            for part in &mut bytes {
                ids.rng().fill_bytes(part);
            }
            let [secret, token] = bytes;
            (ids.ulid(now), URL_SAFE_NO_PAD.encode(secret), print_token(request.form, token))
        });
        let key_id = format!("ak_{word}_{ulid}");
        let secret = format!("sk_{word}_{secret}");
        let bearer = format!("{start}{token}");
        let prefix: String = bearer.chars().take(PREFIX_LENGTH).collect();
        let sealed = self
            .with_ids(|ids| self.master_key().seal(&key_id, secret.as_bytes(), ids.rng()))
            .map_err(|e| invalid("master key", e.to_string()))?;
        let row = NewApiKey {
            id: key_id.clone().into(),
            account: account.number,
            mode: request.mode,
            platform,
            scopes: request.scopes.into(),
            error_profile: request.error_profile.as_str().into(),
            name: request.name.into(),
            bearer_hash: Sha256::digest(bearer.as_bytes()).into(),
            bearer_prefix: Some(prefix.as_str().into()),
            secret_sealed: sealed,
            created_at: now,
        };
        let secret_hash = Sha256::digest(secret.as_bytes()).into();
        let once = self.store().create_api_key(row, secret_hash, name).await?;
        let (secret, bearer) = (secret.into(), bearer.into());
        Ok((NewKey { created_at: now, prefix, key_id, secret, bearer }, once))
    }

    /// The first 1,000 keys, oldest first, without their secrets.
    pub async fn list_keys(&self) -> Result<Vec<KeyListing>, Error> {
        let rows = self.store().list_api_keys().await?;
        Ok(rows.into_iter().map(KeyListing::from).collect())
    }

    /// Revokes a key. `false` when there is none that works.
    pub async fn revoke_key(&self, key_id: &str) -> Result<bool, Error> {
        let revoked = self.store().revoke_api_key(key_id, self.now()).await?;
        let cache = self.key_cache();
        cache.revocations.fetch_add(1, Ordering::SeqCst);
        cache.by_id.lock().unwrap_or_else(PoisonError::into_inner).clear();
        cache.by_bearer.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(revoked)
    }

    /// The key with this id, for signed requests. Cached for a fraction of a second.
    pub async fn find_key(&self, key_id: &str) -> Result<Option<Arc<ApiKey>>, Error> {
        let (cache, now) = (&self.key_cache().by_id, self.now());
        let name: Box<str> = key_id.into();
        if let Some(key) = cached(cache, &name, now) {
            return Ok(Some(key));
        }
        let revocations = self.revocations();
        let Some(row) = self.store().find_api_key(key_id).await? else { return Ok(None) };
        let key = self.usable_key(row)?;
        remember(cache, name, &key, now, || self.revocations() == revocations);
        Ok(Some(key))
    }

    /// The key with this Bearer token, or with this secret, which is as good a proof. A revoked key
    /// is found, marked as such.
    pub async fn find_key_by_bearer(&self, token: &str) -> Result<Option<Arc<ApiKey>>, Error> {
        let (cache, now) = (&self.key_cache().by_bearer, self.now());
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(key) = cached(cache, &hash, now) {
            return Ok(Some(key));
        }
        let revocations = self.revocations();
        let Some(row) = self.store().find_api_key_by_bearer(hash).await? else { return Ok(None) };
        let key = self.usable_key(row)?;
        remember(cache, hash, &key, now, || self.revocations() == revocations);
        Ok(Some(key))
    }

    fn revocations(&self) -> u64 {
        self.key_cache().revocations.load(Ordering::SeqCst)
    }

    fn usable_key(&self, row: ApiKeyRow) -> Result<Arc<ApiKey>, Error> {
        let inconsistent = |what: String| Error::from(StoreError::Inconsistent(what));
        let permissions =
            Permissions::parse(&row.key.scopes).map_err(|e| inconsistent(e.to_string()))?;
        let secret = self
            .master_key()
            .open(&row.key.id, &row.key.secret_sealed)
            .map_err(|e| inconsistent(e.to_string()))?;
        Ok(Arc::new(ApiKey {
            id: row.key.id,
            account_number: row.key.account,
            account: row.account,
            mode: row.key.mode,
            platform: row.key.platform,
            permissions,
            error_profile: ErrorProfile::from_text(&row.key.error_profile).unwrap_or_default(),
            bearer_hash: row.key.bearer_hash,
            signing_secret: secret,
            revoked: row.revoked_at.is_some(),
            last_used_ms: AtomicI64::new(row.last_used_at.map_or(0, |at| at.0)),
        }))
    }
}
