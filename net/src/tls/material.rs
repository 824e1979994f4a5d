use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::settings::{ServerTlsSettings, TlsSettings};
use crate::Error;

/// The bytes of a file or of an inline string.
fn read(what: &'static str, file: Option<&Path>, pem: Option<&str>) -> Result<Option<Vec<u8>>, Error> {
    match (file, pem) {
        (Some(path), _) => std::fs::read(path).map(Some).map_err(|source| Error::ReadFile {
            what,
            path: path.display().to_string(),
            source,
        }),
        (None, Some(pem)) => Ok(Some(pem.as_bytes().to_vec())),
        (None, None) => Ok(None),
    }
}

fn parse_certificates(what: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::Tls(format!("failed to parse {what}: {error}")))?;
    if certificates.is_empty() {
        return Err(Error::Tls(format!("failed to parse {what}: it holds no certificate")));
    }
    Ok(certificates)
}

/// Everything the settings name, as bytes. Comparing two tells whether files have changed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Material {
    ca: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    client_ca: Option<Vec<u8>>,
    revoked: Option<Vec<u8>>,
}

impl Material {
    pub(super) fn of_client(settings: &TlsSettings) -> Result<Self, Error> {
        Ok(Material {
            ca: read("CA", settings.ca_file.as_deref(), settings.ca_pem.as_deref())?,
            certificate: read("TLS certificate", settings.cert_file.as_deref(), settings.cert_pem.as_deref())?,
            key: read("TLS key", settings.key_file.as_deref(), settings.key_pem.as_deref())?,
            client_ca: None,
            revoked: None,
        })
    }

    pub(super) fn of_server(settings: &ServerTlsSettings) -> Result<Self, Error> {
        Ok(Material {
            client_ca: read("client CA", settings.client_ca_file.as_deref(), None)?,
            revoked: read("CRL", settings.crl_file.as_deref(), None)?,
            ..Material::of_client(&settings.common)?
        })
    }

    /// Own certificate chain and key, if configured.
    pub(super) fn identity(&self) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, Error> {
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else { return Ok(None) };
        let chain = parse_certificates("TLS certificate", certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| Error::Tls(format!("failed to parse TLS key: {error}")))?;
        Ok(Some((chain, key)))
    }

    /// The authorities a client trusts: those configured, else the system's.
    pub(super) fn roots(&self, include_system: bool) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        if let Some(ca) = &self.ca {
            add(&mut roots, "CA", ca)?;
        }
        if self.ca.is_none() || include_system {
            let system = rustls_native_certs::load_native_certs();
            let (added, _) = roots.add_parsable_certificates(system.certs);
            if added == 0 {
                // A minimal container image has no store of its own.
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            }
        }
        Ok(roots)
    }

    /// The authorities of client certificates.
    pub(super) fn client_roots(&self) -> Result<Option<RootCertStore>, Error> {
        let Some(ca) = &self.client_ca else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        add(&mut roots, "client CA", ca)?;
        Ok(Some(roots))
    }

    /// The lists of revoked client certificates.
    pub(super) fn revocations(&self) -> Result<Option<Vec<CertificateRevocationListDer<'static>>>, Error> {
        let Some(pem) = &self.revoked else { return Ok(None) };
        CertificateRevocationListDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map(Some)
            .map_err(|error| Error::Tls(format!("failed to parse CRL: {error}")))
    }
}

fn add(roots: &mut RootCertStore, what: &str, pem: &[u8]) -> Result<(), Error> {
    for certificate in parse_certificates(what, pem)? {
        roots.add(certificate).map_err(|error| Error::Tls(format!("failed to parse {what}: {error}")))?;
    }
    Ok(())
}
