//! Client certificates that are not only valid but of somebody in particular.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme};

use super::certificate::Names;

/// Passes certificates that `valid` accepts and that carry one of the names.
#[derive(Debug)]
pub(super) struct AllowedClients {
    pub(super) valid: Arc<dyn ClientCertVerifier>,
    /// DNS names or URIs.
    pub(super) sans: Vec<String>,
    pub(super) spiffe_ids: Vec<String>,
}

impl AllowedClients {
    fn allows(&self, names: &Names) -> bool {
        let san =
            |san: &String| names.uris.contains(san) || names.dns.iter().any(|name| name.eq_ignore_ascii_case(san));
        self.sans.iter().any(san)
            || names.spiffe_id().is_some_and(|id| self.spiffe_ids.iter().any(|allowed| allowed == id))
    }
}

impl ClientCertVerifier for AllowedClients {
    fn offer_client_auth(&self) -> bool {
        self.valid.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.valid.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.valid.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.valid.verify_client_cert(end_entity, intermediates, now)?;
        if self.allows(&Names::of(end_entity)) {
            Ok(verified)
        } else {
            Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.valid.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.valid.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.valid.supported_verify_schemes()
    }
}
