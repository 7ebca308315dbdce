//! The parameters in a query, read as strictly as bodies are.

use super::Refusal;
use crate::http::Request;

/// The parameters of a request.
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads them; one that is not `known` is refused.
    pub(super) fn of(request: &Request, known: &[&str]) -> Result<Self, Refusal> {
        let pairs = request.query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name), decoded(value));
            match known.contains(&name.as_str()) {
                true => Ok((name, value)),
                false => Err(Refusal::bad(format!("The parameter {name} is not known"))),
            }
        });
        pairs.collect::<Result<_, _>>().map(Params)
    }

    /// A parameter that may be there once.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.all(name);
        all.next()
    }

    /// A parameter that may be there more than once.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.0.iter().filter(move |(known, _)| known == name);
        pairs.map(|(_, value)| value.as_str())
    }

    /// A number within bounds.
    pub(super) fn number(&self, name: &str, default: u64, most: u64) -> Result<u64, Refusal> {
        let Some(text) = self.get(name) else {
            return Ok(default);
        };
        let number = text.parse().ok().filter(|number| *number <= most);
        number.ok_or_else(|| Refusal::bad(format!("{name} {text} must be a number up to {most}")))
    }

    /// One of the values that are known.
    pub(super) fn choice<'a>(
        &'a self,
        name: &str,
        known: &[&str],
    ) -> Result<Option<&'a str>, Refusal> {
        match self.get(name) {
            Some(value) if !known.contains(&value) => Err(Refusal::new(
                hyper::StatusCode::BAD_REQUEST,
                "invalid.value",
                format!("{value} is not a value of {name}"),
            )),
            value => Ok(value),
        }
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let pair = (byte == b'%').then(|| [rest.next(), rest.next()]);
        match pair {
            Some([Some(high), Some(low)]) => {
                let hex = [high, low];
                let hex = std::str::from_utf8(&hex).ok();
                let value = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
                bytes.push(value.unwrap_or(b'?'));
            }
            Some(_) => bytes.push(b'?'),
            None if byte == b'+' => bytes.push(b' '),
            None => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
