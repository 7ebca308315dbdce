//! Properties of objects that several servers take, within the bounds that all of them have.

use std::collections::BTreeMap;

use recording_host_sink::ObjectOptions;

/// The most tags of an object, and the most characters of a tag's name and value: those of S3 (PutObject,
/// tagging) and of Azure (blob index tags).
const MOST_TAGS: usize = 10;
const MOST_NAME: usize = 128;
const MOST_VALUE: usize = 256;

/// Refuses properties of objects that no server takes; an error begins with the key below that of the sink.
pub(super) fn objects(options: &ObjectOptions) -> Result<(), (String, String)> {
    tags(&options.tags)?;
    object_metadata(&options.object_metadata)?;
    content_encoding(options.content_encoding.as_deref())
}

/// Refuses tags that no server takes.
fn tags(tags: &BTreeMap<String, String>) -> Result<(), (String, String)> {
    let most = format!(
        "an object has at most {MOST_TAGS} tags, and {} are given",
        tags.len()
    );
    if tags.len() > MOST_TAGS {
        return Err(("tags".to_owned(), most));
    }
    for (name, value) in tags {
        let at = || format!("tags.{name}");
        if name.is_empty() || name.chars().count() > MOST_NAME {
            return Err((
                at(),
                format!("a tag's name has 1 to {MOST_NAME} characters"),
            ));
        }
        if value.chars().count() > MOST_VALUE {
            return Err((
                at(),
                format!("a tag's value has at most {MOST_VALUE} characters"),
            ));
        }
    }
    Ok(())
}

/// Refuses metadata that no header can hold.
fn object_metadata(values: &BTreeMap<String, String>) -> Result<(), (String, String)> {
    let plain = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    for (name, value) in values {
        if !plain(value) || !plain(name) || name.is_empty() || name.contains([' ', ':']) {
            let reason =
                "names and values must be printable ASCII, names without spaces and colons";
            return Err((format!("object_metadata.{name}"), reason.to_owned()));
        }
    }
    Ok(())
}

/// Refuses a content encoding that is no word of a header.
fn content_encoding(given: Option<&str>) -> Result<(), (String, String)> {
    match given {
        Some(word) if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err((
                "content_encoding".to_owned(),
                "must be a word such as `identity`".to_owned(),
            ))
        }
        _ => Ok(()),
    }
}

/// Refuses a word that is none of those that there are.
pub(super) fn one_of(name: &str, known: &[&str]) -> Result<(), String> {
    match known.contains(&name) {
        true => Ok(()),
        false => Err(format!(
            "`{name}` is not known; use one of {}",
            known.join(", ")
        )),
    }
}
