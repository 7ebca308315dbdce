//! The checksums that S3 compares with what arrived.

use aws_sdk_s3::types::ChecksumAlgorithm;
use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};

use super::Checksum;
use recording_host_sink::Segments;

/// A checksum that goes with an object. The CRCs can be given for a whole object, however many parts it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Crc64Nvme,
    Crc32C,
    Crc32,
    /// In the header `Content-MD5`, which servers know that know no other, and which some demand of objects
    /// with a retention.
    Md5,
}

impl Algorithm {
    /// The algorithms that are tried, the best first.
    pub(super) const ALL: [Algorithm; 4] = [
        Algorithm::Crc64Nvme,
        Algorithm::Crc32C,
        Algorithm::Crc32,
        Algorithm::Md5,
    ];

    /// The algorithm that a configuration selects, before a check has found out more.
    pub(super) fn of(checksum: Checksum) -> Option<Self> {
        match checksum {
            Checksum::Auto | Checksum::Crc64nvme => Some(Algorithm::Crc64Nvme),
            Checksum::Crc32c => Some(Algorithm::Crc32C),
            Checksum::Crc32 => Some(Algorithm::Crc32),
            Checksum::Md5 => Some(Algorithm::Md5),
            Checksum::None => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Algorithm::Crc64Nvme => "crc64nvme",
            Algorithm::Crc32C => "crc32c",
            Algorithm::Crc32 => "crc32",
            Algorithm::Md5 => "md5",
        }
    }

    /// The algorithm as requests name it; none if they do not.
    pub(super) fn sdk(self) -> Option<ChecksumAlgorithm> {
        match self {
            Algorithm::Crc64Nvme => Some(ChecksumAlgorithm::Crc64Nvme),
            Algorithm::Crc32C => Some(ChecksumAlgorithm::Crc32C),
            Algorithm::Crc32 => Some(ChecksumAlgorithm::Crc32),
            Algorithm::Md5 => None,
        }
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Algorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Algorithm::Crc32C => Some(CrcAlgorithm::Crc32Iscsi),
            Algorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Algorithm::Md5 => None,
        }
    }

    pub(super) fn digest(self) -> Digest {
        Digest {
            algorithm: self,
            state: match self.crc() {
                Some(crc) => ChecksumState::Crc(Box::new(crc_fast::Digest::new(crc))),
                None => ChecksumState::Md5(Md5::new()),
            },
        }
    }

    pub(super) fn sum(self, segments: &Segments) -> Sum {
        let mut digest = self.digest();
        for data in segments.iter() {
            digest.update(data);
        }
        digest.finish()
    }
}

/// A checksum in the making.
#[derive(Debug)]
pub(super) struct Digest {
    algorithm: Algorithm,
    state: ChecksumState,
}

#[derive(Debug)]
enum ChecksumState {
    Crc(Box<crc_fast::Digest>),
    Md5(Md5),
}

impl Digest {
    pub(super) fn update(&mut self, data: &[u8]) {
        match &mut self.state {
            ChecksumState::Crc(digest) => digest.update(data),
            ChecksumState::Md5(digest) => digest.update(data),
        }
    }

    pub(super) fn finish(self) -> Sum {
        Sum {
            algorithm: self.algorithm,
            value: match self.state {
                ChecksumState::Crc(digest) => digest.finalize().into(),
                ChecksumState::Md5(digest) => u128::from_be_bytes(digest.finalize().into()),
            },
        }
    }
}

/// A checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) algorithm: Algorithm,
    value: u128,
}

impl Sum {
    /// The sum as a header carries it, if it is of this algorithm.
    pub(super) fn text(self, algorithm: Algorithm) -> Option<String> {
        let bytes = self.value.to_be_bytes();
        let bytes = match algorithm {
            Algorithm::Crc64Nvme => &bytes[8..],
            Algorithm::Crc32C | Algorithm::Crc32 => &bytes[12..],
            Algorithm::Md5 => &bytes[..],
        };
        (self.algorithm == algorithm).then(|| aws_smithy_types::base64::encode(bytes))
    }

    /// The sum of these bytes and of `length` more, whose sum is `next`; none if only the bytes show it.
    pub(super) fn then(self, next: Sum, length: usize) -> Option<Sum> {
        let [one, other] = [self.value as u64, next.value as u64];
        let value = crc_fast::checksum_combine(self.algorithm.crc()?, one, other, length as u64);
        Some(Sum {
            value: value.into(),
            ..self
        })
    }

    /// A sum that is certain to be wrong for whatever this one is right for.
    pub(super) fn wrong(self) -> Sum {
        Sum {
            value: self.value ^ 1,
            ..self
        }
    }
}

/// Gives a request the checksum, if there is one, in the header of its algorithm.
macro_rules! with_sum {
    ($request:expr, $sum:expr) => {{
        let sum: Option<$crate::checksum::Sum> = $sum;
        let text = |algorithm| sum.and_then(|sum| sum.text(algorithm));
        $request
            .set_checksum_crc64_nvme(text($crate::checksum::Algorithm::Crc64Nvme))
            .set_checksum_crc32_c(text($crate::checksum::Algorithm::Crc32C))
            .set_checksum_crc32(text($crate::checksum::Algorithm::Crc32))
    }};
}

/// Gives a request with a body the checksum, in whichever header there is for it.
macro_rules! with_body_sum {
    ($request:expr, $sum:expr) => {{
        let sum: Option<$crate::checksum::Sum> = $sum;
        let md5 = sum.and_then(|sum| sum.text($crate::checksum::Algorithm::Md5));
        $crate::checksum::with_sum!($request, sum).set_content_md5(md5)
    }};
}

/// The checksum of a whole object or part in an answer, with its algorithm.
macro_rules! sum_in {
    ($answer:expr) => {{
        use $crate::checksum::Algorithm;
        let answer = &$answer;
        [
            (Algorithm::Crc64Nvme, answer.checksum_crc64_nvme()),
            (Algorithm::Crc32C, answer.checksum_crc32_c()),
            (Algorithm::Crc32, answer.checksum_crc32()),
        ]
        .into_iter()
        // A checksum of checksums ends with the number of parts: it says nothing about the whole.
        .find_map(|(algorithm, text)| {
            let text = text.filter(|text| !text.is_empty() && !text.contains('-'))?;
            Some((algorithm, text.to_owned()))
        })
    }};
}

pub(super) use {sum_in, with_body_sum, with_sum};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_parts_make_the_sum_of_the_whole() {
        let (one, other) = (b"one part, ".as_slice(), b"and another".as_slice());
        for algorithm in Algorithm::ALL {
            let sum = |pieces: &[&[u8]]| {
                let mut digest = algorithm.digest();
                pieces.iter().for_each(|piece| digest.update(piece));
                digest.finish()
            };
            let (joined, whole) = (
                sum(&[one]).then(sum(&[other]), other.len()),
                sum(&[one, other]),
            );
            let combines = algorithm != Algorithm::Md5;
            assert_eq!(joined, combines.then_some(whole));
            assert_ne!(whole, whole.wrong());
        }
    }

    /// The check values of the CRC catalog, in the form in which S3 documents them.
    #[test]
    fn sums_are_written_as_s3_writes_them() {
        for (algorithm, text) in [
            (Algorithm::Crc64Nvme, "rosUhgp5mIg="),
            (Algorithm::Crc32C, "4waSgw=="),
            (Algorithm::Crc32, "y/Q5Jg=="),
            (Algorithm::Md5, "JfnnlDI7RTiF9RgfG2JNCw=="),
        ] {
            let mut digest = algorithm.digest();
            digest.update(b"123456789");
            assert_eq!(digest.finish().text(algorithm).as_deref(), Some(text));
        }
    }
}
