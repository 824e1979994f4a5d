//! Users and their passwords, and who has shown a right one lately.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::{hmac, rand};
use sluice_pipeline::Error;
use sluice_pipeline::clock::{Clock, Monotonic};
use sluice_pipeline::extension::{Denied, Principal};
use tokio::sync::Semaphore;

use super::config::Config;
use super::htpasswd::Hash;
use crate::credential::Digest;

/// How long a password that was verified is believed without doing so again.
const BELIEVED: Duration = Duration::from_secs(300);
/// Most passwords that are believed at a time.
const MOST_BELIEVED: usize = 10_000;
/// Most requests that wait for a verification.
const MOST_WAITING: usize = 256;

/// The users of one moment. Another moment believes nobody.
pub struct Users {
    users: BTreeMap<String, (Hash, Principal)>,
    /// Random, so that what is believed cannot be computed from a password.
    key: hmac::Key,
    /// Until when, by keyed hash of name and password.
    believed: Mutex<HashMap<Digest, Monotonic>>,
}

impl Users {
    /// From what was read.
    ///
    /// # Errors
    /// No random numbers.
    pub fn new(hashes: BTreeMap<String, Hash>, config: &Config) -> Result<Self, Error> {
        let mut random = [0; 32];
        rand::fill(&mut random).map_err(|_| Error::Start("the system gives no random numbers".to_owned()))?;
        let users = hashes.into_iter().map(|(name, hash)| {
            let principal =
                config.grant(&name).to(name.as_str().into(), vec![("username".into(), name.as_str().into())]);
            (name, (hash, principal))
        });
        Ok(Users {
            users: users.collect(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &random),
            believed: Mutex::default(),
        })
    }

    fn mark(&self, name: &str, password: &str) -> Digest {
        let mut mac = hmac::Context::with_key(&self.key);
        mac.update(&(name.len() as u64).to_be_bytes());
        mac.update(name.as_bytes());
        mac.update(password.as_bytes());
        let mut mark = Digest::default();
        mark.copy_from_slice(mac.sign().as_ref());
        mark
    }

    fn is_believed(&self, mark: &Digest, now: Monotonic) -> bool {
        let believed = self.believed.lock().unwrap_or_else(PoisonError::into_inner);
        believed.get(mark).is_some_and(|until| *until > now)
    }

    fn believe(&self, mark: Digest, now: Monotonic) {
        let mut believed = self.believed.lock().unwrap_or_else(PoisonError::into_inner);
        if believed.len() >= MOST_BELIEVED {
            believed.retain(|_, until| *until > now);
        }
        if believed.len() < MOST_BELIEVED {
            believed.insert(mark, now + BELIEVED);
        }
    }
}

/// Verifies passwords on threads that may block, a few at a time.
pub struct Verifier {
    turns: Semaphore,
    waiting: Semaphore,
    clock: Arc<dyn Clock>,
}

impl Verifier {
    /// One that takes half of the processors.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Verifier { turns: Semaphore::new(cpus.div_ceil(2)), waiting: Semaphore::new(MOST_WAITING), clock }
    }

    /// Who has this name and password. For a penalised address only what is believed already counts.
    pub async fn verify(
        &self,
        users: Arc<Users>,
        name: &str,
        password: String,
        penalised: bool,
    ) -> Result<Principal, Denied> {
        let mark = users.mark(name, &password);
        let known = users.users.get(name);
        if let Some((_, principal)) = known
            && users.is_believed(&mark, self.clock.now())
        {
            return Ok(principal.clone());
        }
        if penalised {
            return Err(Denied::Wrong);
        }
        let _waiting = self.waiting.try_acquire().map_err(|_| Denied::Busy)?;
        let _turn = self.turns.acquire().await.map_err(|_| Denied::Busy)?;
        // The same credential may have had its turn meanwhile.
        if let Some((_, principal)) = known
            && users.is_believed(&mark, self.clock.now())
        {
            return Ok(principal.clone());
        }
        // For a name that nobody has, somebody's hash is tried, so that the answer takes as long.
        let hash = known.or_else(|| users.users.values().next()).map(|(hash, _)| hash.clone());
        let right = tokio::task::spawn_blocking(move || hash.is_some_and(|hash| hash.is_of(&password))).await;
        match (right, known) {
            (Ok(true), Some((_, principal))) => {
                users.believe(mark, self.clock.now());
                Ok(principal.clone())
            }
            _ => Err(Denied::Wrong),
        }
    }
}
