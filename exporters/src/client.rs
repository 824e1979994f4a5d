//! What exporters that are clients have in common.

use std::path::PathBuf;
use std::time::Duration;

use sluice_net::tls::{ClientTls, ClientTlsSettings, TlsSettings};
use sluice_pipeline::Error;
use sluice_pipeline::blocks::TlsClient;

/// Loads what a `tls` block names.
pub(crate) fn tls(block: &TlsClient) -> Result<ClientTls, Error> {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let file = |path: &str| (!path.is_empty()).then(|| PathBuf::from(path));
    let material = &block.material;
    let settings = ClientTlsSettings {
        common: TlsSettings {
            ca_file: file(&material.ca_file),
            ca_pem: text(material.ca_pem.expose()),
            cert_file: file(&material.cert_file),
            cert_pem: text(material.cert_pem.expose()),
            key_file: file(&material.key_file),
            key_pem: text(material.key_pem.expose()),
            min_version: text(&material.min_version),
            max_version: text(&material.max_version),
            cipher_suites: material.cipher_suites.clone(),
            curve_preferences: material.curve_preferences.clone(),
            include_system_ca_certs_pool: material.include_system_ca_certs_pool,
            reload_interval: Some(*material.reload_interval).filter(|interval| *interval != Duration::ZERO),
        },
        insecure: block.insecure,
        insecure_skip_verify: block.insecure_skip_verify,
        server_name_override: text(&block.server_name_override),
    };
    let invalid = |error: sluice_net::Error| Error::config(error.to_string());
    settings.validate().map_err(invalid)?;
    ClientTls::new(&settings).map_err(invalid)
}
