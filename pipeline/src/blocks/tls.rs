//! TLS, of servers and clients (collector-compat §2.5).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sluice_config::{GoDuration, Problems, Secret};
use sluice_net::tls::{self, ClientTlsSettings, ServerTlsSettings, TlsSettings};

use crate::factory::{Validate, field};

/// What both ends have. Certificates and keys come from files or are written in place, never both.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsMaterial {
    /// Roots to trust, PEM.
    pub ca_file: String,
    /// The same, written here.
    pub ca_pem: Secret,
    /// Own certificate chain, PEM.
    pub cert_file: String,
    /// The same, written here.
    pub cert_pem: Secret,
    /// Its key, PEM.
    pub key_file: String,
    /// The same, written here.
    pub key_pem: Secret,
    /// `1.2` (default) or `1.3`; older ones are refused.
    pub min_version: String,
    /// `1.2` or `1.3`.
    pub max_version: String,
    /// Suites of TLS 1.2 to offer, by their names.
    pub cipher_suites: Vec<String>,
    /// Without effect: no insecure suite is available.
    pub include_insecure_cipher_suites: bool,
    /// Key exchanges to offer, best first.
    pub curve_preferences: Vec<String>,
    /// Trust the system's roots, too.
    pub include_system_ca_certs_pool: bool,
    /// How often files are looked at for changes; zero for the default of 10 s.
    pub reload_interval: GoDuration,
}

impl TlsMaterial {
    /// Whether a CA is configured.
    pub fn has_ca(&self) -> bool {
        !self.ca_file.is_empty() || !self.ca_pem.is_empty()
    }

    /// Whether a certificate is configured.
    pub fn has_cert(&self) -> bool {
        !self.cert_file.is_empty() || !self.cert_pem.is_empty()
    }

    /// Whether a key is configured.
    pub fn has_key(&self) -> bool {
        !self.key_file.is_empty() || !self.key_pem.is_empty()
    }

    /// As the network takes it: what is empty is not set.
    fn settings(&self) -> TlsSettings {
        TlsSettings {
            ca_file: file(&self.ca_file),
            ca_pem: text(self.ca_pem.expose()),
            cert_file: file(&self.cert_file),
            cert_pem: text(self.cert_pem.expose()),
            key_file: file(&self.key_file),
            key_pem: text(self.key_pem.expose()),
            min_version: text(&self.min_version),
            max_version: text(&self.max_version),
            cipher_suites: self.cipher_suites.clone(),
            curve_preferences: self.curve_preferences.clone(),
            include_system_ca_certs_pool: self.include_system_ca_certs_pool,
            reload_interval: Some(*self.reload_interval).filter(|interval| !interval.is_zero()),
        }
    }
}

impl Validate for TlsMaterial {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        let both = [
            (
                &self.ca_file,
                &self.ca_pem,
                "ca_file",
                "provide either a CA file or the PEM-encoded string, but not both",
            ),
            (
                &self.cert_file,
                &self.cert_pem,
                "cert_file",
                "provide either a certificate or the PEM-encoded string, but not both",
            ),
            (&self.key_file, &self.key_pem, "key_file", "provide either a key or the PEM-encoded string, but not both"),
        ];
        for (file, pem, name, text) in both {
            if !file.is_empty() && !pem.is_empty() {
                problems.error(&field(at, name), text);
            }
        }
        let min = version(at, "min_version", &self.min_version, problems);
        let max = version(at, "max_version", &self.max_version, problems);
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            let text = "invalid TLS configuration: min_version cannot be greater than max_version";
            problems.error(&field(at, "min_version"), text);
        }
    }
}

/// The minor version of TLS 1.
fn version(at: &str, name: &str, written: &str, problems: &mut Problems<'_>) -> Option<u8> {
    match written {
        "" => None,
        "1.0" | "1.1" => {
            let text = format!("unsupported TLS version: {written:?}: the oldest version offered is 1.2");
            problems.error(&field(at, name), text);
            None
        }
        "1.2" => Some(2),
        "1.3" => Some(3),
        _ => {
            problems.add("E0106", &field(at, name), &format!("unsupported TLS version: {written:?}")).help =
                Some("write \"1.2\" or \"1.3\"".to_owned());
            None
        }
    }
}

/// `tls` of a client.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsClient {
    #[serde(rename = "..material")]
    pub material: TlsMaterial,
    /// Plain text; ignored when a CA is set.
    pub insecure: bool,
    /// Do not verify the server's certificate.
    pub insecure_skip_verify: bool,
    /// The name to expect in the certificate, and to send in SNI.
    pub server_name_override: String,
}

impl TlsClient {
    /// Whether connections are in plain text.
    pub fn is_plain(&self) -> bool {
        self.insecure && !self.material.has_ca()
    }

    /// As the network takes it.
    pub fn settings(&self) -> ClientTlsSettings {
        ClientTlsSettings {
            common: self.material.settings(),
            insecure: self.insecure,
            insecure_skip_verify: self.insecure_skip_verify,
            server_name_override: text(&self.server_name_override),
        }
    }
}

impl Validate for TlsClient {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        self.material.validate(at, problems);
        if self.material.has_cert() != self.material.has_key() {
            let text = "for auth via TLS, provide both certificate and key, or neither";
            problems.error(&field(at, "cert_file"), text);
        }
    }
}

/// `tls` of a server.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsServer {
    #[serde(rename = "..material")]
    pub material: TlsMaterial,
    /// Clients must present a certificate of this CA.
    pub client_ca_file: String,
    /// Read and not needed: the file is always watched.
    pub client_ca_file_reload: bool,
    /// Unwritten: `require` where `client_ca_file` is set.
    pub client_auth: Option<ClientAuth>,
    /// DNS names or URIs, of which a client's certificate must hold one.
    pub allowed_sans: Vec<String>,
    /// Clients by the SPIFFE id in their certificate.
    pub allowed_spiffe_ids: Vec<String>,
    /// Certificates of clients that are revoked.
    pub crl_file: String,
}

/// `client_auth`: whether clients must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    Require,
    Optional,
    None,
}

impl TlsServer {
    /// As the network takes it.
    pub fn settings(&self) -> ServerTlsSettings {
        ServerTlsSettings {
            common: self.material.settings(),
            client_ca_file: file(&self.client_ca_file),
            client_auth: self.client_auth.map(|auth| match auth {
                ClientAuth::Require => tls::ClientAuth::Require,
                ClientAuth::Optional => tls::ClientAuth::Optional,
                ClientAuth::None => tls::ClientAuth::None,
            }),
            allowed_sans: self.allowed_sans.clone(),
            allowed_spiffe_ids: self.allowed_spiffe_ids.clone(),
            crl_file: file(&self.crl_file),
        }
    }
}

fn text(written: &str) -> Option<String> {
    (!written.is_empty()).then(|| written.to_owned())
}

fn file(written: &str) -> Option<PathBuf> {
    (!written.is_empty()).then(|| PathBuf::from(written))
}

impl Validate for TlsServer {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        self.material.validate(at, problems);
        if !self.material.has_cert() || !self.material.has_key() {
            let text = "TLS configuration must include both certificate and key for server connections";
            problems.error(&field(at, "cert_file"), text);
        }
        let required = matches!(self.client_auth, Some(ClientAuth::Require | ClientAuth::Optional));
        if required && self.client_ca_file.is_empty() {
            problems.error(&field(at, "client_auth"), "client_auth needs client_ca_file");
        }
        let asks = !self.client_ca_file.is_empty() && self.client_auth != Some(ClientAuth::None);
        let restricts = [
            ("allowed_sans", !self.allowed_sans.is_empty()),
            ("allowed_spiffe_ids", !self.allowed_spiffe_ids.is_empty()),
            ("crl_file", !self.crl_file.is_empty()),
        ];
        for (name, _) in restricts.iter().filter(|(_, written)| *written && !asks) {
            let text = "allowed_sans, allowed_spiffe_ids and crl_file need client_ca_file and client_auth";
            problems.error(&field(at, name), text);
        }
    }
}
