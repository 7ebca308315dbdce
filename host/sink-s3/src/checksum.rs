//! The checksums that S3 compares with what arrived.

use aws_sdk_s3::types::ChecksumAlgorithm;
use crc_fast::CrcAlgorithm;

use super::Checksum;
use recording_host_sink::Segments;

/// A checksum that can be given for a whole object, however many parts it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Crc64Nvme,
    Crc32C,
    Crc32,
}

impl Algorithm {
    /// The algorithms that are tried, the best first.
    pub(super) const ALL: [Algorithm; 3] =
        [Algorithm::Crc64Nvme, Algorithm::Crc32C, Algorithm::Crc32];

    /// The algorithm that a configuration selects, before a check has found out more.
    pub(super) fn of(checksum: Checksum) -> Option<Self> {
        match checksum {
            Checksum::Auto | Checksum::Crc64nvme => Some(Algorithm::Crc64Nvme),
            Checksum::Crc32c => Some(Algorithm::Crc32C),
            Checksum::Crc32 => Some(Algorithm::Crc32),
            Checksum::None => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Algorithm::Crc64Nvme => "crc64nvme",
            Algorithm::Crc32C => "crc32c",
            Algorithm::Crc32 => "crc32",
        }
    }

    pub(super) fn sdk(self) -> ChecksumAlgorithm {
        match self {
            Algorithm::Crc64Nvme => ChecksumAlgorithm::Crc64Nvme,
            Algorithm::Crc32C => ChecksumAlgorithm::Crc32C,
            Algorithm::Crc32 => ChecksumAlgorithm::Crc32,
        }
    }

    fn crc(self) -> CrcAlgorithm {
        match self {
            Algorithm::Crc64Nvme => CrcAlgorithm::Crc64Nvme,
            Algorithm::Crc32C => CrcAlgorithm::Crc32Iscsi,
            Algorithm::Crc32 => CrcAlgorithm::Crc32IsoHdlc,
        }
    }

    pub(super) fn digest(self) -> Digest {
        Digest {
            algorithm: self,
            digest: crc_fast::Digest::new(self.crc()),
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
    digest: crc_fast::Digest,
}

impl Digest {
    pub(super) fn update(&mut self, data: &[u8]) {
        self.digest.update(data);
    }

    pub(super) fn finish(self) -> Sum {
        Sum {
            algorithm: self.algorithm,
            value: self.digest.finalize(),
        }
    }
}

/// A checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) algorithm: Algorithm,
    value: u64,
}

impl Sum {
    /// The sum as a header carries it, if it is of this algorithm.
    pub(super) fn text(self, algorithm: Algorithm) -> Option<String> {
        let bytes = self.value.to_be_bytes();
        let bytes = match algorithm {
            Algorithm::Crc64Nvme => &bytes[..],
            Algorithm::Crc32C | Algorithm::Crc32 => &bytes[4..],
        };
        (self.algorithm == algorithm).then(|| aws_smithy_types::base64::encode(bytes))
    }

    /// The sum of these bytes and of `length` more, whose sum is `next`.
    pub(super) fn then(self, next: Sum, length: usize) -> Sum {
        Sum {
            value: crc_fast::checksum_combine(
                self.algorithm.crc(),
                self.value,
                next.value,
                length as u64,
            ),
            ..self
        }
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

pub(super) use {sum_in, with_sum};

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
            let joined = sum(&[one]).then(sum(&[other]), other.len());
            assert_eq!(joined, sum(&[one, other]));
            assert_ne!(joined, joined.wrong());
        }
    }

    /// The check values of the CRC catalog, in the form in which S3 documents them.
    #[test]
    fn sums_are_written_as_s3_writes_them() {
        for (algorithm, text) in [
            (Algorithm::Crc64Nvme, "rosUhgp5mIg="),
            (Algorithm::Crc32C, "4waSgw=="),
            (Algorithm::Crc32, "y/Q5Jg=="),
        ] {
            let mut digest = algorithm.digest();
            digest.update(b"123456789");
            assert_eq!(digest.finish().text(algorithm).as_deref(), Some(text));
        }
    }
}
