use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::allowed::AllowedClients;
use super::current::{Current, TlsStatus, TlsWatch, Watched};
use super::material::Material;
use super::settings::{ClientAuth, LISTENER_MIN, ServerTlsSettings};
use super::versions::{Range, provider};
use crate::Error;
use crate::listen::Versions;

/// TLS of a listener, with certificates that are exchanged while it serves. Clones share them.
#[derive(Clone)]
pub struct ServerTls {
    inner: Arc<Inner>,
}

struct Inner {
    settings: ServerTlsSettings,
    versions: Versions,
    current: Current<ServerConfig>,
}

impl Watched for Inner {
    fn look(&self) -> TlsStatus {
        self.current.status()
    }
}

impl ServerTls {
    /// Validates the settings and reads the files they name.
    ///
    /// # Errors
    /// The settings contradict each other, or a file is missing or holds something else.
    pub fn new(settings: ServerTlsSettings, versions: Versions) -> Result<Self, Error> {
        settings.validate()?;
        let material = Material::of_server(&settings)?;
        let config = build(&settings, versions, &material)?;
        let current = Current::new(config, material, settings.common.reload_interval);
        Ok(ServerTls { inner: Arc::new(Inner { settings, versions, current }) })
    }

    /// The configuration for the next handshake.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.inner.current.get()
    }

    /// How the certificates are doing.
    pub fn status(&self) -> TlsStatus {
        self.inner.current.status()
    }

    /// Asks that question again later.
    pub fn watch(&self) -> TlsWatch {
        TlsWatch::new(&self.inner)
    }

    /// Looks at the files again; returns whether something changed. Connections stay as they are. A listener that
    /// serves does this by itself, every `reload_interval`.
    ///
    /// # Errors
    /// What is there now cannot be used; the old certificates stay in use.
    pub fn reload(&self) -> Result<bool, Error> {
        let Inner { settings, versions, current } = self.inner.as_ref();
        current.reload(|| Material::of_server(settings), |material| build(settings, *versions, material))
    }

    pub(crate) fn reload_interval(&self) -> Duration {
        self.inner.current.interval()
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
            let verifier = match material.revocations()? {
                // Authorities the list does not cover are trusted as before it was configured.
                Some(list) => verifier.with_crls(list).allow_unknown_revocation_status(),
                None => verifier,
            };
            let valid = verifier.build().map_err(|error| invalid(&error))?;
            builder.with_client_cert_verifier(allowed(settings, valid))
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

fn allowed(settings: &ServerTlsSettings, valid: Arc<dyn ClientCertVerifier>) -> Arc<dyn ClientCertVerifier> {
    let (sans, spiffe_ids) = (settings.allowed_sans.clone(), settings.allowed_spiffe_ids.clone());
    if sans.is_empty() && spiffe_ids.is_empty() { valid } else { Arc::new(AllowedClients { valid, sans, spiffe_ids }) }
}
