use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

use super::material::Material;
use super::settings::{ClientTlsSettings, EXPORTER_MIN};
use super::versions::{Range, provider};
use crate::Error;

/// TLS of an exporter.
#[derive(Debug, Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl ClientTls {
    /// Validates the settings and reads the files they name. The result is for encrypted connections, whatever
    /// [`ClientTlsSettings::is_plaintext`] says.
    ///
    /// # Errors
    /// The settings contradict each other, or a file is missing or holds something else.
    pub fn new(settings: &ClientTlsSettings) -> Result<Self, Error> {
        settings.validate()?;
        let invalid = |error: &dyn std::fmt::Display| Error::Tls(format!("failed to load TLS config: {error}"));
        let common = &settings.common;
        let material = Material::read(common, None)?;
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
        let config = match material.identity()? {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|error| invalid(&error))?,
            None => builder.with_no_client_auth(),
        };
        let server_name = match &settings.server_name_override {
            Some(name) => Some(
                ServerName::try_from(name.clone())
                    .map_err(|_| Error::Tls(format!("invalid server_name_override {name:?}")))?,
            ),
            None => None,
        };
        Ok(ClientTls { config: Arc::new(config), server_name })
    }

    /// The configuration with `protocols` offered by ALPN.
    pub(crate) fn with_alpn(&self, protocols: &[&[u8]]) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    /// The name to ask for when connecting to `host`.
    pub(crate) fn server_name(&self, host: &str) -> Result<ServerName<'static>, Error> {
        match &self.server_name {
            Some(name) => Ok(name.clone()),
            None => ServerName::try_from(host.to_owned())
                .map_err(|_| Error::Tls(format!("{host:?} is not a name a certificate can have"))),
        }
    }

    /// The configured name, if there is one.
    pub(crate) fn server_name_override(&self) -> Option<&ServerName<'static>> {
        self.server_name.as_ref()
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
