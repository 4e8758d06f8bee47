//! A certificate authority of the stand-in's own, and a server certificate for this machine's names.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use tokio_native_tls::TlsAcceptor;

use super::error::Error;
use super::options::Certificate;

pub(super) struct Identity {
    pub(super) ca_pem: String,
    pub(super) acceptor: TlsAcceptor,
}

/// Makes both; the server's certificate is for `names`.
pub(super) fn identity(names: &[String], kind: Certificate) -> Result<Identity, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Tls(error.to_string());
    let mut authority = CertificateParams::new(Vec::new()).map_err(|error| failed(&error))?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "devstack certificate authority");
    let key = KeyPair::generate().map_err(|error| failed(&error))?;
    let authority = CertifiedIssuer::self_signed(authority, key).map_err(|error| failed(&error))?;

    let mut server = CertificateParams::new(names.to_vec()).map_err(|error| failed(&error))?;
    server.distinguished_name.push(DnType::CommonName, "devstack Redshift stand-in");
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
