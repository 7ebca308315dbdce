//! What a browser sends to the page of an archive: paths, searches in an address and in a form, ranges of media,
//! and the headers by which a request from elsewhere is known.
//!
//! An input is a byte that chooses whether the page wants a token, and a request: its head without what tells of
//! the connection and the length, an empty line, and the body.

use std::{io, net::Ipv4Addr, path::Path, sync::Arc};

use recording_host_page::{AccessLog, Archive, Guard, Index, Page, Token, serve};
use recording_host_sink::filesystem::Filesystem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};

use crate::{
    mutate::{self, Rng},
    parser::{Parser, unmended},
};

/// Requests to the page.
pub(crate) const PAGE: Parser = Parser {
    name: "page",
    seeds,
    mutate,
    mend: unmended,
    feed,
};

/// The archive that is shown.
const ARCHIVE: &str = "tests/fixtures/archive-v1/plain";
const OPEN: u8 = 0;
const WITH_TOKEN: u8 = 1;
/// What stands for the session that the token was exchanged for.
const SESSION: &str = "{session}";
/// The headers that are made for each request, so that it ends and is answered.
const MADE: [&str; 5] = [
    "connection",
    "content-length",
    "expect",
    "transfer-encoding",
    "upgrade",
];
/// A conversation with a recording.
const ID: &str = "085b1296-8040-4702-826e-43048bbff9fe";

fn seeds() -> Vec<Vec<u8>> {
    let get = |path: &str, headers: &str| format!("GET {path} HTTP/1.1\nhost: page\n{headers}\n");
    let post = |path: &str, form: &str| format!("POST {path} HTTP/1.1\nhost: page\n\n{form}");
    let of = |before: &str, after: &str| format!("/{before}/{ID}{after}");
    let open = [
        get("/", ""),
        get("/", "x-part: figures\n"),
        get("/", "sec-fetch-site: same-origin\norigin: http://page\n"),
        get("/page.js", ""),
        get(
            "/recordings?from=2026-01-05&to=2026-01-10&direction=inbound&outcome=stored&order=longest",
            "",
        ),
        get("/recordings?kind=audio%2Fogg&code=archived&q=x", ""),
        get("/day/2026-01-08", ""),
        get("/losses/archived", ""),
        get(&of("r", "/0"), ""),
        get(&of("r", "/0"), "x-part: 1\n"),
        get(&of("media", "/0"), "range: bytes=2-99\n"),
        get(&of("media", "/0"), "range: bytes=-5\n"),
        get(&of("media", "/0"), "range: bytes=0-18446744073709551615\n"),
        get(&of("download", "/0"), "range: bytes=7-\n"),
        get(&of("peaks", "/0"), ""),
        get(&of("download", "/0"), "").replace("GET", "HEAD"),
        post(
            "/recordings",
            "q=ada+moreau&agent=%22Ada+Moreau%22&queue=d453&wrap_up=b0&facets=1",
        ),
        post("/recordings", "q=%E0%A4%B9%E0%A4%BF%E0%A4%A8+a%E2%92%B6b"),
        post("/recordings", "number=%2B1555&exact=1&order=largest"),
        post("/recordings", "q=1555&skip=50&order=oldest"),
        post("/rows", "format=csv&from=2026-01-10"),
        post("/rows", "format=jsonl&q=voice"),
        post("/evidence", "from=2026-01-10&to=2026-01-10"),
        post(&of("evidence", ""), ""),
        post(&of("evidence", "/0"), ""),
        post(&of("verify", "/0"), ""),
    ];
    let cookie = format!("cookie: a=b; recording-host={SESSION}\n");
    let with_token = [
        post("/enter", "token=right"),
        get("/enter", ""),
        get("/", ""),
        get("/", &cookie),
    ];
    let open = open.iter().map(|text| (OPEN, text));
    open.chain(with_token.iter().map(|text| (WITH_TOKEN, text)))
        .map(|(page, text)| [&[page], text.as_bytes()].concat())
        .collect()
}

/// Damages bytes, or exchanges a value: of a header, of a field, or of a part of the path.
fn mutate(rng: &mut Rng, input: &mut Vec<u8>) {
    const VALUES: [&str; 24] = [
        "",
        "0",
        "-1",
        "18446744073709551615",
        "bytes=0-18446744073709551615",
        "bytes=18446744073709551615-",
        "bytes=9-1",
        "bytes=-",
        "bytes=0-0,2-2",
        "%",
        "%00",
        "%ff%fe",
        "..%2f..",
        "%22",
        "*%22%27()",
        "a%E2%92%B6b",
        "%CC%81",
        "%E0%B8%99%E0%B9%89%E0%B8%B3",
        "2026-02-30",
        "-009999-01-02",
        "9999-12-31",
        "20260105T10",
        "null",
        "http://elsewhere",
    ];
    let ends = |byte: &u8| b"\r\n &/?".contains(byte);
    let begins: Vec<usize> = (1..=input.len())
        .filter(|at| b"=/".contains(&input[at - 1]) || input[..*at].ends_with(b": "))
        .collect();
    if begins.is_empty() || rng.below(2) == 0 {
        return mutate::mutate(rng, input);
    }
    let begin = begins[rng.below(begins.len())];
    let length = input[begin..].iter().position(ends);
    let end = length.map_or(input.len(), |length| begin + length);
    input.splice(begin..end, VALUES[rng.below(VALUES.len())].bytes());
}

/// The pages of one archive, and who asks: on one thread, as far as the page itself has no others.
struct Served {
    runtime: Runtime,
    /// The ports, without a token and with one.
    ports: [u16; 2],
    session: String,
}

thread_local! {
    static SERVED: Served = served();
}

fn served() -> Served {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (ports, session) = runtime.block_on(async {
        let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let folder = above
            .map(|folder| folder.join(ARCHIVE))
            .find(|folder| folder.is_dir());
        let sink = Filesystem::new(folder.expect("the fixture is in a folder above"));
        let archive = Archive::new("archive", Arc::new(sink), None).unwrap();
        let index = Arc::new(Index::in_memory().unwrap());
        archive.refresh(&index, |_, _| {}).await.unwrap();
        let token = Token {
            name: "ada".to_owned(),
            secret: "right".into(),
        };
        let mut ports = [0; 2];
        for (port, tokens) in ports.iter_mut().zip([Vec::new(), vec![token]]) {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            *port = address.port();
            let guard = Guard::new(address, vec!["page".to_owned()], tokens);
            let logs = tempfile::tempdir().unwrap();
            let access = AccessLog::open(&logs.path().join("access.jsonl")).unwrap();
            let page = Page::new(archive.clone(), Arc::clone(&index), guard, access);
            tokio::spawn(serve(listener, Arc::new(page)));
        }
        let request = request(b"POST /enter HTTP/1.1\nhost: page\n\ntoken=right", "");
        let answer = ask(ports[1], &request).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let session = answer.split("recording-host=").nth(1).unwrap();
        (ports, session.split(';').next().unwrap().to_owned())
    });
    Served {
        runtime,
        ports,
        session,
    }
}

/// A request that ends, and is the last one of its connection.
fn request(text: &[u8], session: &str) -> Vec<u8> {
    let end = text.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = match end {
        Some(end) => (&text[..end], &text[end + 2..]),
        None => (text, &[][..]),
    };
    let made = |line: &[u8]| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let name = name.trim_ascii().to_ascii_lowercase();
        MADE.iter().any(|made| made.as_bytes() == name)
    };
    let mut request = Vec::new();
    for line in head.split(|byte| *byte == b'\n') {
        // An empty line would end the head, and the rest would be a second request.
        if made(line) || line.trim_ascii().is_empty() {
            continue;
        }
        match line
            .windows(SESSION.len())
            .position(|part| part == SESSION.as_bytes())
        {
            Some(at) => {
                request.extend_from_slice(&line[..at]);
                request.extend_from_slice(session.as_bytes());
                request.extend_from_slice(&line[at + SESSION.len()..]);
            }
            None => request.extend_from_slice(line),
        }
        request.extend_from_slice(b"\r\n");
    }
    let length = format!(
        "connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    request.extend_from_slice(length.as_bytes());
    request.extend_from_slice(body);
    request
}

/// The answer, unless the connection was reset: the page need not read the body of what it refuses.
async fn ask(port: u16, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

fn feed(input: &[u8]) {
    let Some((page, text)) = input.split_first() else {
        return;
    };
    SERVED.with(|served| {
        let request = request(text, &served.session);
        let port = served.ports[usize::from(page % 2)];
        if let Ok(answer) = served.runtime.block_on(ask(port, &request)) {
            judge(&request, &answer);
        }
    });
}

/// Checks that there is an answer, which is whole, and not that something did not work: the archive is sound.
fn judge(request: &[u8], answer: &[u8]) {
    let has = |text: &[u8], part: &[u8]| text.windows(part.len()).any(|found| found == part);
    // Of another version of HTTP nothing is said, nor of a request that is none.
    if answer.is_empty() {
        assert!(
            !has(request, b" HTTP/1.") || has(request, b"HTTP/2"),
            "there is no answer"
        );
        return;
    }
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.expect("a head ends") + 4);
    assert!(
        !head[8..].starts_with(b" 500"),
        "{}",
        String::from_utf8_lossy(body)
    );
    if has(head, b"transfer-encoding: chunked") && !request.starts_with(b"HEAD ") {
        assert!(
            body.ends_with(b"0\r\n\r\n"),
            "the answer was cut short: {}",
            String::from_utf8_lossy(request)
        );
    }
}
