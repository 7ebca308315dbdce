//! Ids that look like random UUIDs and say what they stand for to those who know the seed.
//!
//! 122 bits are free in a UUID of version 4: 64 of them are the kind and number
//! of the thing, encrypted, and 58 prove that the id was made here.

use crate::rng::mix;

/// The kind of thing that an id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Conversation = 1,
    Recording,
    Participant,
    Session,
    User,
    Queue,
    Division,
    WrapUpCode,
    Job,
    Campaign,
    Search,
    Orphan,
    Annotation,
    Organization,
}

const KINDS: [Kind; 14] = [
    Kind::Conversation,
    Kind::Recording,
    Kind::Participant,
    Kind::Session,
    Kind::User,
    Kind::Queue,
    Kind::Division,
    Kind::WrapUpCode,
    Kind::Job,
    Kind::Campaign,
    Kind::Search,
    Kind::Orphan,
    Kind::Annotation,
    Kind::Organization,
];

/// Makes and reads the ids of an organization.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids {
    seed: u64,
}

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Ids { seed: mix(seed) }
    }

    /// The id of the thing `index` (48 bits) and its part `sub` (12 bits).
    pub(crate) fn make(&self, kind: Kind, index: u64, sub: u64) -> String {
        let plain = (kind as u64) << 60 | (sub & 0xfff) << 48 | index & 0xffff_ffff_ffff;
        let bits = u128::from(self.encrypt(plain)) << 58 | u128::from(self.proof(plain));
        let high = (bits >> 74) as u64;
        let middle = (bits >> 62) as u64 & 0xfff;
        let low = bits as u64 & (u64::MAX >> 2) | 1 << 63;
        format!(
            "{:08x}-{:04x}-4{middle:03x}-{:04x}-{:012x}",
            high >> 16,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }

    /// The kind, index and sub that an id stands for; none if it was not made here.
    pub(crate) fn read(&self, text: &str) -> Option<(Kind, u64, u64)> {
        let value = uuid(text)?;
        let (high, low) = ((value >> 64) as u64, value as u64);
        let bits = u128::from(high >> 16) << 74
            | u128::from(high & 0xfff) << 62
            | u128::from(low & (u64::MAX >> 2));
        let plain = self.decrypt((bits >> 58) as u64);
        let kind = *KINDS.get((plain >> 60).checked_sub(1)? as usize)?;
        let (sub, index) = (plain >> 48 & 0xfff, plain & 0xffff_ffff_ffff);
        (self.make(kind, index, sub) == text.to_ascii_lowercase()).then_some((kind, index, sub))
    }

    fn proof(&self, plain: u64) -> u64 {
        mix(mix(plain) ^ self.seed.rotate_left(17)) >> 6
    }

    fn encrypt(&self, plain: u64) -> u64 {
        let (mut left, mut right) = ((plain >> 32) as u32, plain as u32);
        for round in 0..4 {
            (left, right) = (right, left ^ self.round(round, right));
        }
        u64::from(left) << 32 | u64::from(right)
    }

    fn decrypt(&self, cipher: u64) -> u64 {
        let (mut left, mut right) = ((cipher >> 32) as u32, cipher as u32);
        for round in (0..4).rev() {
            (left, right) = (right ^ self.round(round, left), left);
        }
        u64::from(left) << 32 | u64::from(right)
    }

    fn round(&self, round: u64, half: u32) -> u32 {
        (mix(self.seed ^ round << 40 ^ u64::from(half)) >> 32) as u32
    }
}

/// The 128 bits of a UUID in its usual notation.
pub(crate) fn uuid(text: &str) -> Option<u128> {
    let right = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    right
        .then(|| u128::from_str_radix(&text.replace('-', ""), 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_and_read_back() {
        let ids = Ids::new(7);
        for (kind, index, sub) in [
            (Kind::Conversation, 0, 0),
            (Kind::Recording, 123_456_789, 4095),
            (Kind::Campaign, 0xffff_ffff_ffff, 1),
        ] {
            let id = ids.make(kind, index, sub);
            assert_eq!(id.len(), 36);
            assert_eq!(&id[14..15], "4");
            assert!("89ab".contains(&id[19..20]), "{id}");
            assert_eq!(ids.read(&id), Some((kind, index, sub)));
            assert_eq!(Ids::new(8).read(&id), None);
        }
        assert_eq!(ids.read("00000000-0000-4000-8000-000000000000"), None);
    }
}
