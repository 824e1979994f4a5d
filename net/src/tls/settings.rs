use std::path::PathBuf;
use std::time::Duration;

use super::versions::Range;
use crate::Error;

/// What clients and servers have in common, in upstream's fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Authorities to trust, PEM.
    pub ca_file: Option<PathBuf>,
    /// The same, inline.
    pub ca_pem: Option<String>,
    /// Own certificate chain, PEM, leaf first.
    pub cert_file: Option<PathBuf>,
    /// The same, inline.
    pub cert_pem: Option<String>,
    /// Own private key, PEM.
    pub key_file: Option<PathBuf>,
    /// The same, inline.
    pub key_pem: Option<String>,
    /// `1.2` or `1.3`.
    pub min_version: Option<String>,
    /// `1.2` or `1.3`.
    pub max_version: Option<String>,
    /// Cipher suites by their IANA names; empty: all that are safe.
    pub cipher_suites: Vec<String>,
    /// Key exchange groups by upstream's names; empty: X25519MLKEM768, X25519, P-256, P-384.
    pub curve_preferences: Vec<String>,
    /// Trust the system's authorities besides `ca_file`.
    pub include_system_ca_certs_pool: bool,
    /// How often files are looked at for changes. `None`: 10 s.
    pub reload_interval: Option<Duration>,
}

/// TLS of an exporter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientTlsSettings {
    /// Common fields.
    pub common: TlsSettings,
    /// Plain text. Ignored when an authority is configured.
    pub insecure: bool,
    /// Accept any certificate.
    pub insecure_skip_verify: bool,
    /// Name to ask for and to verify instead of the host.
    pub server_name_override: Option<String>,
}

/// Whether clients must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// They must.
    Require,
    /// They may; what they show is verified.
    Optional,
    /// They are not asked.
    None,
}

/// TLS of a listener.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerTlsSettings {
    /// Common fields.
    pub common: TlsSettings,
    /// Authorities of client certificates.
    pub client_ca_file: Option<PathBuf>,
    /// `None`: required when `client_ca_file` is set.
    pub client_auth: Option<ClientAuth>,
    /// Subject alternative names (DNS names or URIs), one of which a client certificate must carry. Empty, with
    /// `allowed_spiffe_ids` empty too: any valid certificate.
    pub allowed_sans: Vec<String>,
    /// SPIFFE ids, one of which a client certificate may carry instead.
    pub allowed_spiffe_ids: Vec<String>,
    /// Revoked client certificates, PEM.
    pub crl_file: Option<PathBuf>,
}

impl TlsSettings {
    fn validate(&self, lowest: &str) -> Result<(), Error> {
        let both = |what| Err(Error::Tls(format!("provide either {what} or the PEM-encoded string, but not both")));
        if self.ca_file.is_some() && self.ca_pem.is_some() {
            return both("a CA file");
        }
        if self.cert_file.is_some() && self.cert_pem.is_some() {
            return both("a certificate");
        }
        if self.key_file.is_some() && self.key_pem.is_some() {
            return both("a key");
        }
        Range::new(self.min_version.as_deref().unwrap_or(lowest), self.max_version.as_deref())?;
        Ok(())
    }

    pub(super) fn has_certificate(&self) -> bool {
        self.cert_file.is_some() || self.cert_pem.is_some()
    }

    pub(super) fn has_key(&self) -> bool {
        self.key_file.is_some() || self.key_pem.is_some()
    }

    pub(super) fn has_ca(&self) -> bool {
        self.ca_file.is_some() || self.ca_pem.is_some()
    }
}

/// Unset means 1.3 for listeners and 1.2 for exporters.
pub(super) const LISTENER_MIN: &str = "1.3";
pub(super) const EXPORTER_MIN: &str = "1.2";

impl ServerTlsSettings {
    /// Checks what can be checked without reading files.
    ///
    /// # Errors
    /// In upstream's words.
    pub fn validate(&self) -> Result<(), Error> {
        self.common.validate(LISTENER_MIN)?;
        if !self.common.has_certificate() || !self.common.has_key() {
            return Err(Error::Tls(
                "TLS configuration must include both certificate and key for server connections".to_owned(),
            ));
        }
        let auth = self.client_auth();
        if auth != ClientAuth::None && self.client_ca_file.is_none() {
            return Err(Error::Tls("client_auth needs client_ca_file".to_owned()));
        }
        let restricts = !self.allowed_sans.is_empty() || !self.allowed_spiffe_ids.is_empty() || self.crl_file.is_some();
        if auth == ClientAuth::None && restricts {
            return Err(Error::Tls(
                "allowed_sans, allowed_spiffe_ids and crl_file need client_ca_file and client_auth".to_owned(),
            ));
        }
        Ok(())
    }

    pub(super) fn client_auth(&self) -> ClientAuth {
        let unset = if self.client_ca_file.is_some() { ClientAuth::Require } else { ClientAuth::None };
        self.client_auth.unwrap_or(unset)
    }
}

impl ClientTlsSettings {
    /// Checks what can be checked without reading files.
    ///
    /// # Errors
    /// In upstream's words.
    pub fn validate(&self) -> Result<(), Error> {
        self.common.validate(EXPORTER_MIN)?;
        if self.common.has_certificate() != self.common.has_key() {
            return Err(Error::Tls("for auth via TLS, provide both certificate and key, or neither".to_owned()));
        }
        Ok(())
    }

    /// Whether connections are in plain text.
    pub fn is_plaintext(&self) -> bool {
        self.insecure && !self.common.has_ca()
    }
}
