//! The answers of servers, as the program's own client reads them: status, headers, codings, redirects, waits,
//! tokens, and the parts of a file that is resumed.
//!
//! An input is a byte that chooses what is asked for, and what a server sends, one connection after the other.

use std::{net::Ipv4Addr, sync::Arc};

use recording_host_http::{
    AllowedOrigins, Authenticator, Downloads, Limiter, OAuth, Priority, SourceHttp,
};
use recording_host_model::{
    Artifact, ArtifactKey, Container, Download, Method, Origin, OriginRole, RateLimit, Request,
    clock::Clock,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    runtime::{Builder, Runtime},
};

use crate::{
    mutate::{self, Rng},
    parser::{Parser, unmended},
};

/// The answers of servers.
pub(crate) const HTTP: Parser = Parser {
    name: "http",
    seeds,
    mutate,
    mend: unmended,
    feed,
};

/// What stands between the answers of two connections.
const BETWEEN: &[u8] = b"\n====\n";
/// The clock's speed: waits of minutes pass at once.
const SPEED: f64 = 1e7;
/// The most that is read of a download.
const MOST: u64 = 64 << 20;
/// What is asked for: a request, one with a token, a file, and the length of a file.
const REQUEST: u8 = 0;
const WITH_TOKEN: u8 = 1;
const FILE: u8 = 2;
const LENGTH: u8 = 3;

fn seeds() -> Vec<Vec<u8>> {
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00";
    let token = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"access_token\":\"t\",\"expires_in\":\"3600\"}";
    let answer = b"HTTP/1.1 200 OK\r\ndate: Mon, 05 Jan 2026 00:00:00 GMT\r\ninin-ratelimit-count: 299\r\ninin-ratelimit-allowed: 300\r\ninin-ratelimit-reset: 30\r\ncontent-length: 2\r\n\r\n{}";
    let busy = b"HTTP/1.1 429 Slow\r\nretry-after: 30\r\ncontent-length: 0\r\n\r\n";
    let later = b"HTTP/1.1 503 Busy\r\nretry-after: Mon, 05 Jan 2026 00:00:30 GMT\r\n\r\n";
    let moved = b"HTTP/1.1 302 Found\r\nlocation: /elsewhere?x#y\r\n\r\n";
    let page = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<!DOCTYPE html>log in";
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let denied = b"HTTP/1.1 401 No\r\n\r\n{\"error\":\"invalid_client\"}";
    let head = b"HTTP/1.1 200 OK\r\naccept-ranges: bytes\r\netag: \"tag\"\r\ncontent-length: 6\r\ncontent-type: audio/ogg\r\n\r\nabc";
    let rest =
        b"HTTP/1.1 206 Partial\r\ncontent-range: bytes 3-5/6\r\ncontent-length: 3\r\n\r\ndef";
    let first =
        b"HTTP/1.1 206 Partial\r\ncontent-range: bytes 0-0/1234\r\ncontent-length: 1\r\n\r\nx";
    let coded = |coding: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let coded = [
        coded("gzip", gzip),
        coded("deflate", b"\xcb\x48\xcd\xc9\xc9\x07\x00"),
    ];
    let runs: [(u8, &[&[u8]]); 12] = [
        (REQUEST, &[busy, later, moved, answer]),
        (REQUEST, &[page]),
        (REQUEST, &[chunked]),
        (REQUEST, &[&coded[0]]),
        (REQUEST, &[&coded[1]]),
        (WITH_TOKEN, &[token, answer]),
        (WITH_TOKEN, &[token, denied, token, answer]),
        (WITH_TOKEN, &[denied]),
        (FILE, &[head, rest]),
        (FILE, &[busy, &coded[0]]),
        (FILE, &[moved, &coded[1]]),
        (LENGTH, &[first]),
    ];
    runs.map(|(asked, answers)| [&[asked], &answers.join(BETWEEN)[..]].concat())
        .into()
}

/// Damages bytes, or exchanges the value of a header.
fn mutate(rng: &mut Rng, input: &mut Vec<u8>) {
    const VALUES: [&str; 12] = [
        "",
        "0",
        "-1",
        "18446744073709551615",
        "99999999999999999999",
        "1e400",
        "bytes */*",
        "bytes 0-0/0",
        "bytes 5-3/2",
        "gzip, gzip, deflate",
        "//[::1]:1/",
        "Sun, 31 Dec 9999 23:59:59 GMT",
    ];
    let colons: Vec<usize> = (0..input.len())
        .filter(|at| input[*at..].starts_with(b": "))
        .collect();
    if colons.is_empty() || rng.below(2) == 0 {
        return mutate::mutate(rng, input);
    }
    let begin = colons[rng.below(colons.len())] + 2;
    let length = input[begin..].iter().position(|byte| *byte == b'\r');
    let end = length.map_or(input.len(), |length| begin + length);
    input.splice(begin..end, VALUES[rng.below(VALUES.len())].bytes());
}

/// A server, and who asks it: on one thread, so that all memory is counted. A client takes long to make.
struct Both {
    runtime: Runtime,
    listener: TcpListener,
    origin: String,
    client: Arc<reqwest::Client>,
    downloads: Downloads,
}

thread_local! {
    static BOTH: Both = both();
}

fn both() -> Both {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let listener = listener.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .build();
    let login = Arc::new(Authenticator::None);
    let downloads = Downloads::new(allowed(&origin), login, clock()).unwrap();
    Both {
        runtime,
        listener,
        client: Arc::new(client.unwrap()),
        downloads: downloads.check_etag(true),
        origin,
    }
}

fn clock() -> Clock {
    Clock::starting_at(1_767_571_200_000, SPEED)
}

fn allowed(origin: &str) -> AllowedOrigins {
    let origins = [OriginRole::Api, OriginRole::Media].map(|role| Origin {
        role,
        url: origin.to_owned(),
    });
    AllowedOrigins::new(&origins, None, true).with_token(&format!("{origin}/token"))
}

fn feed(input: &[u8]) {
    let Some((asked, answers)) = input.split_first() else {
        return;
    };
    let mut rest = answers;
    let mut sent = Vec::new();
    while let Some(at) = rest.windows(BETWEEN.len()).position(|part| part == BETWEEN) {
        sent.push(&rest[..at]);
        rest = &rest[at + BETWEEN.len()..];
    }
    sent.push(rest);
    BOTH.with(|both| {
        both.runtime.block_on(async {
            tokio::select! {
                () = serve(&both.listener, &sent) => {}
                () = both.ask(asked % 4) => {}
            }
        });
    });
}

/// Sends one answer after the other, each on a connection of its own; then it answers nothing any more.
async fn serve(listener: &TcpListener, answers: &[&[u8]]) {
    let mut answers = answers.iter();
    while let Ok((mut stream, _)) = listener.accept().await {
        let Some(answer) = answers.next() else {
            continue;
        };
        let (mut request, mut piece) = (Vec::new(), [0; 4096]);
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut piece).await {
                Ok(length) if length > 0 => request.extend_from_slice(&piece[..length]),
                _ => break,
            }
        }
        let _ = stream.write_all(answer).await;
        let _ = stream.shutdown().await;
    }
}

impl Both {
    async fn ask(&self, asked: u8) {
        if asked == FILE || asked == LENGTH {
            let artifact = artifact(format!("{}/a", self.origin));
            match asked {
                FILE => download(&self.downloads, &artifact).await,
                _ => drop(self.downloads.length(&artifact).await),
            }
            return;
        }
        let token = format!("{}/token", self.origin).parse().unwrap();
        let login = match asked {
            WITH_TOKEN => Authenticator::OAuth(OAuth::new(token, "a".into(), "b".into())),
            _ => Authenticator::None,
        };
        let (client, login) = (Arc::clone(&self.client), Arc::new(login));
        let limiter = Arc::new(limiter());
        let http = SourceHttp::over(client, allowed(&self.origin), login, limiter, clock(), 1);
        let request = Request {
            method: Method::Get,
            url: format!("{}/calls", self.origin),
            headers: Vec::new(),
            body: None,
            repeatable: true,
        };
        let _ = http.send("pages", Priority::Poll, &request).await;
    }
}

/// Downloads a file, again if it has to, as a transfer does.
async fn download(downloads: &Downloads, artifact: &Artifact) {
    for tried in 1..4 {
        let Ok(mut download) = downloads.begin(artifact).await else {
            downloads.back_off(tried, None).await;
            continue;
        };
        let _ = (
            download.size(),
            download.content_type(),
            download.ends_with_connection(),
        );
        let mut came = 0;
        while let Ok(Some(data)) = download.next().await {
            came += data.len() as u64;
            if came > MOST {
                return;
            }
        }
    }
}

fn artifact(url: String) -> Artifact {
    Artifact {
        key: ArtifactKey::Bundle("b".to_owned()),
        download: Download {
            url,
            headers: Vec::new(),
            authenticated: false,
            expires: None,
        },
        content_type: None,
        container: Container::Single,
        size: None,
        sha256: None,
    }
}

/// The limits of a vendor that says how full its minute is.
fn limiter() -> Limiter {
    let header = |name: &str| Some(format!("inin-ratelimit-{name}"));
    Limiter::new(Some(RateLimit {
        requests_per_minute: 300,
        count_header: header("count"),
        allowed_header: header("allowed"),
        reset_header: header("reset"),
    }))
}
