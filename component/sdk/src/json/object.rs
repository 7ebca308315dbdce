//! An object of somebody else's: fields are taken one by one, and odd ones are named.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use serde_json::{Error, value::RawValue};

use super::{
    instant,
    scan::{Lengths, plain},
};
use crate::Timestamp;

/// The most paths that are kept; of more only the number is.
const NAMED: usize = 10;

/// The fields that were dropped because they were not of a type that makes sense there.
///
/// Paths name fields and places in lists, such as `participants[1].sessions[0].metrics[0].value`;
/// neither values nor keys that are data are ever part of them.
#[derive(Debug, Default)]
pub struct Odd {
    count: Cell<usize>,
    first: RefCell<Vec<String>>,
}

impl Odd {
    /// The number of dropped fields.
    pub fn count(&self) -> usize {
        self.count.get()
    }

    /// The paths of the first few.
    pub fn paths(&self) -> Vec<String> {
        self.first.borrow().clone()
    }

    /// Returns true if one of the first few is at this path or below it, or if there are more than
    /// are named.
    pub fn touches(&self, path: &str) -> bool {
        let first = self.first.borrow();
        let below = |odd: &String| {
            odd.strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.count.get() > first.len() || first.iter().any(below)
    }

    fn add(&self, path: String) {
        self.count.set(self.count.get() + 1);
        let mut first = self.first.borrow_mut();
        if first.len() < NAMED {
            first.push(path);
        }
    }
}

/// An object, whose fields are read one by one. A field that is missing or `null` is absent, whatever
/// it ought to be; one of another type is taken for what it obviously means, or else is odd.
#[derive(Debug)]
pub struct Object<'a> {
    /// In their order: of two of one name the later one counts.
    fields: Cow<'a, [Field<'a>]>,
    path: Path,
    lengths: &'a Lengths,
    odd: &'a Odd,
}

/// The name of a field, and its value as it is written.
type Field<'a> = (Cow<'a, str>, &'a str);

/// The path of a field, or of an element of the list there.
#[derive(Clone, Debug, Default)]
pub(super) struct Path {
    field: Rc<str>,
    element: Option<usize>,
}

impl Path {
    fn written(&self) -> String {
        match self.element {
            Some(place) => [&self.field, "[", &place.to_string(), "]"].concat(),
            None => self.field.to_string(),
        }
    }
}

impl<'a> Object<'a> {
    /// Reads an object that is kept as JSON text, with its own list of oddities.
    ///
    /// # Errors
    /// The text is not a JSON object.
    pub fn read<T>(json: &str, read: impl FnOnce(&Object<'_>) -> T) -> Result<(T, Odd), Error> {
        let fields = root(json)?;
        let odd = Odd::default();
        let made = read(&Object {
            fields: fields.into(),
            path: Path::default(),
            lengths: &Lengths::of(json),
            odd: &odd,
        });
        Ok((made, odd))
    }

    /// Reads this object by itself: with its own list of oddities, whose paths begin here.
    pub fn apart<T>(&self, read: impl FnOnce(&Object<'_>) -> T) -> (T, Odd) {
        let odd = Odd::default();
        let made = read(&Object {
            fields: Cow::Borrowed(&self.fields),
            path: Path::default(),
            lengths: self.lengths,
            odd: &odd,
        });
        (made, odd)
    }

    /// Returns true if the field is there and not `null`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// The field as JSON, whatever it is.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&'a str> {
        let (_, raw) = self.fields.iter().rev().find(|(key, _)| key == name)?;
        (*raw != "null").then_some(*raw)
    }

    /// A text; numbers and truth values as they are written.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.take(name, text).map(Cow::into_owned)
    }

    /// A truth value, also as the text `true` or `false`.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.take(name, |raw| {
            let text = text(raw)?;
            let is = |word| text.trim().eq_ignore_ascii_case(word);
            is("true").then_some(true).or(is("false").then_some(false))
        })
    }

    /// A finite number, also as text.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        self.take(name, number)
    }

    /// A whole number that is not negative, also as text.
    #[must_use]
    pub fn count(&self, name: &str) -> Option<u64> {
        self.take(name, |raw| {
            let exact = text(raw)?.trim().parse().ok();
            // Beyond 2^53 a floating-point number is no longer a count.
            exact.or_else(|| {
                number(raw)
                    .filter(|value| value.fract() == 0.0 && (0.0..9e15).contains(value))
                    .map(|value| value as u64)
            })
        })
    }

    /// An instant, as text or in milliseconds since the epoch.
    #[must_use]
    pub fn instant(&self, name: &str) -> Option<Timestamp> {
        self.take(name, |raw| {
            let text = text(raw)?;
            // Milliseconds, if after 1973: a number of seconds is smaller.
            instant(text.trim())
                .or_else(|| text.trim().parse().ok().filter(|ms| *ms > 100_000_000_000))
        })
    }

    /// A list of texts; a single text is a list of one.
    #[must_use]
    pub fn texts(&self, name: &str) -> Vec<String> {
        let Some(raw) = self.raw(name) else {
            return Vec::new();
        };
        if !raw.starts_with('[') {
            return self.text(name).into_iter().collect();
        }
        let elements = self.elements(name).into_iter().enumerate();
        let texts = elements.filter_map(|(place, one)| {
            let text = text(one);
            if text.is_none() {
                self.odd.add(format!("{}[{place}]", self.at(name)));
            }
            text.map(Cow::into_owned)
        });
        texts.collect()
    }

    /// An object's fields as texts, by name; those that are `null` are absent. Their names are data:
    /// an odd one is named by this field.
    #[must_use]
    pub fn pairs(&self, name: &str) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for (key, raw) in self.named(name) {
            match text(raw) {
                Some(text) => pairs.push((key.into_owned(), text.into_owned())),
                None if raw == "null" => {}
                None => self.mark(name),
            }
        }
        pairs
    }

    /// The elements of a list as JSON, whatever they are.
    #[must_use]
    pub fn elements(&self, name: &str) -> Vec<&'a str> {
        let elements = self.take(name, |raw| {
            let list = raw.starts_with('[');
            list.then(|| self.lengths.inside(raw).collect())
        });
        elements.unwrap_or_default()
    }

    /// The objects in a list.
    pub fn objects(&self, name: &str) -> impl Iterator<Item = Object<'a>> + use<'a> {
        let list = self.elements(name);
        let field = (!list.is_empty()).then(|| self.at(name));
        elements(&field.unwrap_or_default(), list, self.lengths, self.odd)
    }

    /// The objects in an object, by name.
    #[must_use]
    pub fn named_objects(&self, name: &str) -> Vec<(String, Object<'a>)> {
        let mut objects = Vec::new();
        for (key, raw) in self.named(name) {
            let path = Path {
                field: self.at(name).into(),
                element: None,
            };
            match Object::at_path(raw, path, self.lengths, self.odd) {
                Some(object) => objects.push((key.into_owned(), object)),
                None => self.mark(name),
            }
        }
        objects
    }

    /// Marks a field as odd, for a reason of the caller's.
    pub fn mark(&self, name: &str) {
        self.odd.add(self.at(name));
    }

    /// An object at a path of the text whose lengths are known; none if it is something else.
    fn at_path(raw: &'a str, path: Path, lengths: &'a Lengths, odd: &'a Odd) -> Option<Self> {
        Some(Object {
            fields: fields(raw, lengths)?.into(),
            path,
            lengths,
            odd,
        })
    }

    /// The path of a field.
    fn at(&self, name: &str) -> String {
        match self.path.written().as_str() {
            "" => name.to_owned(),
            path => [path, ".", name].concat(),
        }
    }

    fn take<T>(&self, name: &str, read: impl FnOnce(&'a str) -> Option<T>) -> Option<T> {
        let read = read(self.raw(name)?);
        if read.is_none() {
            self.mark(name);
        }
        read
    }

    /// The fields of an object, in the order of their names.
    fn named(&self, name: &str) -> BTreeMap<Cow<'a, str>, &'a str> {
        let mut named = BTreeMap::new();
        let fields = self.take(name, |raw| fields(raw, self.lengths));
        named.extend(fields.into_iter().flatten());
        named
    }
}

/// The objects among the elements of the list that is this field.
pub(super) fn elements<'a>(
    field: &str,
    list: Vec<&'a str>,
    lengths: &'a Lengths,
    odd: &'a Odd,
) -> impl Iterator<Item = Object<'a>> + use<'a> {
    let field: Rc<str> = field.into();
    let elements = list.into_iter().enumerate();
    elements.filter_map(move |(place, raw)| {
        let path = Path {
            field: Rc::clone(&field),
            element: Some(place),
        };
        let object = Object::at_path(raw, path.clone(), lengths, odd);
        if object.is_none() {
            odd.add(path.written());
        }
        object
    })
}

/// The fields of an object that has not been found valid.
fn root(json: &str) -> Result<Vec<Field<'_>>, Error> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(json)?;
    let fields = fields.into_iter();
    Ok(fields.map(|(key, raw)| (key.into(), raw.get())).collect())
}

/// The fields of an object; none if it is something else, or if a name is no text.
fn fields<'a>(raw: &'a str, lengths: &'a Lengths) -> Option<Vec<Field<'a>>> {
    if !raw.starts_with('{') {
        return None;
    }
    let mut fields = Vec::with_capacity(8);
    let mut inside = lengths.inside(raw);
    while let (Some(key), Some(value)) = (inside.next(), inside.next()) {
        fields.push((text(key)?, value));
    }
    Some(fields)
}

/// A scalar as text.
fn text(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes() {
        [b'"', inner @ .., b'"'] if plain(inner, b'"') == inner.len() => {
            Some(raw[1..raw.len() - 1].into())
        }
        [b'"', ..] => serde_json::from_str::<String>(raw).ok().map(Cow::Owned),
        [] | [b'{' | b'[' | b'n', ..] => None,
        _ => Some(raw.into()),
    }
}

fn number(raw: &str) -> Option<f64> {
    let number: f64 = text(raw)?.trim().parse().ok()?;
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use crate::json::{list, object};

    #[test]
    fn what_has_an_obvious_meaning_is_kept_and_the_rest_is_named_by_its_path() {
        let json =
            br#"{"id": 4711, "on": "TRUE", "off": false, "many": "12", "few": 3.0, "much": "1.5e3",
            "at": 1767607200000, "tags": ["a", null, 7, {}], "tag": "one", "none": null,
            "map": {"vip": true, "n": 3, "x": null, "y": []},
            "in": [{"v": {"a": 1}}, null, 3, {"v": "x", "deep": [{"w": [1]}]}],
            "not": {}, "huge": 1e999, "neg": -1}"#;
        let ((), odd) = object(json, |object| {
            assert_eq!(object.text("id").as_deref(), Some("4711"));
            assert_eq!(
                (object.flag("on"), object.flag("off")),
                (Some(true), Some(false))
            );
            assert_eq!(
                (object.count("many"), object.count("few")),
                (Some(12), Some(3))
            );
            assert_eq!(object.number("much"), Some(1500.0));
            assert_eq!(object.instant("at"), Some(1_767_607_200_000));
            assert_eq!(object.texts("tags"), ["a", "7"]);
            assert_eq!(object.texts("tag"), ["one"]);
            assert!(object.text("none").is_none() && object.texts("none").is_empty());
            assert!(object.objects("none").next().is_none() && !object.has("none"));
            let pairs = [("n", "3"), ("vip", "true")];
            assert_eq!(
                object.pairs("map"),
                pairs.map(|(a, b)| (a.to_owned(), b.to_owned()))
            );
            let values = object.objects("in").map(|one| {
                for deep in one.objects("deep") {
                    assert_eq!(deep.text("w"), None);
                }
                one.text("v")
            });
            assert_eq!(values.collect::<Vec<_>>(), [None, Some("x".to_owned())]);
            assert!(object.objects("not").next().is_none());
            assert_eq!((object.number("huge"), object.count("neg")), (None, None));
            assert_eq!(object.flag("id"), None);
        })
        .unwrap();
        let expected = [
            "tags[1]",
            "tags[3]",
            "map",
            "in[0].v",
            "in[1]",
            "in[2]",
            "in[3].deep[0].w",
            "not",
            "huge",
            "neg",
        ];
        assert_eq!(odd.paths(), expected);
        assert_eq!(odd.count(), 11);
        assert!(
            odd.touches("in") && odd.touches("elsewhere"),
            "one more is not named"
        );
    }

    #[test]
    fn an_object_that_is_read_apart_has_oddities_of_its_own() {
        let json = br#"{"rows": [{"id": []}, {"id": "a", "parts": [{"n": {}}]}]}"#;
        let (rows, odd) = object(json, |body| {
            let rows = body.objects("rows").map(|row| {
                let (id, odd) = row.apart(|row| {
                    for part in row.objects("parts") {
                        assert_eq!(part.count("n"), None);
                    }
                    row.text("id")
                });
                (id, odd.paths())
            });
            rows.collect::<Vec<_>>()
        })
        .unwrap();
        let expected = [
            (None, vec!["id".to_owned()]),
            (Some("a".to_owned()), vec!["parts[0].n".to_owned()]),
        ];
        assert_eq!(rows, expected);
        assert_eq!(odd.count(), 0);
    }

    #[test]
    fn what_is_nested_without_end_is_skipped() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let json = format!(r#"{{"deep": {deep}, "id": "a", "a": "\ud83d"}}"#);
        let (read, odd) = object(json.as_bytes(), |object| {
            (object.text("id"), object.text("deep"), object.text("a"))
        })
        .unwrap();
        assert_eq!(
            read,
            (Some("a".to_owned()), None, Some("\u{fffd}".to_owned()))
        );
        assert_eq!(odd.paths(), ["deep"]);
        assert!(odd.touches("deep") && !odd.touches("de"));
    }

    #[test]
    fn lists_at_the_top_are_read_element_by_element() {
        let (ids, odd) = list(br#"[{"id": "a"}, null, {"id": 2}, "x"]"#, |one| {
            one.text("id")
        })
        .unwrap();
        assert_eq!(ids, [Some("a".to_owned()), Some("2".to_owned())]);
        assert_eq!(odd.paths(), ["[1]", "[3]"]);
        assert!(list(b"null", |_| ()).unwrap().0.is_empty());
        assert!(list(b"{}", |_| ()).is_err() && object(b"[]", |_| ()).is_err());
    }
}
