//! What exporters that are clients have in common.

use sluice_net::tls::ClientTls;
use sluice_pipeline::Error;
use sluice_pipeline::blocks::TlsClient;

/// Loads what a `tls` block names.
pub(crate) fn tls(block: &TlsClient) -> Result<ClientTls, Error> {
    let settings = block.settings();
    let invalid = |error: sluice_net::Error| Error::config(error.to_string());
    settings.validate().map_err(invalid)?;
    ClientTls::new(&settings).map_err(invalid)
}
