//! Creates a certificate authority for the stack, and a server certificate for this machine's names.

use std::io;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use tokio_native_tls::TlsAcceptor;

/// The certificate that a server presents in TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// A certificate of the stack's authority.
    Issued,
    /// An expired certificate of the stack's authority.
    Expired,
    /// A self-signed certificate.
    SelfSigned,
}

pub(crate) struct Identity {
    pub(crate) ca_pem: String,
    pub(crate) acceptor: TlsAcceptor,
}

/// Creates a certificate authority, and a server certificate for `names`.
pub(crate) fn identity(names: &[String], kind: Certificate) -> io::Result<Identity> {
    let failed = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
    let mut authority = CertificateParams::new(Vec::new()).map_err(|error| failed(&error))?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "devstack certificate authority");
    let key = KeyPair::generate().map_err(|error| failed(&error))?;
    let authority = CertifiedIssuer::self_signed(authority, key).map_err(|error| failed(&error))?;

    let mut server = CertificateParams::new(names.to_vec()).map_err(|error| failed(&error))?;
    server.distinguished_name.push(DnType::CommonName, "devstack server");
    server.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().map_err(|error| failed(&error))?;
    if kind == Certificate::Expired {
        (server.not_before, server.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    }
    let certificate = match kind {
        Certificate::Issued | Certificate::Expired => server.signed_by(&key, &authority),
        Certificate::SelfSigned => server.self_signed(&key),
    };
    let certificate = certificate.map_err(|error| failed(&error))?;
    let identity =
        native_tls::Identity::from_pkcs8(certificate.pem().as_bytes(), key.serialize_pem().as_bytes())
            .map_err(|error| failed(&error))?;
    let acceptor = native_tls::TlsAcceptor::new(identity).map_err(|error| failed(&error))?;
    Ok(Identity { ca_pem: authority.pem(), acceptor: acceptor.into() })
}
