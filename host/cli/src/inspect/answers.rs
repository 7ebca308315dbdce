//! A folder of answers to a source's requests.
//!
//! The name of an answer follows from method and URL: `GET https://calls.example/list?page=2` is answered by
//! the file `GET_calls.example_list_page_2`. A file is a response as `curl -i` prints it, or a body alone,
//! which is one with status 200.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use recording_host_model::{Method, Request, Response, hex};
use sha2::{Digest, Sha256};

/// The most characters of a name; longer ones are cut and end with a digest.
const LONGEST: usize = 150;

/// The answers in a folder.
#[derive(Debug)]
pub(super) struct Answers {
    folder: PathBuf,
    /// How often each name has been asked for.
    asked: HashMap<String, u32>,
}

impl Answers {
    pub(super) fn new(folder: &Path) -> Self {
        Answers {
            folder: folder.to_owned(),
            asked: HashMap::new(),
        }
    }

    /// The answer to a request; the file that is looked for if there is none. The second request of a name
    /// is answered by `NAME.2` if that is there, and so on.
    ///
    /// # Errors
    /// The error from the system.
    pub(super) fn of(&mut self, request: &Request) -> io::Result<Result<Response, PathBuf>> {
        let name = name(request);
        let times = self.asked.entry(name.clone()).or_default();
        *times += 1;
        let plain = self.folder.join(&name);
        let numbered = self.folder.join(format!("{name}.{times}"));
        for path in [numbered, plain.clone()] {
            match fs::read(path) {
                Ok(bytes) => return Ok(Ok(response(bytes))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Err(plain))
    }
}

/// The name of the file that answers a request: the method and the URL without its scheme, each run of
/// characters but ASCII letters, digits, `.` and `-` as one `_`.
fn name(request: &Request) -> String {
    let url = &request.url;
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let text = format!("{} {rest}", method(request.method));
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-')));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let name = words.join("_");
    if name.len() <= LONGEST {
        return name;
    }
    let digest = hex(&Sha256::digest(&text));
    format!("{}_{}", &name[..LONGEST - 9], &digest[..8])
}

pub(super) fn method(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
    }
}

/// Reads a response as `curl -i` prints it; anything else is a body.
fn response(bytes: Vec<u8>) -> Response {
    with_head(&bytes).unwrap_or(Response {
        status: 200,
        headers: Vec::new(),
        body: bytes,
    })
}

fn with_head(bytes: &[u8]) -> Option<Response> {
    let mut rest = bytes.strip_prefix(b"HTTP/").map(|_| bytes)?;
    let status = line(&mut rest)?.split(' ').nth(1)?.parse().ok()?;
    let mut headers = Vec::new();
    loop {
        let text = line(&mut rest)?;
        if text.is_empty() {
            let body = rest.to_vec();
            return Some(Response {
                status,
                headers,
                body,
            });
        }
        let (name, value) = text.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// Takes a line, without its end, from the front.
fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let at = rest.iter().position(|byte| *byte == b'\n')?;
    let (line, after) = rest.split_at(at);
    *rest = &after[1..];
    let text = std::str::from_utf8(line).ok()?;
    Some(text.strip_suffix('\r').unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(url: &str) -> Request {
        Request {
            method: Method::Get,
            url: url.to_owned(),
            headers: Vec::new(),
            body: None,
            repeatable: true,
        }
    }

    #[test]
    fn a_name_follows_from_method_and_url_and_is_a_name_on_every_system() {
        assert_eq!(
            name(&get("https://calls.example/a/b.json?page=2&q=%2F..")),
            "GET_calls.example_a_b.json_page_2_q_2F.."
        );
        let long = |end: &str| name(&get(&format!("http://h/{}{end}", "a".repeat(300))));
        assert_eq!(long("x").len(), LONGEST);
        assert_ne!(long("x"), long("y"));
    }

    #[test]
    fn a_file_is_a_response_as_curl_prints_it_or_a_body() {
        let read = response(b"HTTP/2 404 \r\nRetry-After: 7\r\n\r\nno\n".to_vec());
        assert_eq!((read.status, read.body.as_slice()), (404, &b"no\n"[..]));
        assert_eq!(read.headers, [("retry-after".to_owned(), "7".to_owned())]);
        let plain = response(b"HTTP/ is a protocol".to_vec());
        assert_eq!((plain.status, plain.body.len()), (200, 19));
    }

    #[test]
    fn answers_are_had_in_their_order_and_a_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("GET_h_job"), "done").unwrap();
        fs::write(folder.path().join("GET_h_job.1"), "busy").unwrap();
        let mut answers = Answers::new(folder.path());
        let bodies: Vec<Vec<u8>> = (0..3)
            .map(|_| answers.of(&get("https://h/job")).unwrap().unwrap().body)
            .collect();
        assert_eq!(bodies, [&b"busy"[..], b"done", b"done"]);
        let missing = answers.of(&get("https://h/other")).unwrap();
        assert_eq!(missing, Err(folder.path().join("GET_h_other")));
    }
}
