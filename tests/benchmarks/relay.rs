//! The least that a program takes which reads recordings, computes their sha256, and writes them to S3.
//!
//! Sockets of the standard library, a thread for each recording under way, one buffer for each: no TLS, no signature, no
//! retry, no queue, no library but `sha2`, which ours uses, too. It shows what a row can reach, and no more than that.
//!
//! `relay LIST TO AT_ONCE`: a file of URLs, the URL of a folder in a bucket, and how many at once.

use std::{
    error::Error,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::Mutex,
    thread,
};

use sha2::{Digest, Sha256};

const BUFFER: usize = 64 << 10;

/// A connection that is kept, and its host.
struct Connection {
    host: String,
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn to(url: &str) -> Result<Self, Box<dyn Error>> {
        let (host, _) = split(url)?;
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            host: host.to_owned(),
            stream: BufReader::with_capacity(BUFFER, stream),
        })
    }

    fn request(&mut self, method: &str, path: &str, length: u64) -> Result<(), Box<dyn Error>> {
        let host = &self.host;
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n\r\n");
        self.stream.get_mut().write_all(head.as_bytes())?;
        Ok(())
    }

    /// The length of the answer's body, which is 200.
    fn answer(&mut self) -> Result<u64, Box<dyn Error>> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 200") {
            return Err(format!("{}: {line}", self.host).into());
        }
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse()?;
                }
                Some(_) => {}
                None => return Ok(length),
            }
        }
    }
}

/// The host and the path of a URL.
fn split(url: &str) -> Result<(&str, &str), Box<dyn Error>> {
    let rest = url.strip_prefix("http://").ok_or("it is no http URL")?;
    let at = rest.find('/').ok_or("it has no path")?;
    Ok(rest.split_at(at))
}

fn work(urls: &Mutex<std::vec::IntoIter<String>>, to: &str) -> Result<u64, Box<dyn Error>> {
    let mut sink = Connection::to(to)?;
    let (_, folder) = split(to)?;
    let mut origin: Option<Connection> = None;
    let mut bytes = 0;
    loop {
        let Some(url) = urls.lock().map_err(|_| "another thread failed")?.next() else {
            return Ok(bytes);
        };
        let from = match &mut origin {
            Some(origin) => origin,
            none => none.insert(Connection::to(&url)?),
        };
        let (_, path) = split(&url)?;
        from.request("GET", path, 0)?;
        let length = from.answer()?;
        let name = path.rsplit('/').next().unwrap_or_default();
        sink.request("PUT", &format!("{folder}/{name}"), length)?;
        let mut digest = Sha256::new();
        let mut left = usize::try_from(length)?;
        while left > 0 {
            let data = from.stream.fill_buf()?;
            let data = &data[..data.len().min(left)];
            if data.is_empty() {
                return Err(format!("{url} ended early").into());
            }
            digest.update(data);
            sink.stream.get_mut().write_all(data)?;
            let read = data.len();
            left -= read;
            from.stream.consume(read);
        }
        std::hint::black_box(digest.finalize());
        let rest = sink.answer()?;
        std::io::copy(&mut sink.stream.by_ref().take(rest), &mut std::io::sink())?;
        bytes += length;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or_else(|| format!("{what} is missing"));
    let (list, to, at_once) = (next("the list")?, next("the folder")?, next("how many")?);
    let urls: Vec<String> = std::fs::read_to_string(list)?
        .lines()
        .map(str::to_owned)
        .collect();
    let urls = Mutex::new(urls.into_iter());
    let at_once: usize = at_once.parse()?;
    let bytes = thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once)
            .map(|_| scope.spawn(|| work(&urls, &to).map_err(|error| error.to_string())))
            .collect();
        let ended = threads.into_iter().map(|one| {
            one.join()
                .unwrap_or_else(|_| Err("a thread panicked".into()))
        });
        ended.sum::<Result<u64, String>>()
    })?;
    println!("{bytes} bytes");
    Ok(())
}
