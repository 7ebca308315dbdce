//! JSON of others, read leniently and never believed.
//!
//! Three guarantees: an invalid character costs the character ([`clean`]); a field of an unexpected
//! type costs the field, which is named by its path ([`Object`], [`Odd`]); an odd element of a list
//! costs the element. Nothing is ever a tree of values in memory: fields that nobody reads are
//! skipped, however deep they are nested.
//!
//! A document is checked once, as a whole, by `serde_json`. Then its long lists and objects are measured, and
//! reading it jumps over them: what is within many others costs little more than what is at the top.

mod object;
#[cfg(test)]
mod random_tests;
mod scan;
mod text;

pub use object::{Object, Odd};
pub use text::{clean, instant};

use serde::de::DeserializeOwned;
use serde_json::{Error, value::RawValue};

use scan::Lengths;

/// Reads JSON into a type of one's own, after [`clean`].
///
/// A type that is read by this is strict about its own fields; prefer [`object`] for the answers of a
/// vendor.
///
/// # Errors
/// The bytes are not JSON, or not JSON of this type.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_str(&clean(bytes))
}

/// Reads an object field by field; returns the result of `read`, and the odd fields.
///
/// # Errors
/// The bytes are not a JSON object.
pub fn object<T>(bytes: &[u8], read: impl FnOnce(&Object<'_>) -> T) -> Result<(T, Odd), Error> {
    Object::read(&clean(bytes), read)
}

/// Reads a list of objects; elements that are none are odd, and `null` is an empty list.
///
/// # Errors
/// The bytes are not a JSON list.
pub fn list<T>(
    bytes: &[u8],
    mut read: impl FnMut(&Object<'_>) -> T,
) -> Result<(Vec<T>, Odd), Error> {
    let text = clean(bytes);
    let odd = Odd::default();
    let elements: Option<Vec<&RawValue>> = serde_json::from_str(&text)?;
    let elements = elements.unwrap_or_default().into_iter();
    let elements = elements.map(RawValue::get).collect();
    let lengths = Lengths::of(&text);
    let made = object::elements("", elements, &lengths, &odd).map(|element| read(&element));
    Ok((made.collect(), odd))
}
