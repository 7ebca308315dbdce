//! Objects that a sink has encrypted, in the age format.

use std::{
    io::{Read, Write},
    sync::LazyLock,
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use recording_host_sink::encryption::Identities;
use sha2::Sha256;
use tempfile::NamedTempFile;

use crate::{
    mutate,
    parser::{Parser, owned},
};

/// Encrypted objects.
pub(crate) const ENCRYPTED: Parser = Parser {
    name: "encrypted",
    seeds: || owned(&SEALED.map(|(sealed, _)| sealed)),
    mutate: mutate::mutate,
    mend,
    feed,
};

/// What the writer made for one recipient and for two, and of nothing; and the key of each file, with which the
/// header's checksum is made.
const SEALED: [(&[u8], [u8; 16]); 3] = [
    (include_bytes!("../../fixtures/encrypted/one.age"), KEY_ONE),
    (include_bytes!("../../fixtures/encrypted/two.age"), KEY_TWO),
    (
        include_bytes!("../../fixtures/encrypted/empty.age"),
        KEY_EMPTY,
    ),
];
const KEY_ONE: [u8; 16] = u128::to_be_bytes(0x4b1d_5178_be5d_2f91_2cf2_9ea3_11f2_f165);
const KEY_TWO: [u8; 16] = u128::to_be_bytes(0x46d6_2210_4dd1_fb99_4f51_8ec4_eff7_85e5);
const KEY_EMPTY: [u8; 16] = u128::to_be_bytes(0x2c44_a4ff_4e50_17e6_73bf_1cb4_94be_1357);
/// Where the checksum of a header begins.
const END: &[u8] = b"\n--- ";

static IDENTITIES: LazyLock<Identities> = LazyLock::new(|| {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(include_bytes!("../../fixtures/encrypted/identity.txt"))
        .unwrap();
    Identities::load(file.path()).unwrap()
});
/// The plaintext of the seeds.
static PLAIN: LazyLock<[Vec<u8>; 3]> =
    LazyLock::new(|| SEALED.map(|(sealed, _)| opened(sealed).expect("a seed is sound")));

fn opened(sealed: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    IDENTITIES
        .decrypt(sealed)
        .ok()?
        .read_to_end(&mut plain)
        .ok()?;
    Some(plain)
}

fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// Makes the checksum of a header right (age v1, "Header MAC"), with the key of the seed whose first recipient's
/// line it has.
fn mend(input: &mut [u8]) {
    let Some(end) = input.windows(END.len()).position(|part| part == END) else {
        return;
    };
    let line = |sealed: &'static [u8]| sealed.split(|byte| *byte == b'\n').nth(2).unwrap();
    let seed = SEALED.iter().find(|(sealed, _)| {
        let body = line(sealed);
        input.windows(body.len()).any(|part| part == body)
    });
    let (begin, key) = (end + END.len(), seed.unwrap_or(&SEALED[0]).1);
    // HKDF-SHA-256 without a salt (RFC 5869).
    let expanded = hmac(&hmac(&[0; 32], &key), b"header\x01");
    let sum = STANDARD_NO_PAD.encode(hmac(&expanded, &input[..begin - 1]));
    if let Some(place) = input.get_mut(begin..begin + sum.len()) {
        place.copy_from_slice(sum.as_bytes());
    }
}

fn feed(input: &[u8]) {
    match IDENTITIES.decrypt(input) {
        Err(error) => drop(error.to_string()),
        Ok(_) => {
            if let Some(plain) = opened(input) {
                assert!(
                    PLAIN.contains(&plain),
                    "something else was decrypted as if it were sound"
                );
            }
        }
    }
}
