//! Pseudonyms: HMAC-SHA-256 of a value's kind and the value, cut to 128 bits.
//!
//! The same key gives the same value the same pseudonym, in every run and on every host. Values of
//! different kinds have different ones, whatever they are; calling and called addresses are one
//! kind, so that the same number can be followed through both.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use recording_host_model::hex;

/// The prefix of every pseudonym.
const PREFIX: &str = "p_";
/// How many bytes of the digest a pseudonym has.
const LENGTH: usize = 16;

/// Makes pseudonyms.
#[derive(Clone, Debug)]
pub(super) struct Pseudonyms {
    key: SecretString,
}

impl Pseudonyms {
    pub(super) fn new(key: SecretString) -> Self {
        Pseudonyms { key }
    }

    /// The pseudonym of a field's value; nothing of nothing.
    pub(super) fn of(&self, field: &str, value: &str) -> String {
        let (kind, value) = match field {
            "ani" | "dnis" => ("address", address(value)),
            field => (field, value.trim().to_owned()),
        };
        if value.is_empty() {
            return value;
        }
        let key = self.key.expose_secret().as_bytes();
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
            // HMAC takes keys of any length. Were it not so, the pseudonym would be empty.
            return String::new();
        };
        // No kind has a zero in it, so that none can be taken for another with a longer value.
        for part in ["recording-host pseudonym 1", kind, &value] {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        let digest = mac.finalize().into_bytes();
        format!("{PREFIX}{}", hex(&digest[..LENGTH]))
    }
}

/// An address without what may be written in several ways: `tel:+1 (555) 010-0199` and
/// `sip:+15550100199@example.com;user=phone` are `+15550100199`.
fn address(text: &str) -> String {
    let mut rest = text.trim();
    for scheme in ["tel:", "sip:", "sips:", "mailto:"] {
        let head = rest.get(..scheme.len());
        if head.is_some_and(|head| head.eq_ignore_ascii_case(scheme)) {
            rest = &rest[scheme.len()..];
            break;
        }
    }
    let rest = rest.split([';', '?']).next().unwrap_or_default().trim();
    let user = rest.split('@').next().unwrap_or_default();
    let number: String = user
        .chars()
        .filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '/'))
        .collect();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let international = number.strip_prefix('+').is_some_and(digits);
    if international || (user.len() == rest.len() && digits(&number)) {
        number
    } else {
        rest.to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_one_form_however_it_is_written() {
        for (text, form) in [
            ("tel:+15550100199", "+15550100199"),
            (" +1 (555) 010-0199 ", "+15550100199"),
            ("TEL:+1-555-010-0199;ext=7", "+15550100199"),
            (
                "sip:+15550100199@edge.example.com;user=phone",
                "+15550100199",
            ),
            ("0555 0100199", "05550100199"),
            ("sip:Alice@Example.com", "alice@example.com"),
            ("mailto:Alice@example.com?subject=x", "alice@example.com"),
            ("100@example.com", "100@example.com"),
            ("anonymous", "anonymous"),
            ("", ""),
        ] {
            assert_eq!(address(text), form, "{text}");
        }
    }

    #[test]
    fn a_pseudonym_is_the_documented_one() {
        // printf 'recording-host pseudonym 1\0address\0+15550100199\0' |
        //   openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        let pseudonyms = Pseudonyms::new("0123456789abcdef0123456789abcdef".into());
        let pseudonym = pseudonyms.of("ani", "tel:+15550100199");
        assert_eq!(pseudonym, "p_213d15ff9f07421d5dc4a1f82159c2bb");
    }
}
