use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::certificate::not_after;
use super::material::Material;
use crate::Error;

/// How often files are looked at for changes when nothing else is configured (`security.md` section 3).
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// How the certificates of a listener or client are doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsStatus {
    /// Changes taken over.
    pub reloads: u64,
    /// Changes that could not be used (`sluice_tls_reload_failures_total`).
    pub reload_failures: u64,
    /// When the own certificate ends (`sluice_cert_expiry_seconds`). `None` without one.
    pub not_after: Option<SystemTime>,
}

/// What looks at files again when it is time.
pub(super) trait Watched: Send + Sync {
    fn look(&self) -> TlsStatus;
}

/// A way to ask how certificates are doing that does not keep them.
#[derive(Clone)]
pub struct TlsWatch(Weak<dyn Watched>);

impl TlsWatch {
    pub(super) fn new(watched: &Arc<impl Watched + 'static>) -> Self {
        let watched: Arc<dyn Watched> = Arc::clone(watched) as _;
        TlsWatch(Arc::downgrade(&watched))
    }

    /// How they are doing, after a look at the files if it is time for one. `None` when nobody uses them any more.
    pub fn look(&self) -> Option<TlsStatus> {
        self.0.upgrade().map(|watched| watched.look())
    }
}

/// A configuration made from files, and made again when they change.
pub(super) struct Current<C> {
    config: RwLock<Arc<C>>,
    loaded: Mutex<Loaded>,
    interval: Duration,
    reloads: AtomicU64,
    failures: AtomicU64,
}

struct Loaded {
    material: Material,
    not_after: Option<SystemTime>,
    looked: Instant,
    /// What was wrong at the last look, so that it is told once.
    wrong: Option<String>,
}

impl<C> Current<C> {
    pub(super) fn new(config: C, material: Material, interval: Option<Duration>) -> Self {
        let not_after = end_of(&material);
        Current {
            config: RwLock::new(Arc::new(config)),
            loaded: Mutex::new(Loaded { material, not_after, looked: Instant::now(), wrong: None }),
            interval: interval.filter(|interval| !interval.is_zero()).unwrap_or(RELOAD_INTERVAL),
            reloads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    pub(super) fn get(&self) -> Arc<C> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn status(&self) -> TlsStatus {
        TlsStatus {
            reloads: self.reloads.load(Ordering::Relaxed),
            reload_failures: self.failures.load(Ordering::Relaxed),
            not_after: self.loaded.lock().unwrap_or_else(PoisonError::into_inner).not_after,
        }
    }

    /// Whether the last look is longer ago than the interval.
    pub(super) fn is_due(&self) -> bool {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).looked.elapsed() >= self.interval
    }

    /// Looks at the files again; returns whether something changed. What cannot be used leaves the old configuration
    /// in place, is counted at each look, and told once.
    pub(super) fn reload(
        &self,
        read: impl FnOnce() -> Result<Material, Error>,
        build: impl FnOnce(&Material) -> Result<C, Error>,
    ) -> Result<bool, Error> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.looked = Instant::now();
        let changed = read().and_then(|material| {
            if loaded.material == material {
                return Ok(None);
            }
            if end_of(&material).is_some_and(|end| end <= SystemTime::now()) {
                return Err(Error::Tls("the new certificate has expired".to_owned()));
            }
            build(&material).map(|config| Some((material, config)))
        });
        let wrong = changed.as_ref().err().map(ToString::to_string);
        if let Some(error) = wrong.as_ref().filter(|_| wrong != loaded.wrong) {
            tracing::warn!(%error, "changed TLS files cannot be used, the old ones stay");
        }
        loaded.wrong = wrong;
        match changed {
            Ok(None) => Ok(false),
            Ok(Some((material, config))) => {
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                loaded.not_after = end_of(&material);
                loaded.material = material;
                self.reloads.fetch_add(1, Ordering::Relaxed);
                tracing::info!("changed TLS files are in use");
                Ok(true)
            }
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }
}

fn end_of(material: &Material) -> Option<SystemTime> {
    let (chain, _) = material.identity().ok()??;
    not_after(chain.first()?)
}
