//! Password hashes as `mysql.user.authentication_string` holds them, and the checks of the two authentication plugins.
//!
//! `mysql_native_password` stores `*` and the hexadecimal SHA1(SHA1(password)); the client proves that it knows the
//! password with SHA1(password) XOR SHA1(nonce, SHA1(SHA1(password))).
//!
//! `caching_sha2_password` stores `$A$005$`, 20 bytes of salt and 43 characters of SHA-256 crypt with 5,000 rounds
//! (Drepper, "Unix crypt using SHA-256 and SHA-512"). Full authentication sends the password itself over a safe
//! channel; fast authentication compares against the SHA256(SHA256(password)) that the server remembers in memory.
//!
//! Source of the formats: MySQL internals manual, "Authentication Method".

use sha1::{Digest, Sha1};
use sha2::Sha256;

/// Bytes of salt in a `caching_sha2_password` hash, and of the nonce in a handshake.
pub const NONCE_LEN: usize = 20;

/// Rounds of SHA-256 crypt that one step of the stored iteration count stands for.
const ROUNDS_PER_STEP: u32 = 1000;
const SHA2_STEPS: u32 = 5;
const CRYPT_ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The stored form of a password for `mysql_native_password`; empty for the empty password.
pub fn native_hash(password: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    format!("*{}", hex::encode_upper(Sha1::digest(Sha1::digest(password)))).into_bytes()
}

/// Whether `text` has the form of a `mysql_native_password` hash.
pub fn is_native_hash(text: &[u8]) -> bool {
    text.len() == 41 && text[0] == b'*' && text[1..].iter().all(u8::is_ascii_hexdigit)
}

/// Checks the client's 20-byte proof against the stored hash.
pub fn native_verify(stored: &[u8], nonce: &[u8], proof: &[u8]) -> bool {
    let Some(stage2) = stored.strip_prefix(b"*").and_then(|text| hex::decode(text).ok()) else {
        return false;
    };
    if stage2.len() != 20 || proof.len() != 20 {
        return false;
    }
    let mask = Sha1::new().chain_update(nonce).chain_update(&stage2).finalize();
    let stage1: Vec<u8> = proof.iter().zip(mask).map(|(proof, mask)| proof ^ mask).collect();
    equal(&Sha1::digest(stage1), &stage2)
}

/// The stored form of a password for `caching_sha2_password`; empty for the empty password. The salt should be
/// random, and free of NUL and `$`; see [`salt_byte`].
pub fn sha2_hash(password: &[u8], salt: &[u8; NONCE_LEN]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let mut stored = format!("$A${SHA2_STEPS:03X}$").into_bytes();
    stored.extend_from_slice(salt);
    stored.extend_from_slice(&sha256_crypt(password, salt, SHA2_STEPS * ROUNDS_PER_STEP));
    stored
}

/// Whether `text` has the form of a `caching_sha2_password` hash.
pub fn is_sha2_hash(text: &[u8]) -> bool {
    split_sha2(text).is_some()
}

/// Checks a password in the clear against the stored hash. Takes some milliseconds: keep it off the I/O threads.
pub fn sha2_verify(stored: &[u8], password: &[u8]) -> bool {
    let Some((rounds, salt, digest)) = split_sha2(stored) else { return false };
    equal(&sha256_crypt(password, salt, rounds), digest)
}

/// What fast authentication remembers of a password that was checked in full.
pub fn sha2_cache_entry(password: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(password)).into()
}

/// Checks the client's 32-byte proof against what [`sha2_cache_entry`] gave.
pub fn sha2_fast_verify(entry: &[u8; 32], nonce: &[u8], proof: &[u8]) -> bool {
    if proof.len() != 32 {
        return false;
    }
    let mask = Sha256::new().chain_update(entry).chain_update(nonce).finalize();
    let once: Vec<u8> = proof.iter().zip(mask).map(|(proof, mask)| proof ^ mask).collect();
    equal(&Sha256::digest(once), entry)
}

/// Turns a random byte into one that may stand in a salt or nonce: seven bits, neither NUL nor `$`.
pub fn salt_byte(random: u8) -> u8 {
    match random & 0x7f {
        0 => 1,
        b'$' => b'%',
        byte => byte,
    }
}

fn split_sha2(stored: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let rest = stored.strip_prefix(b"$A$")?;
    let steps = u32::from_str_radix(std::str::from_utf8(rest.get(..3)?).ok()?, 16).ok()?;
    let rest = rest.get(3..)?.strip_prefix(b"$")?;
    let (salt, digest) = (rest.get(..NONCE_LEN)?, rest.get(NONCE_LEN..)?);
    (digest.len() == 43 && steps > 0).then_some((steps * ROUNDS_PER_STEP, salt, digest))
}

/// Comparison in time that does not depend on where the texts differ.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// SHA-256 crypt with the salt as given (the original cuts it to 16 bytes; MySQL does not).
fn sha256_crypt(password: &[u8], salt: &[u8], rounds: u32) -> [u8; 43] {
    let alternate = Sha256::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut first = Sha256::new().chain_update(password).chain_update(salt);
    first.update(stretch(&alternate, password.len()));
    let mut bits = password.len();
    while bits > 0 {
        if bits & 1 == 1 {
            first.update(alternate);
        } else {
            first.update(password);
        }
        bits >>= 1;
    }
    let mut digest = first.finalize();

    let mut repeated = Sha256::new();
    for _ in 0..password.len() {
        repeated.update(password);
    }
    let p = stretch(&repeated.finalize(), password.len());
    let mut repeated = Sha256::new();
    for _ in 0..16 + usize::from(digest[0]) {
        repeated.update(salt);
    }
    let s = stretch(&repeated.finalize(), salt.len());

    for round in 0..rounds {
        let mut next = Sha256::new();
        if round % 2 == 1 {
            next.update(&p);
        } else {
            next.update(digest);
        }
        if round % 3 != 0 {
            next.update(&s);
        }
        if round % 7 != 0 {
            next.update(&p);
        }
        if round % 2 == 1 {
            next.update(digest);
        } else {
            next.update(&p);
        }
        digest = next.finalize();
    }
    crypt_text(&digest.into())
}

/// `digest` over and over, cut to `len` bytes.
fn stretch(digest: &[u8], len: usize) -> Vec<u8> {
    digest.iter().copied().cycle().take(len).collect()
}

/// The 43 characters of a digest, in the byte order of the crypt specification.
fn crypt_text(digest: &[u8; 32]) -> [u8; 43] {
    let mut text = [0; 43];
    let (mut a, mut b, mut c) = (0, 10, 20);
    for group in 0..10 {
        let word = u32::from(digest[a]) << 16 | u32::from(digest[b]) << 8 | u32::from(digest[c]);
        put_word(&mut text[group * 4..group * 4 + 4], word);
        (a, b, c) = (c + 1, a + 1, b + 1);
    }
    put_word(&mut text[40..], u32::from(digest[31]) << 8 | u32::from(digest[30]));
    text
}

fn put_word(text: &mut [u8], mut word: u32) {
    for slot in text {
        *slot = CRYPT_ALPHABET[(word & 0x3f) as usize];
        word >>= 6;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_crypt_gives_the_text_of_the_specification() {
        // From the test vectors of the specification, whose salts are short enough not to be cut.
        assert_eq!(
            &sha256_crypt(b"Hello world!", b"saltstring", 5000),
            b"5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"
        );
        assert_eq!(
            sha256_crypt(b"This is just a test", b"toolongsaltstrin", 5000).as_slice(),
            b"Un/5jzAHMgOGZ5.mWJpuVolil07guHPvOW8mGRcvxa5"
        );
    }

    #[test]
    fn native_proofs_are_checked() {
        let stored = native_hash(b"secret");
        assert!(is_native_hash(&stored));
        assert_eq!(native_hash(b"123456"), b"*6BB4837EB74329105EE4568DDA7DC67ED2CA2AD9");
        let nonce = [7; NONCE_LEN];
        let proof = |password: &[u8]| -> Vec<u8> {
            let stage1 = Sha1::digest(password);
            let mask = Sha1::new().chain_update(nonce).chain_update(Sha1::digest(stage1)).finalize();
            stage1.iter().zip(mask).map(|(a, b)| a ^ b).collect()
        };
        assert!(native_verify(&stored, &nonce, &proof(b"secret")));
        assert!(!native_verify(&stored, &nonce, &proof(b"Secret")));
        assert!(!native_verify(&stored, &nonce, b""));
    }

    #[test]
    fn sha2_hashes_are_checked_in_full_and_fast() {
        let salt = [b's'; NONCE_LEN];
        let stored = sha2_hash(b"secret", &salt);
        assert!(is_sha2_hash(&stored));
        assert!(sha2_verify(&stored, b"secret"));
        assert!(!sha2_verify(&stored, b"secreT"));
        let nonce = [9; NONCE_LEN];
        let once = Sha256::digest(b"secret");
        let entry = sha2_cache_entry(b"secret");
        let mask = Sha256::new().chain_update(entry).chain_update(nonce).finalize();
        let proof: Vec<u8> = once.iter().zip(mask).map(|(a, b)| a ^ b).collect();
        assert!(sha2_fast_verify(&entry, &nonce, &proof));
        assert!(!sha2_fast_verify(&entry, &[8; NONCE_LEN], &proof));
    }
}
