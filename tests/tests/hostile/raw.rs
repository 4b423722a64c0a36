//! WebSocket by hand over a bare TCP connection.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any healthy step.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The key of the example in RFC 6455, section 1.3, and the answer to it.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A frame as a client may send it, right or wrong.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    fin: bool,
    reserved: u8,
    opcode: u8,
    mask: Option<[u8; 4]>,
    payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        let mask = Some([0x37, 0xfa, 0x21, 0x3d]);
        Self { fin: true, reserved: 0, opcode, mask, payload: payload.into() }
    }

    pub(crate) fn text(payload: &str) -> Self {
        Self::new(TEXT, payload)
    }

    /// More of the message follows.
    pub(crate) fn part(mut self) -> Self {
        self.fin = false;
        self
    }

    pub(crate) fn reserved(mut self, bits: u8) -> Self {
        self.reserved = bits;
        self
    }

    pub(crate) fn mask(mut self, mask: Option<[u8; 4]>) -> Self {
        self.mask = mask;
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.fin) << 7 | self.reserved << 4 | self.opcode];
        let masked = u8::from(self.mask.is_some()) << 7;
        match self.payload.len() {
            short @ 0..126 => bytes.push(masked | u8::try_from(short).unwrap()),
            length @ 126..65_536 => {
                bytes.push(masked + 126);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            length => {
                bytes.push(masked + 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        match self.mask {
            Some(mask) => {
                bytes.extend(mask);
                let mask = mask.into_iter().cycle();
                bytes.extend(self.payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
            }
            None => bytes.extend(&self.payload),
        }
        bytes
    }
}

/// The bytes of several frames.
pub(crate) fn frames(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(Frame::bytes).collect()
}

/// A message cut into frames of at most `size` bytes.
pub(crate) fn cut(opcode: u8, payload: &[u8], size: usize) -> Vec<Frame> {
    let count = payload.len().div_ceil(size).max(1);
    (0..count)
        .map(|index| {
            let end = payload.len().min((index + 1) * size);
            let piece = payload.get(index * size..end).unwrap_or_default();
            let frame = Frame::new(if index == 0 { opcode } else { CONTINUATION }, piece);
            if index + 1 < count { frame.part() } else { frame }
        })
        .collect()
}

/// The payload of a close frame.
pub(crate) fn close_payload(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

/// A frame of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl Received {
    pub(crate) fn json(&self) -> Option<Value> {
        (self.opcode == TEXT).then(|| serde_json::from_slice(&self.payload).unwrap())
    }

    pub(crate) fn close_code(&self) -> Option<u16> {
        let code = (self.opcode == CLOSE).then_some(&self.payload)?;
        Some(code.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code)))
    }
}

/// The head of an HTTP answer.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// Opens a WebSocket with a request of the usual form.
    pub(crate) async fn open(addr: SocketAddr, query: &str, headers: &str) -> Self {
        let mut raw = Self::connect(addr).await;
        raw.send(upgrade_request(query, headers).as_bytes()).await;
        let head = raw.head().await.expect("no answer to the upgrade");
        assert_eq!(head.status, 101, "{}", head.text);
        assert_eq!(head.header("sec-websocket-accept"), Some(ACCEPT), "{}", head.text);
        raw
    }

    /// Opens a WebSocket of someone who is logged in, and takes the welcome.
    pub(crate) async fn log_in(addr: SocketAddr, token: &str) -> Self {
        let mut raw = Self::open(addr, "", &format!("Authorization: Bearer {token}\r\n")).await;
        let welcome = raw.json().await;
        assert_eq!(welcome["op"], "welcome", "{welcome}");
        raw
    }

    /// Sends bytes. A server that does not want them any more is seen when reading.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        matches!(timeout(PATIENCE, self.stream.write_all(bytes)).await, Ok(Ok(())))
    }

    /// Sends bytes in pieces, each in a segment of its own as far as the kernel allows.
    pub(crate) async fn drip(&mut self, bytes: &[u8], size: usize) -> bool {
        for piece in bytes.chunks(size) {
            if !self.send(piece).await {
                return false;
            }
            tokio::task::yield_now().await;
        }
        true
    }

    pub(crate) async fn say(&mut self, command: &Value) {
        self.send(&Frame::text(&command.to_string()).bytes()).await;
    }

    /// Ends the sending half.
    pub(crate) async fn finish(&mut self) {
        drop(self.stream.shutdown().await);
    }

    /// Reads the head of an HTTP answer; nothing when the connection ends before.
    pub(crate) async fn head(&mut self) -> Option<Head> {
        let end = b"\r\n\r\n";
        loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == end) {
                let rest = self.buffer.split_off(at + end.len());
                let head = std::mem::replace(&mut self.buffer, rest);
                let text = String::from_utf8(head).unwrap();
                let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
                return Some(Head { status: status.unwrap_or_default(), text });
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// Reads everything up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.buffer)
    }

    /// Reads a frame; nothing when the connection has ended. Checks that the server keeps to the
    /// protocol itself.
    pub(crate) async fn frame(&mut self) -> Option<Received> {
        loop {
            if let Some((received, used)) = parse(&self.buffer) {
                self.buffer.drain(..used);
                return Some(received);
            }
            if !self.fill().await {
                assert!(self.buffer.is_empty(), "a frame was cut: {:?}", self.buffer);
                return None;
            }
        }
    }

    /// Reads a frame of the contract, passing over signals.
    pub(crate) async fn json(&mut self) -> Value {
        loop {
            let frame = self.frame().await.expect("the connection ended");
            match frame.json() {
                Some(json) if json["op"] == "signal" => {}
                Some(json) => return json,
                None => panic!("instead of text: {frame:?}"),
            }
        }
    }

    /// Reads up to the close frame and the end after it, and returns its code. Nothing when the
    /// connection ended without.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        let mut code = None;
        while let Some(frame) = self.frame().await {
            assert_eq!(code, None, "a frame after the close frame: {frame:?}");
            code = frame.close_code();
        }
        code
    }

    /// Reads more; `false` at the end of the connection.
    async fn fill(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
        matches!(read.expect("the server neither answers nor closes"), Ok(1..))
    }
}

/// An upgrade request as it should be, with more headers, each ended.
pub(crate) fn upgrade_request(query: &str, headers: &str) -> String {
    format!(
        "GET /v1/ws{query} HTTP/1.1\r\nHost: parlor.test\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\
         {headers}\r\n"
    )
}

fn parse(bytes: &[u8]) -> Option<(Received, usize)> {
    let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
    assert_eq!(first & 0x70, 0, "the server set reserved bits");
    assert_eq!(first & 0x80, 0x80, "the server never cuts messages");
    assert_eq!(second & 0x80, 0, "the server masked a frame");
    let (length, head) = match second {
        126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).unwrap(), 10),
        short => (usize::from(short), 2),
    };
    let opcode = first & 0x0f;
    assert!([TEXT, CLOSE, PING, PONG].contains(&opcode), "the server sent opcode {opcode}");
    assert!(opcode < CLOSE || length <= 125, "a control frame of {length} bytes");
    let payload = bytes.get(head..head + length)?.to_vec();
    Some((Received { opcode, payload }, head + length))
}
