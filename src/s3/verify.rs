//! Verifies that the bytes of a download are those that S3 stores. It computes a checksum over the whole
//! stream, even if the download was resumed, and compares it with S3's.
//!
//! The SDK compares only what one answer contains, and no composite checksum (`aws-sdk-s3`,
//! `http_response_checksum.rs`).

use std::fmt::Write as _;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::types::{ChecksumType, ServerSideEncryption};
use aws_smithy_checksums::ChecksumAlgorithm;
use aws_smithy_checksums::http::HttpChecksum;
use cmslite_core::queue::Object;
use md5::{Digest as _, Md5};
use sha2::Sha256;

const MIB: u64 = 1024 * 1024;

/// The part sizes, in MiB, that uploaders use by default: the AWS command line and boto3 8, the SDK for Java
/// 5 or 8, rclone 5, others 10, 16 and more.
const USUAL_PARTS_MIB: [u64; 8] = [8, 5, 16, 10, 15, 32, 64, 100];

/// A download that was read to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Downloaded {
    /// The SHA-256 of all received bytes, in hexadecimal digits. Downloads with the same SHA-256 had the same
    /// bytes.
    pub sha256: String,
    /// The name of S3's checksum that matched. `None` if there was nothing to compare, or if the difference
    /// proves nothing: that of an `ETag`, or of a checksum of parts whose size was assumed.
    pub verified_by: Option<&'static str>,
}

/// The received bytes differ from those that S3 stores.
#[derive(Debug)]
pub(super) struct Mismatch {
    pub(super) algorithm: &'static str,
    pub(super) received: String,
    pub(super) expected: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Md5,
    Checksum(ChecksumAlgorithm),
}

enum Hasher {
    Md5(Md5),
    Checksum(Box<dyn HttpChecksum>),
}

/// A computation, chunk by chunk, of the SHA-256 of an object's bytes and of the checksum that S3 has.
pub(super) struct Verifier {
    sha256: Sha256,
    /// The checksum to compare; `None` if S3 has none that could be compared.
    compared: Option<Compared>,
}

/// One of S3's checksums, and the computation so far.
struct Compared {
    algorithm: Algorithm,
    expected: String,
    hasher: Hasher,
    parts: Option<Parts>,
}

/// The parts of a composite checksum or `ETag`, of an assumed size.
struct Parts {
    part_bytes: u64,
    /// The number of bytes that the current part still lacks.
    left: u64,
    count: u64,
    hashes: Vec<u8>,
    /// Whether the size of the parts is certain.
    is_certain: bool,
}

impl Verifier {
    /// Creates a verifier from the answer to a GET of the whole object.
    pub(super) fn new(answer: &GetObjectOutput, object: &Object) -> Self {
        let checksums = [
            (ChecksumAlgorithm::Crc64Nvme, answer.checksum_crc64_nvme()),
            (ChecksumAlgorithm::Crc32c, answer.checksum_crc32_c()),
            (ChecksumAlgorithm::Crc32, answer.checksum_crc32()),
            (ChecksumAlgorithm::Sha1, answer.checksum_sha1()),
            (ChecksumAlgorithm::Sha256, answer.checksum_sha256()),
        ];
        for (algorithm, value) in checksums {
            if let Some(value) = value {
                // A composite checksum that does not give the number of parts cannot be compared.
                if answer.checksum_type() == Some(&ChecksumType::Composite) && !value.contains('-') {
                    return Self::without_checksum();
                }
                return Self::of(Algorithm::Checksum(algorithm), value, object.size);
            }
        }
        // "Objects encrypted by SSE-C or SSE-KMS have ETags that are not an MD5 digest of their object data"
        // (Amazon S3 API Reference, Object).
        let is_encrypted = answer.sse_customer_algorithm().is_some()
            || matches!(
                answer.server_side_encryption(),
                Some(ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse)
            );
        match object.revision() {
            etag if !is_encrypted && is_md5(etag) => Self::of(Algorithm::Md5, etag, object.size),
            _ => Self::without_checksum(),
        }
    }

    /// Creates the verifier for a value, which ends with the number of parts if it is composite.
    fn of(algorithm: Algorithm, value: &str, size: u64) -> Self {
        let parts = match value.rsplit_once('-') {
            None => None,
            Some((_, count)) => {
                match count.parse().ok().and_then(|count| Some((count, part_bytes(size, count)?))) {
                    None => return Self::without_checksum(),
                    Some((count, part_bytes)) => Some(Parts::new(part_bytes, count == 1)),
                }
            }
        };
        let expected = value.to_owned();
        let compared = Compared { algorithm, expected, hasher: algorithm.hasher(), parts };
        Self { sha256: Sha256::new(), compared: Some(compared) }
    }

    fn without_checksum() -> Self {
        Self { sha256: Sha256::new(), compared: None }
    }

    /// Adds the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(compared) = &mut self.compared {
            compared.update(bytes);
        }
    }

    /// Compares the checksums after all bytes have arrived.
    ///
    /// An `ETag` that differs from the MD5 proves nothing: S3 guarantees an MD5 only for some objects, and
    /// other stores do not guarantee it at all. A checksum of parts whose size was assumed proves nothing
    /// either.
    pub(super) fn finish(self) -> Result<Downloaded, Mismatch> {
        let verified_by = self.compared.map_or(Ok(None), Compared::finish)?;
        Ok(Downloaded { sha256: hexadecimal(&self.sha256.finalize()), verified_by })
    }
}

impl Compared {
    fn update(&mut self, mut bytes: &[u8]) {
        while let Some(parts) = &mut self.parts {
            let now = usize::try_from(parts.left).unwrap_or(usize::MAX).min(bytes.len());
            let (of_part, rest) = bytes.split_at(now);
            self.hasher.update(of_part);
            parts.left -= now as u64;
            if parts.left > 0 {
                return;
            }
            let whole = std::mem::replace(&mut self.hasher, self.algorithm.hasher());
            parts.push(&whole.finish());
            if rest.is_empty() {
                return;
            }
            bytes = rest;
        }
        self.hasher.update(bytes);
    }

    /// Returns the name of the checksum if it matches; `None` if a difference proves nothing.
    fn finish(self) -> Result<Option<&'static str>, Mismatch> {
        let name = self.algorithm.name();
        let is_certain =
            self.algorithm != Algorithm::Md5 && self.parts.as_ref().is_none_or(|parts| parts.is_certain);
        let received = match self.parts {
            None => self.hasher.finish_text(),
            Some(mut parts) => {
                if parts.left < parts.part_bytes || parts.count == 0 {
                    parts.push(&self.hasher.finish());
                }
                let mut whole = self.algorithm.hasher();
                whole.update(&parts.hashes);
                format!("{}-{}", whole.finish_text(), parts.count)
            }
        };
        match self.expected {
            expected if expected == received => Ok(Some(name)),
            expected if is_certain => Err(Mismatch { algorithm: name, received, expected }),
            _ => Ok(None),
        }
    }
}

impl Parts {
    fn new(part_bytes: u64, is_certain: bool) -> Self {
        Self { part_bytes, left: part_bytes, count: 0, hashes: Vec::new(), is_certain }
    }

    fn push(&mut self, hash: &[u8]) {
        self.hashes.extend_from_slice(hash);
        self.count += 1;
        self.left = self.part_bytes;
    }
}

impl Algorithm {
    fn hasher(self) -> Hasher {
        match self {
            Self::Md5 => Hasher::Md5(Md5::new()),
            Self::Checksum(algorithm) => Hasher::Checksum(algorithm.into_impl()),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Checksum(ChecksumAlgorithm::Crc64Nvme) => "crc64nvme",
            Self::Checksum(ChecksumAlgorithm::Crc32c) => "crc32c",
            Self::Checksum(ChecksumAlgorithm::Sha1) => "sha1",
            Self::Checksum(ChecksumAlgorithm::Sha256) => "sha256",
            Self::Checksum(_) => "crc32",
        }
    }
}

impl Hasher {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(md5) => md5.update(bytes),
            Self::Checksum(checksum) => checksum.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Md5(md5) => md5.finalize().to_vec(),
            Self::Checksum(checksum) => checksum.finalize().to_vec(),
        }
    }

    /// Returns the checksum as S3 writes it: MD5 in hexadecimal digits, all others in base64.
    fn finish_text(self) -> String {
        match self {
            Self::Md5(md5) => hexadecimal(&md5.finalize()),
            Self::Checksum(checksum) => {
                String::from_utf8_lossy(checksum.header_value().as_bytes()).into_owned()
            }
        }
    }
}

fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Checks whether an `ETag` has the form of an MD5, or of the MD5 of the parts' MD5s with the number of
/// parts.
fn is_md5(etag: &str) -> bool {
    let (digest, count) = etag.split_once('-').unwrap_or((etag, "1"));
    digest.len() == 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) && count.parse::<u64>().is_ok()
}

/// Returns the likely size of all parts except the last: a usual one that fits the object's size and the
/// number of parts, else the smallest whole number of MiB. `None` if neither fits.
fn part_bytes(size: u64, count: u64) -> Option<u64> {
    if count <= 1 {
        return (count == 1).then_some(size.max(1));
    }
    let smallest = size.div_ceil(count).div_ceil(MIB);
    let mut likely = USUAL_PARTS_MIB.into_iter().chain([smallest]).map(|mib| mib * MIB);
    likely.find(|bytes| *bytes > 0 && size.div_ceil(*bytes) == count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(algorithm: Algorithm, expected: &str, bytes: &[u8]) -> Result<Downloaded, Mismatch> {
        let mut verifier = Verifier::of(algorithm, expected, bytes.len() as u64);
        for chunk in bytes.chunks(1_000_003) {
            verifier.update(chunk);
        }
        verifier.finish()
    }

    /// The SHA-256 of "123456789", computed with Python's hashlib.
    const SHA256_OF_123456789: &str = "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225";

    /// The values are the CRCs' check values, and the other digests of "123456789" from Python's hashlib.
    #[test]
    fn checksums_are_those_of_their_definitions() {
        use ChecksumAlgorithm::{Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
        for (algorithm, value) in [
            (Algorithm::Checksum(Crc32), "y/Q5Jg=="),
            (Algorithm::Checksum(Crc32c), "4waSgw=="),
            (Algorithm::Checksum(Crc64Nvme), "rosUhgp5mIg="),
            (Algorithm::Checksum(Sha1), "98O8HYCOBHMq32eZZczDTKeuNEE="),
            (Algorithm::Checksum(Sha256), "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
            (Algorithm::Md5, "25f9e794323b453885f5181f1b624d0b"),
        ] {
            let downloaded = finished(algorithm, value, b"123456789").unwrap();
            assert_eq!(downloaded.verified_by, Some(algorithm.name()));
            assert_eq!(downloaded.sha256, SHA256_OF_123456789);
        }
    }

    /// The SHA-256 depends neither on what S3 has to compare, nor on parts.
    #[test]
    fn the_same_bytes_have_the_same_sha256_however_they_were_uploaded() {
        let mut nothing = Verifier::without_checksum();
        nothing.update(b"1234");
        nothing.update(b"56789");
        let expected = Downloaded { sha256: SHA256_OF_123456789.to_owned(), verified_by: None };
        assert_eq!(nothing.finish().unwrap(), expected);
        let in_parts = format!("{}-1", "0".repeat(32));
        assert_eq!(finished(Algorithm::Md5, &in_parts, b"123456789").unwrap(), expected);
    }

    #[test]
    fn the_size_of_parts_is_found_where_it_is_a_usual_one_or_the_only_one() {
        assert_eq!(part_bytes(0, 1), Some(1));
        assert_eq!(part_bytes(7, 1), Some(7));
        assert_eq!(part_bytes(20 * MIB, 3), Some(8 * MIB));
        assert_eq!(part_bytes(11 * MIB, 3), Some(5 * MIB));
        assert_eq!(part_bytes(40 * MIB, 2), Some(32 * MIB));
        assert_eq!(part_bytes(13 * MIB, 2), Some(8 * MIB));
        assert_eq!(part_bytes(44 * MIB, 2), Some(32 * MIB));
        assert_eq!(part_bytes(1000 * MIB, 3), Some(334 * MIB));
        assert_eq!(part_bytes(10, 3), None);
        assert_eq!(part_bytes(10, 0), None);
    }

    #[test]
    fn a_digest_of_parts_of_another_size_is_nothing_to_compare_and_a_checksum_of_one_part_is() {
        let bytes = vec![7; 20 * MIB as usize];
        let three = format!("{}-3", "0".repeat(32));
        assert_eq!(finished(Algorithm::Md5, &three, &bytes).unwrap().verified_by, None);
        let crc32 = Algorithm::Checksum(ChecksumAlgorithm::Crc32);
        assert_eq!(finished(crc32, "AAAAAA==-3", &bytes).unwrap().verified_by, None);
        assert!(finished(crc32, "AAAAAA==-1", &bytes).is_err());
        assert!(finished(crc32, "AAAAAA==", &bytes).is_err());
    }

    #[test]
    fn a_composite_checksum_that_does_not_say_of_how_many_parts_is_nothing_to_compare() {
        let object = Object {
            key: "a".into(),
            etag: "\"0-2\"".to_owned(),
            size: 1,
            last_modified: chrono::DateTime::UNIX_EPOCH,
        };
        for (kind, is_compared) in [(ChecksumType::Composite, false), (ChecksumType::FullObject, true)] {
            let answer = GetObjectOutput::builder().checksum_crc32("AAAAAA==").checksum_type(kind).build();
            let mut verifier = Verifier::new(&answer, &object);
            verifier.update(b"x");
            assert_eq!(verifier.finish().is_err(), is_compared);
        }
    }
}
