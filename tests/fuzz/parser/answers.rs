//! Files that answer a source's requests while it is written: responses as `curl -i` prints them.

use std::fs;

use recording_host_model::{Method, Request};

#[path = "../../../host/cli/src/inspect/answers.rs"]
mod code;

use crate::{
    mutate,
    parser::{Parser, owned, unmended},
};
use code::Answers;

/// Files of answers.
pub(crate) const ANSWERS: Parser = Parser {
    name: "answers",
    seeds: || {
        owned(&[
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX: y: z\r\n\r\n{\"a\":1}",
            b"HTTP/2 404\nx:\n\n",
            b"{\"a\":1}",
        ])
    },
    mutate: mutate::mutate,
    mend: unmended,
    feed,
};

fn feed(input: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("GET_a.example"), input).unwrap();
    let request = Request {
        method: Method::Get,
        url: "https://a.example/".to_owned(),
        headers: Vec::new(),
        body: None,
        repeatable: true,
    };
    let answer = Answers::new(folder.path()).of(&request).unwrap().unwrap();
    assert!(input.ends_with(&answer.body));
}
