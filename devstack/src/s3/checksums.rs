//! Computes checksums, and verifies those that a request gives for its body in headers or trailers (Amazon S3
//! User Guide, "Checking object integrity").

use std::fmt;

use http::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::dto::{ChecksumAlgorithm, ChecksumType};
use s3s::{S3Error, S3Result, s3_error};

use super::error::error_named;

/// A checksum algorithm of S3 apart from MD5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// CRC-32, as in gzip.
    Crc32,
    /// CRC-32C.
    Crc32c,
    /// CRC-64/NVME, which S3 computes if the uploader names no algorithm.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The algorithm that S3 uses if the client names none.
    pub(super) const DEFAULT: Self = Self::Crc64Nvme;

    /// Returns the algorithm whose checksums a completion must repeat for each part, from the algorithm and
    /// the type with which the upload began. S3 itself computes checksums of the whole object (Amazon S3 User
    /// Guide, "Checking object integrity", full object and composite checksums).
    pub(super) fn composite(name: Option<&ChecksumAlgorithm>, kind: Option<&ChecksumType>) -> Option<Self> {
        let full = kind.map(ChecksumType::as_str) == Some(ChecksumType::FULL_OBJECT);
        Self::ALL.into_iter().find(|algorithm| {
            !full
                && *algorithm != Self::Crc64Nvme
                && name.map(ChecksumAlgorithm::as_str) == Some(algorithm.name())
        })
    }

    /// Returns the algorithm's name in S3's API.
    fn name(self) -> &'static str {
        match self {
            Self::Crc32 => ChecksumAlgorithm::CRC32,
            Self::Crc32c => ChecksumAlgorithm::CRC32C,
            Self::Crc64Nvme => ChecksumAlgorithm::CRC64NVME,
            Self::Sha1 => ChecksumAlgorithm::SHA1,
            Self::Sha256 => ChecksumAlgorithm::SHA256,
        }
    }

    fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    fn size_bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// Writes the algorithm's name as in S3's messages.
impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name().to_ascii_lowercase())
    }
}

/// A checksum in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checksum {
    pub(super) algorithm: Algorithm,
    pub(super) value: String,
}

impl Checksum {
    /// Returns the checksum of an object uploaded in parts: the checksum of the parts' checksums, and their
    /// number (Amazon S3 User Guide, "Checking object integrity", composite checksums).
    pub(super) fn composite<'c>(
        algorithm: Algorithm,
        parts: impl IntoIterator<Item = &'c Self>,
    ) -> Option<Self> {
        let mut hasher = Hasher::new(algorithm);
        let mut count = 0;
        for part in parts {
            hasher.update(&decode(&part.value, algorithm.size_bytes())?);
            count += 1;
        }
        let Self { algorithm, value } = hasher.finish();
        Some(Self { algorithm, value: format!("{value}-{count}") })
    }

    /// Returns the checksum's type. A hyphen shows that it is composite, since base64 has none.
    fn kind(&self) -> ChecksumType {
        let kind = if self.value.contains('-') { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT };
        ChecksumType::from_static(kind)
    }

    /// Returns the checksum in the field that an answer has for its algorithm.
    pub(super) fn fields(&self) -> s3s::dto::Checksum {
        let of = |algorithm| (self.algorithm == algorithm).then(|| self.value.clone());
        s3s::dto::Checksum {
            checksum_crc32: of(Algorithm::Crc32),
            checksum_crc32c: of(Algorithm::Crc32c),
            checksum_crc64nvme: of(Algorithm::Crc64Nvme),
            checksum_sha1: of(Algorithm::Sha1),
            checksum_sha256: of(Algorithm::Sha256),
            checksum_type: Some(self.kind()),
        }
    }
}

/// A hasher that computes a checksum chunk by chunk.
pub(super) struct Hasher {
    algorithm: Algorithm,
    hasher: ChecksumHasher,
}

impl Hasher {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        let hasher = ChecksumHasher {
            crc32: (algorithm == Algorithm::Crc32).then(Crc32::new),
            crc32c: (algorithm == Algorithm::Crc32c).then(Crc32c::new),
            crc64nvme: (algorithm == Algorithm::Crc64Nvme).then(Crc64Nvme::new),
            sha1: (algorithm == Algorithm::Sha1).then(Sha1::new),
            sha256: (algorithm == Algorithm::Sha256).then(Sha256::new),
        };
        Self { algorithm, hasher }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    pub(super) fn finish(self) -> Checksum {
        let computed = self.hasher.finalize();
        let value = match self.algorithm {
            Algorithm::Crc32 => computed.checksum_crc32,
            Algorithm::Crc32c => computed.checksum_crc32c,
            Algorithm::Crc64Nvme => computed.checksum_crc64nvme,
            Algorithm::Sha1 => computed.checksum_sha1,
            Algorithm::Sha256 => computed.checksum_sha256,
        };
        Checksum { algorithm: self.algorithm, value: value.unwrap_or_default() }
    }
}

/// The checksums that a body must have.
pub(super) struct Verifier {
    md5: Option<Vec<u8>>,
    /// The checksum that was announced before the body.
    expected: Option<String>,
    /// Whether the expected checksum comes after the body.
    trailer: bool,
    hasher: Hasher,
}

impl Verifier {
    /// Reads the headers of an upload.
    ///
    /// # Errors
    ///
    /// S3's error for headers that contradict each other or cannot be read.
    pub(super) fn new(headers: &HeaderMap) -> S3Result<Self> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let md5 = match text("content-md5") {
            None => None,
            Some(md5) => Some(
                decode(md5, 16)
                    .ok_or_else(|| s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid."))?,
            ),
        };
        let announced: Vec<Algorithm> =
            Algorithm::ALL.into_iter().filter(|algorithm| headers.contains_key(algorithm.header())).collect();
        let trailing = text("x-amz-trailer").and_then(|names| {
            Algorithm::ALL.into_iter().find(|algorithm| {
                names.split(',').any(|name| name.trim().eq_ignore_ascii_case(algorithm.header()))
            })
        });
        let (algorithm, expected) = match (announced.as_slice(), trailing) {
            ([], None) if headers.contains_key("x-amz-sdk-checksum-algorithm") => {
                return Err(s3_error!(
                    InvalidRequest,
                    "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."
                ));
            }
            ([], None) => (Algorithm::DEFAULT, None),
            ([], Some(algorithm)) => (algorithm, None),
            ([algorithm], None) => {
                let value =
                    text(algorithm.header()).filter(|value| decode(value, algorithm.size_bytes()).is_some());
                let value = value.ok_or_else(|| {
                    s3_error!(InvalidRequest, "Value for {} header is invalid.", algorithm.header())
                })?;
                (*algorithm, Some(value.to_owned()))
            }
            _ => {
                return Err(s3_error!(
                    InvalidRequest,
                    "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
                ));
            }
        };
        Ok(Self { md5, expected, trailer: trailing.is_some(), hasher: Hasher::new(algorithm) })
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Compares the announced checksum with the received bytes.
    ///
    /// # Errors
    ///
    /// `BadDigest`, or `MalformedTrailerError` if an announced trailer did not arrive.
    pub(super) fn finish(self, md5: [u8; 16], trailers: Option<&HeaderMap>) -> S3Result<Checksum> {
        let computed = self.hasher.finish();
        let mut expected = self.expected;
        if self.trailer {
            let trailer = trailers
                .and_then(|trailers| trailers.get(computed.algorithm.header()))
                .and_then(|value| value.to_str().ok());
            expected = Some(trailer.ok_or_else(malformed_trailer)?.to_owned());
        }
        if self.md5.is_some_and(|expected| expected != md5) {
            return Err(s3_error!(
                BadDigest,
                "The Content-MD5 you specified did not match what we received."
            ));
        }
        if expected.is_some_and(|expected| expected != computed.value) {
            return Err(s3_error!(
                BadDigest,
                "The {} you specified did not match the calculated checksum.",
                computed.algorithm.header()
            ));
        }
        Ok(computed)
    }
}

fn malformed_trailer() -> S3Error {
    error_named(
        "MalformedTrailerError",
        http::StatusCode::BAD_REQUEST,
        "The request contained trailing data that was not well-formed or did not conform to our published schema.",
    )
}

fn decode(base64: &str, bytes: usize) -> Option<Vec<u8>> {
    base64_simd::STANDARD.decode_to_vec(base64).ok().filter(|decoded| decoded.len() == bytes)
}
