//! Keyed and unkeyed hashes in the place of masked text.

use aws_lc_rs::{digest, hmac};

use super::config::{Config, HashFunction, Tokens};

/// What stands in the place of text that upstream's fields mask: `****`, or a hash of the text.
#[derive(Debug)]
pub(crate) enum Masker {
    Stars,
    Md5,
    Digest(&'static digest::Algorithm),
    Hmac(Box<hmac::Key>),
}

/// Upstream's mask.
pub(crate) const STARS: &[u8] = b"****";

impl Masker {
    pub(crate) fn new(config: &Config) -> Self {
        let key = config.hmac_key.as_ref().map_or(&[][..], |key| key.expose().as_bytes());
        match config.hash() {
            HashFunction::None => Masker::Stars,
            HashFunction::Md5 => Masker::Md5,
            HashFunction::Sha1 => Masker::Digest(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            HashFunction::Sha3 => Masker::Digest(&digest::SHA3_256),
            HashFunction::HmacSha256 => Masker::Hmac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, key))),
            HashFunction::HmacSha512 => Masker::Hmac(Box::new(hmac::Key::new(hmac::HMAC_SHA512, key))),
        }
    }

    /// Appends what replaces `text`.
    pub(crate) fn write(&self, text: &[u8], out: &mut Vec<u8>) {
        match self {
            Masker::Stars => out.extend_from_slice(STARS),
            Masker::Md5 => hex(&md5::compute(text).0, out),
            Masker::Digest(algorithm) => hex(digest::digest(algorithm, text).as_ref(), out),
            Masker::Hmac(key) => hex(hmac::sign(key, text).as_ref(), out),
        }
    }
}

/// SHA-256 of `text`, for the hashed allow list.
pub(crate) fn sha256(text: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest::digest(&digest::SHA256, text).as_ref());
    sum
}

/// Appends lower-case hexadecimal.
fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// Reads 64 hexadecimal digits.
pub(crate) fn parse_sha256(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut sum = [0; 32];
    for (byte, pair) in sum.iter_mut().zip(digits.chunks(2)) {
        let value = |digit: u8| (digit as char).to_digit(16);
        *byte = (value(pair[0])? * 16 + value(pair[1])?) as u8;
    }
    Some(sum)
}

/// Signs join tokens, `<TYPE>_<kid>_<t>`: the same value gives the same token in every signal, process and run.
#[derive(Debug)]
pub(crate) struct TokenSigner {
    kid: String,
    key: hmac::Key,
}

/// Characters of a token's hash: 100 bits.
const TOKEN_CHARS: usize = 20;

impl TokenSigner {
    pub(crate) fn new(tokens: &Tokens) -> Self {
        TokenSigner {
            kid: tokens.active.kid.clone(),
            key: hmac::Key::new(hmac::HMAC_SHA256, tokens.active.key.expose().as_bytes()),
        }
    }

    /// Appends the token of a value in canonical form.
    pub(crate) fn write(&self, label: &str, normalized: &[u8], out: &mut Vec<u8>) {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(label.as_bytes());
        context.update(&[0]);
        context.update(normalized);
        out.extend_from_slice(label.as_bytes());
        out.push(b'_');
        out.extend_from_slice(self.kid.as_bytes());
        out.push(b'_');
        base32(context.sign().as_ref(), TOKEN_CHARS, out);
    }
}

/// Appends the first `chars` characters of lower-case base32 (RFC 4648 §6).
fn base32(bytes: &[u8], chars: usize, out: &mut Vec<u8>) {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    for char in 0..chars {
        let value = (0..5).fold(0u8, |value, offset| value << 1 | bit(char * 5 + offset));
        out.push(ALPHABET[usize::from(value)]);
    }
}

#[cfg(test)]
mod tests {
    use sluice_config::Secret;

    use super::super::config::TokenKey;
    use super::*;

    fn masked(function: HashFunction, key: &str, text: &str) -> String {
        let config = Config { hash_function: Some(function), hmac_key: Some(Secret::new(key)), ..Config::default() };
        let mut out = Vec::new();
        Masker::new(&config).write(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hashes_are_lower_case_hex_of_the_published_functions() {
        assert_eq!(masked(HashFunction::None, "", "abc"), "****");
        assert_eq!(masked(HashFunction::Md5, "", "abc"), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(masked(HashFunction::Sha1, "", "abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(
            masked(HashFunction::Sha3, "", "abc"),
            "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"
        );
        // RFC 4231, test case 2, with its short key.
        assert_eq!(
            masked(HashFunction::HmacSha256, "Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert!(
            masked(HashFunction::HmacSha512, "Jefe", "what do ya want for nothing?")
                .starts_with("164b7a7bfcf819e2e395fbe7")
        );
    }

    #[test]
    fn a_join_token_depends_on_key_type_and_value_alone() {
        let signer = |key: &str| {
            TokenSigner::new(&Tokens {
                active: TokenKey { kid: "k1".into(), key: Secret::new(key) },
                previous: Vec::new(),
            })
        };
        let token = |key: &str, label: &str, value: &[u8]| {
            let mut out = Vec::new();
            signer(key).write(label, value, &mut out);
            String::from_utf8(out).unwrap()
        };
        let one = token("0123456789abcdef0123456789abcdef", "EMAIL", b"bob@example.org");
        assert!(one.starts_with("EMAIL_k1_") && one.len() == "EMAIL_k1_".len() + TOKEN_CHARS, "{one}");
        assert_eq!(one, token("0123456789abcdef0123456789abcdef", "EMAIL", b"bob@example.org"));
        assert_ne!(one, token("0123456789abcdef0123456789abcdeX", "EMAIL", b"bob@example.org"));
        assert_ne!(one[9..], token("0123456789abcdef0123456789abcdef", "PAN", b"bob@example.org")[7..]);
    }

    #[test]
    fn base32_is_that_of_the_rfc() {
        let mut out = Vec::new();
        base32(b"foobar", 10, &mut out);
        assert_eq!(out, b"mzxw6ytboi".to_vec());
    }
}
