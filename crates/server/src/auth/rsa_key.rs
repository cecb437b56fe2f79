//! The key pair that protects passwords over plain connections.

use std::sync::Arc;

use rsa::pkcs8::{EncodePublicKey, LineEnding};
use rsa::{Oaep, RsaPrivateKey};
use sha1::Sha1;
use tokio::sync::OnceCell;

const KEY_BITS: usize = 2048;

/// Made when the first client needs it, since making it takes a while.
#[derive(Default)]
pub struct RsaKey {
    pair: OnceCell<Option<Arc<KeyPair>>>,
}

/// A key pair with its public half as clients want it.
pub struct KeyPair {
    private: RsaPrivateKey,
    public_pem: Vec<u8>,
}

impl RsaKey {
    /// The pair; `None` when none could be made.
    pub async fn get(&self) -> Option<Arc<KeyPair>> {
        self.pair
            .get_or_init(|| async {
                tokio::task::spawn_blocking(KeyPair::generate).await.ok().flatten().map(Arc::new)
            })
            .await
            .clone()
    }
}

impl KeyPair {
    fn generate() -> Option<Self> {
        // A key must not come from the seed of a simulation: this one takes the operating system's randomness.
        let private = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, KEY_BITS).ok()?;
        let public_pem = private.to_public_key().to_public_key_pem(LineEnding::LF).ok()?.into_bytes();
        Some(Self { private, public_pem })
    }

    /// The public key in PEM.
    pub fn public_pem(&self) -> &[u8] {
        &self.public_pem
    }

    /// Undoes the client's OAEP (SHA-1) encryption.
    pub fn decrypt(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.private.decrypt(Oaep::new::<Sha1>(), message).ok()
    }
}
