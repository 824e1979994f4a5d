//! TLS by rustls with aws-lc-rs, from the settings people know from the Collector (`security.md` section 3,
//! `collector-compat.md` section 2.5).

mod allowed;
mod certificate;
mod client;
mod current;
mod material;
mod server;
mod settings;
#[cfg(test)]
mod tests;
mod versions;

pub use certificate::{Names, not_after};
pub use client::ClientTls;
pub use current::{TlsStatus, TlsWatch};
pub use server::ServerTls;
pub use settings::{ClientAuth, ClientTlsSettings, ServerTlsSettings, TlsSettings};

/// Makes aws-lc-rs the provider of everything in this process that asks for the default one. Later calls do nothing.
pub fn install_default() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
