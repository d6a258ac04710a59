//! The master key, and secrets sealed under it (AES-256-GCM, a random 96-bit nonce in front).

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use rand_core::Rng;
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;
use std::fmt::Write as _;
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 12;

/// The key under which secrets are sealed: 32 bytes, written as base64.
pub struct MasterKey(SecretBox<[u8; 32]>);

/// Why a secret cannot be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The master key's text is not 32 bytes in base64.
    #[error("the master key must be 32 bytes written as base64")]
    Malformed,
    /// The sealed secret was made under another master key, or for another row.
    #[error(
        "a stored secret cannot be opened: is this the master key that the database was made with?"
    )]
    Sealed,
}

impl MasterKey {
    /// A key from its 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(SecretBox::new(Box::new(bytes)))
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
        Zeroizing::new(STANDARD.encode(self.0.expose_secret()))
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&Key::<Aes256Gcm>::from(*self.0.expose_secret()))
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
        let payload = Payload { msg: secret, aad: row.as_bytes() };
        let sealed =
            self.cipher().encrypt(&Nonce::from(nonce), payload).map_err(|_| SecretError::Sealed)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// A tag of `bytes` that only the holder of this key can make, for one `purpose`: 32
    /// hexadecimal digits.
    pub fn tag(&self, purpose: &str, bytes: &[u8]) -> String {
        // HMAC takes keys of every length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.expose_secret()) else {
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
        let (nonce, sealed) =
            sealed.split_first_chunk::<NONCE_BYTES>().ok_or(SecretError::Sealed)?;
        let payload = Payload { msg: sealed, aad: row.as_bytes() };
        let secret = self
            .cipher()
            .decrypt(&Nonce::from(*nonce), payload)
            .map_err(|_| SecretError::Sealed)?;
        Ok(SecretBox::new(secret.into_boxed_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn a_secret_opens_only_under_its_key_and_for_its_row() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let key = MasterKey::from_bytes([7; 32]);
        let sealed = key.seal("ak_1", b"sk_secret", &mut rng).unwrap();
        assert_eq!(key.open("ak_1", &sealed).unwrap().expose_secret(), b"sk_secret");
        assert!(!sealed.windows(9).any(|w| w == b"sk_secret"));
        assert_eq!(key.open("ak_2", &sealed).err(), Some(SecretError::Sealed));
        let other = MasterKey::parse(&MasterKey::from_bytes([8; 32]).to_text()).unwrap();
        assert_eq!(other.open("ak_1", &sealed).err(), Some(SecretError::Sealed));
        assert_eq!(key.open("ak_1", &sealed[..5]).err(), Some(SecretError::Sealed));
        let tag = key.tag("a", b"b");
        assert_eq!((tag.len(), &tag), (32, &key.tag("a", b"b")));
        for other in [key.tag("ab", b""), key.tag("a", b"c"), other.tag("a", b"b")] {
            assert_ne!(tag, other);
        }
        assert_eq!(MasterKey::parse("c2hvcnQ=").err(), Some(SecretError::Malformed));
    }
}
