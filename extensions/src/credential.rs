//! The credential in the headers of a request.

use std::sync::Arc;

use sluice_pipeline::extension::{Denied, HeaderSource};

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// The one value of a header that must be there once.
pub fn single<'h>(headers: &'h dyn HeaderSource, name: &str) -> Result<&'h str, Denied> {
    match headers.values(name)[..] {
        [] => Err(Denied::Missing),
        [value] if value.trim().is_empty() => Err(Denied::Missing),
        [value] => Ok(value),
        _ => Err(Denied::Repeated),
    }
}

/// What follows the scheme. Its case does not matter (RFC 9110 section 11.1). Without a scheme, the whole value.
pub fn after_scheme<'v>(value: &'v str, scheme: &str) -> Result<&'v str, Denied> {
    if scheme.is_empty() {
        return Ok(value);
    }
    let rest = match value.split_at_checked(scheme.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(scheme) => rest,
        _ => return Err(Denied::Malformed),
    };
    let credential = rest.trim_start_matches(' ');
    if credential.len() == rest.len() || credential.is_empty() { Err(Denied::Malformed) } else { Ok(credential) }
}

/// The SHA-256 digest of a text.
pub fn digest(text: &str) -> Digest {
    let mut digest = Digest::default();
    let computed = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.copy_from_slice(computed.as_ref());
    digest
}

/// Finds what belongs to a digest in a time that depends on nothing but how many there are.
pub fn find<'e, T>(entries: &'e [(Digest, T)], wanted: &Digest) -> Option<&'e T> {
    let mut found = None;
    for (digest, entry) in entries {
        if aws_lc_rs::constant_time::verify_slices_are_equal(digest, wanted).is_ok() {
            found = Some(entry);
        }
    }
    found
}

/// Shared by those who verify and the task that reads files again.
#[derive(Debug)]
pub struct Current<T>(std::sync::RwLock<Arc<T>>);

impl<T> Current<T> {
    pub fn new(value: T) -> Self {
        Current(std::sync::RwLock::new(Arc::new(value)))
    }

    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub fn set(&self, value: T) {
        let before =
            std::mem::replace(&mut *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner), Arc::new(value));
        // Outside the lock.
        drop(before);
    }
}
