use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::sheet::{ITEMS, Sheet};

/// Whose pages they are.
pub(super) const DRIVE: &str = "b!t18F8ybsHUq1z3LTz8xvZqP8zaSWjkFNhsME4iDA2V8kwr0WTo_hS4c_GoqvcVjI";

/// As long as Graph's are.
const TOKEN: &str =
    "aTE09NjM5MDY0MjYxNDM4MDA7SUQ9YjZjMDU4YzctZDI0OC00ZmEyLWE0MmItOGM1ZGI2YzQ4M2Y5O0xSPTYzOTA2NDI2MTQzODAwO0VQPTIwO1NJPTE5";

/// How many different pages there are, but for their numbers: what deflate looks back on is a tenth of one.
const POOL: usize = 50;

/// The pages of a drive, made as they are asked for.
struct Book {
    items: u64,
    sheets: Vec<Sheet>,
}

/// Where the first page is, behind the origin; also under the drive's own id.
pub(crate) const FIRST: &str = "/v1.0/me/drive/root/delta";

/// Where another page is, by its number.
pub(crate) fn link(page: u64) -> String {
    format!("/v1.0/drives/{DRIVE}/root/delta?token={TOKEN}{page:08}")
}

/// Serves until it is killed; says where on standard output, when everything is compressed that is to be.
pub(crate) fn serve(items: u64, gzip: bool) {
    let mut rng = fastrand::Rng::with_seed(1);
    let book = Book { items, sheets: (0..POOL).map(|_| Sheet::new(&mut rng)).collect() };
    let (plain, compressed) = (listen(), listen());
    let origin = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
    let (plain_origin, gzip_origin) = (origin(&plain), origin(&compressed));
    let mut page = Vec::new();
    let bytes: usize = (0..book.pages()).map(|n| book.write(n, &plain_origin, &mut page)).sum();
    let ready = if gzip { book.compressed(&gzip_origin) } else { Vec::new() };
    let said = serde_json::json!({
        "plain": plain_origin, "gzip": gzip_origin, "bytes": bytes, "gzip_bytes": ready.iter().map(Vec::len).sum::<usize>(),
    });
    println!("{said}");

    let begun = Mutex::new(Instant::now());
    let accept = |listener: &TcpListener, origin: &str, ready: &[Vec<u8>]| {
        thread::scope(|scope| {
            for socket in listener.incoming() {
                let (socket, book, begun) = (socket.unwrap(), &book, &begun);
                // A contender that is ended closes its connections as it likes.
                scope.spawn(move || Connection { socket, book, origin, ready, begun, page: Vec::new() }.run());
            }
        });
    };
    thread::scope(|scope| {
        scope.spawn(|| accept(&plain, &plain_origin, &[]));
        scope.spawn(|| accept(&compressed, &gzip_origin, &ready));
    });
}

fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

impl Book {
    fn pages(&self) -> u64 {
        self.items.div_ceil(u64::try_from(ITEMS).unwrap())
    }

    /// A page in place of what is in `out`. Answers with its length.
    fn write(&self, page: u64, origin: &str, out: &mut Vec<u8>) -> usize {
        let (first, next) = (page * u64::try_from(ITEMS).unwrap(), self.pages().min(page + 1));
        let (kind, link) = (if next < self.pages() { "nextLink" } else { "deltaLink" }, link(next));
        out.clear();
        write!(
            out,
            r#"{{"@odata.context":"{origin}/v1.0/$metadata#Collection(driveItem)","@odata.{kind}":"{origin}{link}","value":["#
        )
        .unwrap();
        // Behind the deltaLink nothing has changed.
        if first < self.items {
            let sheet = usize::try_from(page).unwrap() % self.sheets.len();
            self.sheets[sheet].write(first, self.items, out);
        }
        out.extend_from_slice(b"]}");
        out.len()
    }

    /// Every page, in order, by as many threads as there are cores.
    fn compressed(&self, origin: &str) -> Vec<Vec<u8>> {
        let compress = |page| {
            let mut plain = Vec::new();
            self.write(page, origin, &mut plain);
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(&plain).unwrap();
            gzip.finish().unwrap()
        };
        let threads = u64::try_from(thread::available_parallelism().map_or(1, usize::from)).unwrap();
        let each = self.pages().div_ceil(threads);
        thread::scope(|scope| {
            let part = |n: u64| n * each..self.pages().min((n + 1) * each);
            let parts: Vec<_> = (0..threads).map(|n| scope.spawn(move || part(n).map(compress).collect::<Vec<_>>())).collect();
            parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
        })
    }
}

struct Connection<'a> {
    socket: TcpStream,
    book: &'a Book,
    origin: &'a str,
    /// The pages with gzip, where there are any.
    ready: &'a [Vec<u8>],
    /// When a walk last began.
    begun: &'a Mutex<Instant>,
    page: Vec<u8>,
}

impl Connection<'_> {
    /// One request after the other, until there is none. They may come ahead of the answers.
    fn run(mut self) -> io::Result<()> {
        self.socket.set_nodelay(true)?;
        let (mut buffer, mut chunk) = (Vec::new(), [0; 4096]);
        loop {
            while let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let rest = buffer.split_off(end + 4);
                let head = String::from_utf8(std::mem::replace(&mut buffer, rest)).unwrap();
                self.answer(&head)?;
            }
            match self.socket.read(&mut chunk)? {
                0 => return Ok(()),
                read => buffer.extend_from_slice(&chunk[..read]),
            }
        }
    }

    fn answer(&mut self, head: &str) -> io::Result<()> {
        let asked = head.split(' ').nth(1).unwrap_or_default();
        if let Some(page) = self.asked(asked) {
            let gzip = |line: &str| {
                let Some((name, value)) = line.split_once(':') else { return false };
                name.eq_ignore_ascii_case("accept-encoding") && value.contains("gzip")
            };
            if let Some(body) = self.ready.get(usize::try_from(page).unwrap()).filter(|_| head.lines().any(gzip)) {
                return send(&self.socket, "200 OK", "Content-Encoding: gzip\r\n", body);
            }
            self.book.write(page, self.origin, &mut self.page);
            return send(&self.socket, "200 OK", "", &self.page);
        }
        let (status, body) = match asked.split('?').next().unwrap_or_default() {
            "/clock" => ("200 OK", self.begun.lock().unwrap().elapsed().as_secs_f64().to_string()),
            "/v1.0/me/drive" => ("200 OK", serde_json::json!({ "id": DRIVE, "driveType": "business" }).to_string()),
            // The socket's endpoint among others: this is about walks.
            _ => ("400 Bad Request", r#"{"error":{"code":"notSupported"}}"#.to_owned()),
        };
        send(&self.socket, status, "", body.as_bytes())
    }

    /// The number of the page that is asked for, where that is one.
    fn asked(&self, asked: &str) -> Option<u64> {
        let (_, rest) = asked.split_once("/root/delta")?;
        if rest.is_empty() {
            *self.begun.lock().unwrap() = Instant::now();
            return Some(0);
        }
        let page = rest.strip_prefix("?token=")?.strip_prefix(TOKEN)?.parse().ok()?;
        (page <= self.book.pages()).then_some(page)
    }
}

fn send(mut socket: &TcpStream, status: &str, header: &str, body: &[u8]) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{header}Content-Length: {}\r\n\r\n", body.len());
    let sent = socket.write_vectored(&[IoSlice::new(head.as_bytes()), IoSlice::new(body)])?;
    match sent.checked_sub(head.len()) {
        Some(sent) => socket.write_all(&body[sent..]),
        None => socket.write_all(&head.as_bytes()[sent..]).and_then(|()| socket.write_all(body)),
    }
}
