use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

use super::current::{Current, TlsStatus, TlsWatch, Watched};
use super::material::Material;
use super::settings::{ClientTlsSettings, EXPORTER_MIN};
use super::versions::{Range, provider};
use crate::Error;

/// TLS of an exporter, with certificates that are exchanged when their files change. Clones share them.
#[derive(Clone)]
pub struct ClientTls {
    inner: Arc<Inner>,
}

struct Inner {
    settings: ClientTlsSettings,
    server_name: Option<ServerName<'static>>,
    current: Current<ClientConfig>,
}

impl Watched for Inner {
    fn look(&self) -> TlsStatus {
        self.reload_if_due();
        self.current.status()
    }
}

impl Inner {
    fn reload(&self) -> Result<bool, Error> {
        let Inner { settings, current, .. } = self;
        current.reload(|| Material::of_client(&settings.common), |material| build(settings, material))
    }

    fn reload_if_due(&self) {
        if self.current.is_due() {
            // What is wrong is told there.
            let _ = self.reload();
        }
    }
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive() // the settings may hold a key
    }
}

impl ClientTls {
    /// Validates the settings and reads the files they name. The result is for encrypted connections, whatever
    /// [`ClientTlsSettings::is_plaintext`] says.
    ///
    /// # Errors
    /// The settings contradict each other, or a file is missing or holds something else.
    pub fn new(settings: &ClientTlsSettings) -> Result<Self, Error> {
        settings.validate()?;
        let server_name = match &settings.server_name_override {
            Some(name) => Some(
                ServerName::try_from(name.clone())
                    .map_err(|_| Error::Tls(format!("invalid server_name_override {name:?}")))?,
            ),
            None => None,
        };
        let material = Material::of_client(&settings.common)?;
        let config = build(settings, &material)?;
        let current = Current::new(config, material, settings.common.reload_interval);
        Ok(ClientTls { inner: Arc::new(Inner { settings: settings.clone(), server_name, current }) })
    }

    /// How the certificates are doing.
    pub fn status(&self) -> TlsStatus {
        self.inner.current.status()
    }

    /// Asks that question again later.
    pub fn watch(&self) -> TlsWatch {
        TlsWatch::new(&self.inner)
    }

    /// Looks at the files again; returns whether something changed. Connections stay as they are. New connections and
    /// [`TlsWatch::look`] do this by themselves, at most every `reload_interval`.
    ///
    /// # Errors
    /// What is there now cannot be used; the old certificates stay in use.
    pub fn reload(&self) -> Result<bool, Error> {
        self.inner.reload()
    }

    /// The configuration for the next connection, with `protocols` offered by ALPN.
    pub(crate) fn with_alpn(&self, protocols: &[&[u8]]) -> ClientConfig {
        self.inner.reload_if_due();
        let mut config = ClientConfig::clone(&self.inner.current.get());
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config
    }

    /// The name to ask for when connecting to `host`.
    pub(crate) fn server_name(&self, host: &str) -> Result<ServerName<'static>, Error> {
        match &self.inner.server_name {
            Some(name) => Ok(name.clone()),
            None => ServerName::try_from(host.to_owned())
                .map_err(|_| Error::Tls(format!("{host:?} is not a name a certificate can have"))),
        }
    }

    /// The configured name, if there is one.
    pub(crate) fn server_name_override(&self) -> Option<&ServerName<'static>> {
        self.inner.server_name.as_ref()
    }
}

fn build(settings: &ClientTlsSettings, material: &Material) -> Result<ClientConfig, Error> {
    let invalid = |error: &dyn std::fmt::Display| Error::Tls(format!("failed to load TLS config: {error}"));
    let common = &settings.common;
    let provider = provider(common)?;
    let range = Range::new(common.min_version.as_deref().unwrap_or(EXPORTER_MIN), common.max_version.as_deref())?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(range.versions())
        .map_err(|error| invalid(&error))?;
    let builder = if settings.insecure_skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
    } else {
        builder.with_root_certificates(material.roots(common.include_system_ca_certs_pool)?)
    };
    match material.identity()? {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|error| invalid(&error)),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// Accepts any certificate (`insecure_skip_verify`), but only from somebody who has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
