//! An S3 server that takes objects and discards them: it shows what a client can do.
//!
//! It reads each request to its end, echoes the checksum that came with it, as S3 does, and answers. What
//! is small and no recording it keeps, compares with its CRC-64/NVME, and gives back, so that a client that
//! tries the server out, or lists what is there, finds what it wrote. Of a recording it knows how many bytes
//! came, for clients that look afterwards whether it is there. One thread for each connection, and
//! nothing but the standard library: `rustc -O null_s3.rs`. It listens on the port of its argument.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// Objects up to this size, in bytes, are kept, unless their key has `RECORDINGS` in it.
const KEPT: usize = 1 << 20;
const RECORDINGS: &str = "/recordings/";
const CHECKSUMS: [&str; 3] = ["crc64nvme", "crc32c", "crc32"];

type Objects = Arc<Mutex<Stored>>;

#[derive(Default)]
struct Stored {
    kept: BTreeMap<String, Vec<u8>>,
    /// The bytes that came for each recording.
    recordings: HashMap<String, u64>,
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: HashMap<String, String>,
}

fn main() {
    let port = std::env::args().nth(1).expect("the port is the only argument");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free");
    let objects = Objects::default();
    for stream in listener.incoming().flatten() {
        let objects = Arc::clone(&objects);
        // A connection that breaks off ends its thread, and nothing else.
        std::thread::spawn(move || serve(stream, &objects));
    }
}

fn serve(stream: TcpStream, objects: &Objects) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(256 << 10, stream.try_clone()?);
    let mut stream = stream;
    let mut buffer = vec![0; 256 << 10];
    while let Some(request) = head(&mut reader)? {
        if request.headers.get("expect").is_some_and(|text| text.eq_ignore_ascii_case("100-continue")) {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = body(&mut reader, &request, &mut buffer)?;
        if request.method == "PUT" && request.path.contains(RECORDINGS) {
            let length = ["x-amz-decoded-content-length", "content-length"].into_iter().find_map(|name| request.headers.get(name));
            let length = length.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            *objects.lock().expect("no thread panics with it").recordings.entry(request.path.clone()).or_default() += length;
        }
        let mut answer = answer(&request, body, objects);
        if request.method == "HEAD" {
            let end = answer.windows(4).position(|end| end == b"\r\n\r\n");
            answer.truncate(end.map_or(0, |at| at + 4));
        }
        stream.write_all(&answer)?;
    }
    Ok(())
}

fn head(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
            None => return Ok(Some(Request { method, path, query, headers })),
        };
    }
}

/// Reads a body; returns it if it is to be kept.
fn body(reader: &mut impl BufRead, request: &Request, buffer: &mut [u8]) -> io::Result<Option<Vec<u8>>> {
    let keeps = request.method == "PUT" && !request.path.contains(RECORDINGS);
    let mut kept = keeps.then(Vec::new);
    let length = request.headers.get("content-length").and_then(|text| text.parse::<usize>().ok());
    match length {
        Some(length) => discard(reader, length, buffer, &mut kept)?,
        None if request.headers.contains_key("transfer-encoding") => loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim().split(';').next().unwrap_or("0"), 16).unwrap_or(0);
            discard(reader, size, buffer, &mut kept)?;
            reader.read_line(&mut String::new())?;
            if size == 0 {
                break;
            }
        },
        None => {}
    }
    Ok(kept)
}

fn discard(reader: &mut impl Read, mut left: usize, buffer: &mut [u8], kept: &mut Option<Vec<u8>>) -> io::Result<()> {
    while left > 0 {
        let most = left.min(buffer.len());
        let read = reader.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left -= read;
        match kept {
            Some(data) if data.len() + read <= KEPT => data.extend_from_slice(&buffer[..read]),
            _ => *kept = None,
        }
    }
    Ok(())
}

fn answer(request: &Request, body: Option<Vec<u8>>, objects: &Objects) -> Vec<u8> {
    let Stored { kept: objects, recordings } = &mut *objects.lock().expect("no thread panics with it");
    let mut headers = String::new();
    let mut sums = String::new();
    for algorithm in CHECKSUMS {
        if let Some(sum) = request.headers.get(&format!("x-amz-checksum-{algorithm}")) {
            headers += &format!("x-amz-checksum-{algorithm}: {sum}\r\nx-amz-checksum-type: FULL_OBJECT\r\n");
            let name = algorithm.to_uppercase();
            sums += &format!("<Checksum{name}>{sum}</Checksum{name}><ChecksumType>FULL_OBJECT</ChecksumType>");
        }
    }
    let has = |name: &str| request.query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let text = |status: &str, headers: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\n{headers}content-type: application/xml\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
    };
    let error = |status: &str, code: &str| text(status, "", &format!("<Error><Code>{code}</Code></Error>"));
    match &*request.method {
        "PUT" => {
            if let Some(data) = body {
                let told = request.headers.get("x-amz-checksum-crc64nvme");
                if told.is_some_and(|told| *told != base64(&crc64nvme(&data).to_be_bytes())) {
                    return error("400 Bad Request", "BadDigest");
                }
                if request.headers.contains_key("if-none-match") && objects.contains_key(&request.path) {
                    return error("412 Precondition Failed", "PreconditionFailed");
                }
                objects.insert(request.path.clone(), data);
            }
            text("200 OK", &format!("etag: \"discarded-1\"\r\n{headers}"), "")
        }
        "POST" if has("uploads") => text("200 OK", "", "<InitiateMultipartUploadResult><UploadId>upload</UploadId></InitiateMultipartUploadResult>"),
        "POST" => text("200 OK", "", &format!("<CompleteMultipartUploadResult><ETag>\"discarded-2\"</ETag>{sums}</CompleteMultipartUploadResult>")),
        "GET" if has("uploads") => text("200 OK", "", "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"),
        "GET" if has("list-type") || has("prefix") => text("200 OK", "", &listing(request, objects)),
        "DELETE" => {
            objects.remove(&request.path);
            b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()
        }
        "HEAD" if recordings.contains_key(&request.path) => {
            let length = recordings[&request.path];
            format!("HTTP/1.1 200 OK\r\netag: \"discarded-1\"\r\ncontent-length: {length}\r\n\r\n").into_bytes()
        }
        "GET" | "HEAD" if request.path.trim_matches('/').contains('/') => match objects.get(&request.path) {
            None => error("404 Not Found", "NoSuchKey"),
            Some(data) => {
                let length = data.len();
                let mut answer = format!("HTTP/1.1 200 OK\r\netag: \"kept\"\r\ncontent-length: {length}\r\n\r\n").into_bytes();
                if request.method == "GET" {
                    answer.extend_from_slice(data);
                }
                answer
            }
        },
        _ => text("200 OK", "", ""),
    }
}

fn listing(request: &Request, objects: &BTreeMap<String, Vec<u8>>) -> String {
    let prefix = request.query.split('&').find_map(|pair| pair.strip_prefix("prefix=")).unwrap_or_default();
    let prefix = prefix.replace("%2F", "/").replace("%3D", "=");
    let bucket = format!("/{}/", request.path.trim_matches('/'));
    let mut found = String::new();
    for (path, data) in objects {
        if let Some(key) = path.strip_prefix(&bucket).filter(|key| key.starts_with(&prefix)) {
            let size = data.len();
            found += &format!("<Contents><Key>{key}</Key><ETag>\"kept\"</ETag><Size>{size}</Size></Contents>");
        }
    }
    format!("<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>")
}

fn crc64nvme(data: &[u8]) -> u64 {
    let mut sum = u64::MAX;
    for byte in data {
        sum ^= u64::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0x9a6c_9329_ac4b_c9b5 * (sum & 1));
        }
    }
    !sum
}

fn base64(data: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in data.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize] as char;
            text.push(if place <= chunk.len() { digit } else { '=' });
        }
    }
    text
}
