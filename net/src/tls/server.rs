use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;

use super::material::Material;
use super::settings::{ClientAuth, LISTENER_MIN, ServerTlsSettings};
use super::versions::{Range, provider};
use crate::Error;
use crate::listen::Versions;

/// TLS of a listener, with certificates that can be exchanged while it serves. Clones share them.
#[derive(Clone)]
pub struct ServerTls {
    inner: Arc<Inner>,
}

struct Inner {
    settings: ServerTlsSettings,
    versions: Versions,
    current: RwLock<Arc<ServerConfig>>,
    loaded: Mutex<Material>,
}

impl ServerTls {
    /// Validates the settings and reads the files they name.
    ///
    /// # Errors
    /// The settings contradict each other, or a file is missing or holds something else.
    pub fn new(settings: ServerTlsSettings, versions: Versions) -> Result<Self, Error> {
        settings.validate()?;
        let material = Material::read(&settings.common, settings.client_ca_file.as_deref())?;
        let config = build(&settings, versions, &material)?;
        let current = RwLock::new(Arc::new(config));
        Ok(ServerTls { inner: Arc::new(Inner { settings, versions, current, loaded: Mutex::new(material) }) })
    }

    /// The configuration for the next handshake.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.inner.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the files again; returns whether something changed. Connections stay as they are.
    ///
    /// # Errors
    /// What is there now cannot be used; the old certificates stay in use.
    pub fn reload(&self) -> Result<bool, Error> {
        let inner = &self.inner;
        let material = Material::read(&inner.settings.common, inner.settings.client_ca_file.as_deref())?;
        let mut loaded = inner.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if *loaded == material {
            return Ok(false);
        }
        let config = Arc::new(build(&inner.settings, inner.versions, &material)?);
        *inner.current.write().unwrap_or_else(PoisonError::into_inner) = config;
        *loaded = material;
        Ok(true)
    }
}

fn build(settings: &ServerTlsSettings, versions: Versions, material: &Material) -> Result<ServerConfig, Error> {
    let invalid = |error: &dyn std::fmt::Display| Error::Tls(format!("failed to load TLS config: {error}"));
    let common = &settings.common;
    let provider = provider(common)?;
    let range = Range::new(common.min_version.as_deref().unwrap_or(LISTENER_MIN), common.max_version.as_deref())?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(range.versions())
        .map_err(|error| invalid(&error))?;
    let builder = match (settings.client_auth(), material.client_roots()?) {
        (ClientAuth::None, _) | (_, None) => builder.with_no_client_auth(),
        (auth, Some(roots)) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if auth == ClientAuth::Optional { verifier.allow_unauthenticated() } else { verifier };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| invalid(&error))?)
        }
    };
    let (chain, key) = material.identity()?.ok_or_else(|| {
        Error::Tls("TLS configuration must include both certificate and key for server connections".into())
    })?;
    let mut config = builder.with_single_cert(chain, key).map_err(|error| invalid(&error))?;
    config.alpn_protocols = match versions {
        Versions::Http2 => vec![b"h2".to_vec()],
        Versions::Both => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|error| invalid(&error))?;
    Ok(config)
}
