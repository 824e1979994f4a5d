//! Lines `user:hash`, as `htpasswd -B` writes them.

use std::collections::BTreeMap;

use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sluice_config::Secret;

use crate::credential::digest;

/// Above these, one verification takes seconds, or hundreds of mebibytes.
const MOST_BCRYPT_COST: u32 = 16;
const MOST_ARGON2_KIB: u32 = 256 << 10;
const MOST_ARGON2_PASSES: u32 = 32;

/// How the password of a user is kept.
#[derive(Clone, Debug)]
pub enum Hash {
    Bcrypt(Secret),
    Argon2id(Secret),
    /// `{SHA}`: the SHA-1 digest in base64.
    Sha1(Vec<u8>),
    Plain(Secret),
}

/// Reads users. What is wrong is told by line and user, and never with the hash.
///
/// # Errors
/// The first line that cannot be used.
pub fn parse(text: &str, allow_weak: bool) -> Result<BTreeMap<String, Hash>, String> {
    let mut users = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = number + 1;
        // Without a colon there is no telling what the line holds: it is not repeated.
        let (user, hash) = line.split_once(':').ok_or_else(|| format!("line {at}: expected `user:hash`"))?;
        let hash = Hash::parse(hash, allow_weak).map_err(|what| format!("line {at}: user {user:?}: {what}"))?;
        if users.insert(user.to_owned(), hash).is_some() {
            return Err(format!("line {at}: user {user:?} is there twice"));
        }
    }
    Ok(users)
}

impl Hash {
    fn parse(text: &str, allow_weak: bool) -> Result<Hash, String> {
        const WEAK: &str = "the password must be hashed with bcrypt (`htpasswd -B`) or argon2id";
        let secret = || Secret::new(text);
        if ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            let cost = text.get(4..6).and_then(|cost| cost.parse::<u32>().ok()).filter(|cost| (4..=31).contains(cost));
            return match cost {
                Some(cost) if cost > MOST_BCRYPT_COST => Err(format!("a bcrypt cost over {MOST_BCRYPT_COST}")),
                Some(_) if text.len() == 60 => Ok(Hash::Bcrypt(secret())),
                _ => Err("not a bcrypt hash".to_owned()),
            };
        }
        if text.starts_with("$argon2id$") {
            let parsed = PasswordHash::new(text).map_err(|_| "not an argon2id hash")?;
            let params = Params::try_from(&parsed).map_err(|_| "not an argon2id hash")?;
            if params.m_cost() > MOST_ARGON2_KIB || params.t_cost() > MOST_ARGON2_PASSES {
                return Err("an argon2id hash of more than 256 MiB or 32 passes".to_owned());
            }
            return Ok(Hash::Argon2id(secret()));
        }
        let known = ["$apr1$", "$1$", "$5$", "$6$", "$argon2", "{SSHA}"];
        if known.iter().any(|prefix| text.starts_with(prefix)) || text.is_empty() || !allow_weak {
            return Err(WEAK.to_owned());
        }
        match text.strip_prefix("{SHA}") {
            Some(encoded) => STANDARD.decode(encoded).map(Hash::Sha1).map_err(|_| "not a SHA-1 digest".to_owned()),
            None => Ok(Hash::Plain(secret())),
        }
    }

    /// Whether this is the password. Takes milliseconds of a processor and, for argon2id, mebibytes, on purpose.
    pub fn is_of(&self, password: &str) -> bool {
        let equal = |a: &[u8], b: &[u8]| aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok();
        match self {
            Hash::Bcrypt(hash) => bcrypt::verify(password, hash.expose()).unwrap_or(false),
            Hash::Argon2id(hash) => PasswordHash::new(hash.expose()).is_ok_and(|hash| {
                let argon2 = Argon2::new(Algorithm::Argon2id, argon2::Version::V0x13, Params::default());
                argon2.verify_password(password.as_bytes(), &hash).is_ok()
            }),
            Hash::Sha1(wanted) => {
                let algorithm = &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY;
                equal(aws_lc_rs::digest::digest(algorithm, password.as_bytes()).as_ref(), wanted)
            }
            Hash::Plain(wanted) => equal(&digest(password), &digest(wanted.expose())),
        }
    }
}
