//! The master key, and secrets sealed under it.
//!
//! A sealed value is a header, a random 96-bit nonce, and the AES-256-GCM of the secret. The header is a version byte
//! and the id of the master key, so that one key can take the place of another. Values without a header are older; they
//! still open.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use rand_core::Rng;
use secrecy::{ExposeSecret, SecretBox};
use sha2::{Digest as _, Sha256};
use std::fmt::{self, Write as _};
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 12;

/// The version of sealed values, and the id of their master key.
const HEADER_BYTES: usize = 5;

const VERSION: u8 = 1;

/// The key under which secrets are sealed: 32 bytes, written as base64.
pub struct MasterKey {
    bytes: SecretBox<[u8; 32]>,
    id: MasterKeyId,
}

/// Names a master key without revealing anything of it. Printed as eight hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MasterKeyId([u8; 4]);

impl MasterKeyId {
    fn of(bytes: &[u8; 32]) -> Self {
        let digest: [u8; 32] = Sha256::new()
            .chain_update("refundry master key id\0")
            .chain_update(bytes)
            .finalize()
            .into();
        let [a, b, c, d, ..] = digest;
        Self([a, b, c, d])
    }
}

impl fmt::Display for MasterKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why a secret cannot be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The master key's text is not 32 bytes in base64.
    #[error("the master key must be 32 bytes written as base64")]
    Malformed,
    /// The sealed secret names another master key.
    #[error(
        "a stored secret was sealed under the master key {needed} and the one given is {given}: start with the master \
         key {needed}"
    )]
    OtherKey { needed: MasterKeyId, given: MasterKeyId },
    /// The sealed secret names this master key, and yet does not open.
    #[error("a stored secret was changed, or was sealed for another row")]
    Changed,
    /// The sealed secret names no master key, and this one does not open it.
    #[error(
        "a stored secret cannot be opened: is this the master key that the database was made with?"
    )]
    Sealed,
}

impl MasterKey {
    /// A key from its 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self { id: MasterKeyId::of(&bytes), bytes: SecretBox::new(Box::new(bytes)) }
    }

    /// The name that sealed values have for this key.
    pub const fn id(&self) -> MasterKeyId {
        self.id
    }

    /// Reads a key from base64.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let bytes =
            Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| SecretError::Malformed)?);
        let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| SecretError::Malformed)?;
        Ok(Self::from_bytes(bytes))
    }

    /// The key as base64, to be written to its file.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.bytes.expose_secret()))
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&Key::<Aes256Gcm>::from(*self.bytes.expose_secret()))
    }

    /// Seals `secret` for the row called `row`.
    pub fn seal(
        &self,
        row: &str,
        secret: &[u8],
        rng: &mut impl Rng,
    ) -> Result<Vec<u8>, SecretError> {
        let mut nonce = [0; NONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        let header = self.header();
        let aad = bound_to(header, row);
        let payload = Payload { msg: secret, aad: &aad };
        let sealed =
            self.cipher().encrypt(&Nonce::from(nonce), payload).map_err(|_| SecretError::Sealed)?;
        Ok([header.as_slice(), &nonce, &sealed].concat())
    }

    fn header(&self) -> [u8; HEADER_BYTES] {
        let [a, b, c, d] = self.id.0;
        [VERSION, a, b, c, d]
    }

    /// A tag of `bytes` that only the holder of this key can make, for one `purpose`: 32
    /// hexadecimal digits.
    pub fn tag(&self, purpose: &str, bytes: &[u8]) -> String {
        // HMAC takes keys of every length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.bytes.expose_secret()) else {
            return String::new();
        };
        Mac::update(&mut mac, purpose.as_bytes());
        Mac::update(&mut mac, &[0]);
        Mac::update(&mut mac, bytes);
        let tag = mac.finalize().into_bytes();
        tag.iter().take(16).fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Opens what was sealed for the row called `row`.
    pub fn open(&self, row: &str, sealed: &[u8]) -> Result<SecretBox<[u8]>, SecretError> {
        let named = sealed.split_first_chunk().filter(|(header, _)| header[0] == VERSION);
        if let Some((header, rest)) = named
            && *header == self.header()
            && let Some(secret) = self.decrypt(&bound_to(*header, row), rest)
        {
            return Ok(secret);
        }
        // A value without a header begins with a random nonce, and so with any byte.
        if let Some(secret) = self.decrypt(row.as_bytes(), sealed) {
            return Ok(secret);
        }
        Err(match named {
            None => SecretError::Sealed,
            Some((header, _)) if *header == self.header() => SecretError::Changed,
            Some(([_, id @ ..], _)) => {
                SecretError::OtherKey { needed: MasterKeyId(*id), given: self.id }
            }
        })
    }

    fn decrypt(&self, aad: &[u8], sealed: &[u8]) -> Option<SecretBox<[u8]>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad };
        let secret = self.cipher().decrypt(&Nonce::from(*nonce), payload).ok()?;
        Some(SecretBox::new(secret.into_boxed_slice()))
    }
}

/// The data that a sealed value is bound to.
fn bound_to(header: [u8; HEADER_BYTES], row: &str) -> Vec<u8> {
    [header.as_slice(), row.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    /// A value as it was sealed before values had a header.
    fn seal_without_header(key: &MasterKey, row: &str, secret: &[u8], nonce: [u8; 12]) -> Vec<u8> {
        let payload = Payload { msg: secret, aad: row.as_bytes() };
        let sealed = key.cipher().encrypt(&Nonce::from(nonce), payload).unwrap();
        [nonce.as_slice(), &sealed].concat()
    }

    #[test]
    fn a_secret_opens_only_under_its_key_and_for_its_row() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let key = MasterKey::from_bytes([7; 32]);
        let sealed = key.seal("ak_1", b"sk_secret", &mut rng).unwrap();
        assert_eq!(key.open("ak_1", &sealed).unwrap().expose_secret(), b"sk_secret");
        assert!(!sealed.windows(9).any(|w| w == b"sk_secret"));
        assert_eq!(key.open("ak_2", &sealed).err(), Some(SecretError::Changed));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 2;
            assert!(key.open("ak_1", &changed).is_err(), "byte {at}");
            assert!(key.open("ak_1", &sealed[..at]).is_err(), "{at} bytes");
        }
        let tag = key.tag("a", b"b");
        let other = MasterKey::from_bytes([8; 32]);
        assert_eq!((tag.len(), &tag), (32, &key.tag("a", b"b")));
        for other in [key.tag("ab", b""), key.tag("a", b"c"), other.tag("a", b"b")] {
            assert_ne!(tag, other);
        }
        assert_eq!(MasterKey::parse("c2hvcnQ=").err(), Some(SecretError::Malformed));
    }

    #[test]
    fn another_key_is_told_which_key_is_needed() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let key = MasterKey::from_bytes([7; 32]);
        let sealed = key.seal("ak_1", b"sk_secret", &mut rng).unwrap();
        let other = MasterKey::parse(&MasterKey::from_bytes([8; 32]).to_text()).unwrap();
        let (needed, given) = (key.id(), other.id());
        let why = other.open("ak_1", &sealed).err().unwrap();
        assert_eq!(why, SecretError::OtherKey { needed, given });
        // Ids are stored with every secret, so they never change.
        let texts = (needed.to_string(), given.to_string());
        assert_eq!(texts, ("11b853cd".to_owned(), "1ba18917".to_owned()));
        assert!(why.to_string().ends_with("start with the master key 11b853cd"), "{why}");
    }

    #[test]
    fn secrets_sealed_before_values_named_their_key_still_open() {
        let (key, other) = (MasterKey::from_bytes([7; 32]), MasterKey::from_bytes([8; 32]));
        let mut like_a_header = [9; NONCE_BYTES];
        like_a_header[..HEADER_BYTES].copy_from_slice(&key.header());
        for nonce in [[3; NONCE_BYTES], [VERSION; NONCE_BYTES], like_a_header] {
            let sealed = seal_without_header(&key, "ak_1", b"sk_secret", nonce);
            assert_eq!(key.open("ak_1", &sealed).unwrap().expose_secret(), b"sk_secret");
            assert!(key.open("ak_2", &sealed).is_err());
            assert!(other.open("ak_1", &sealed).is_err());
        }
        // Sealed by an earlier version.
        let sealed =
            STANDARD.decode("mjdEUEVgY57GcLehdONODq7Op0knODJx6eBFpCtYF4NFBxb7xA==").unwrap();
        assert_eq!(key.open("ak_1", &sealed).unwrap().expose_secret(), b"sk_secret");
        assert_eq!(other.open("ak_1", &sealed).err(), Some(SecretError::Sealed));
        assert_eq!(key.open("ak_1", &sealed[..5]).err(), Some(SecretError::Sealed));
    }
}
