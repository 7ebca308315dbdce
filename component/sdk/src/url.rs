//! Parts of URLs: the host takes them as they are, so a source escapes what it puts into one.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// All but the unreserved characters (RFC 3986), as AWS encodes for its signatures, too.
const VALUE: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
const PATH: AsciiSet = VALUE.remove(b'/');

/// A text as it may stand between two slashes of a path, or in a query.
///
/// ```
/// assert_eq!(recording_source_sdk::url::escape("a b/é"), "a%20b%2F%C3%A9");
/// ```
#[must_use]
pub fn escape(text: &str) -> String {
    utf8_percent_encode(text, &VALUE).to_string()
}

/// A path whose slashes stay slashes.
///
/// ```
/// assert_eq!(recording_source_sdk::url::escape_path("day=5/a b"), "day%3D5/a%20b");
/// ```
#[must_use]
pub fn escape_path(path: &str) -> String {
    utf8_percent_encode(path, &PATH).to_string()
}

/// Unescapes a text from a query, where a plus is a space; bytes that are not UTF-8 become U+FFFD.
///
/// ```
/// use recording_source_sdk::url::unescape;
///
/// assert_eq!(unescape("a+b%2Bc"), "a b+c");
/// assert_eq!(unescape("%FF"), "\u{fffd}");
/// ```
#[must_use]
pub fn unescape(text: &str) -> String {
    let spaced = match text.contains('+') {
        true => Cow::Owned(text.replace('+', " ")),
        false => Cow::Borrowed(text),
    };
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}
