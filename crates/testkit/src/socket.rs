//! A plain WebSocket client: no reconnect, no resume, nothing hidden.
//!
//! It shows what is on the wire: every frame in its order, close codes, and lost connections. It
//! never answers on a test's behalf but for pongs, and can read as slowly as a test wants. Every
//! wait has a bound and fails with a sentence.

use std::{collections::VecDeque, io, net::SocketAddr, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use parlor_protocol::{
    SUBPROTOCOL,
    code::Code,
    command::{Command, Position, Since},
    frame::{Accepted, Frame, Refused, Subscribed, Welcome},
};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self, ClientRequestBuilder, Message, Utf8Bytes, http::Uri, protocol::WebSocketConfig,
    },
};

/// How long an answer may take, on a machine that does other things, too.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Frames that are kept while an answer is awaited.
const KEPT_MAX: usize = 100_000;
/// Longest close frame of a server: two bytes of head, up to 125 of code and reason.
const CLOSE_FRAME_MAX: usize = 127;

/// One connection.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    welcome: Option<Welcome>,
    /// Frames that came before an answer that was waited for.
    kept: VecDeque<Frame>,
    last_id: u64,
    ended: Option<Ended>,
    transcript: Option<String>,
}

/// What came next.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// A frame.
    Frame(Box<Frame>),
    /// The end.
    Ended(Ended),
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The server closed it.
    Closed {
        /// The close code; 1005 when there was none.
        code: u16,
        /// The reason.
        reason: String,
    },
    /// It broke.
    Lost(String),
}

impl Ended {
    /// Returns the close code, if the server sent one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Closed { code, .. } => Some(*code),
            Self::Lost(_) => None,
        }
    }
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The server refused it.
    Refused(Refused),
    /// The connection ended first. It may have been carried out.
    Ended(Ended),
}

impl Failure {
    /// Returns the code of a refusal.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(refused) => Some(refused.code),
            Self::Ended(_) => None,
        }
    }
}

/// How to connect.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Bytes that the kernel may hold for a reader that does not read.
    pub receive_buffer: Option<u32>,
    /// Further headers of the upgrade.
    pub headers: Vec<(String, String)>,
    /// The path with its query; `/v1/ws` when empty.
    pub path: String,
}

impl Socket {
    /// Opens a connection with an access token and waits for `welcome`.
    pub async fn open(addr: SocketAddr, token: &str) -> Self {
        let opened = Self::try_open(addr, token, &Options::default()).await;
        opened.unwrap_or_else(|ended| panic!("no welcome from {addr}: {ended:?}"))
    }

    /// Opens a connection with an access token and waits for `welcome`.
    pub async fn try_open(addr: SocketAddr, token: &str, options: &Options) -> Result<Self, Ended> {
        let mut options = options.clone();
        options.headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
        let mut socket = Self::connect(addr, &options).await?;
        match socket.next().await {
            Incoming::Frame(frame) => match *frame {
                Frame::Welcome(welcome) => {
                    socket.welcome = Some(*welcome);
                    Ok(socket)
                }
                other => Err(Ended::Lost(format!("{other:?} in place of welcome"))),
            },
            Incoming::Ended(ended) => Err(ended),
        }
    }

    /// Opens a connection with an access token. A server that does not answer in time is one that
    /// was lost.
    pub async fn open_within(
        addr: SocketAddr,
        token: &str,
        patience: Duration,
    ) -> Result<Self, Ended> {
        let opened = timeout(patience, Self::try_open(addr, token, &Options::default())).await;
        opened.unwrap_or_else(|_| Err(Ended::Lost(format!("no welcome in {patience:?}"))))
    }

    /// Opens a connection and waits for nothing.
    pub async fn connect(addr: SocketAddr, options: &Options) -> Result<Self, Ended> {
        let connecting = async {
            let socket = TcpSocket::new_v4().map_err(lost)?;
            if let Some(bytes) = options.receive_buffer {
                socket.set_recv_buffer_size(bytes).map_err(lost)?;
            }
            let stream = socket.connect(addr).await.map_err(lost)?;
            stream.set_nodelay(true).map_err(lost)?;
            let path = if options.path.is_empty() { "/v1/ws" } else { &options.path };
            let uri: Uri = format!("ws://{addr}{path}").parse().unwrap();
            let mut request = ClientRequestBuilder::new(uri).with_sub_protocol(SUBPROTOCOL);
            for (name, value) in &options.headers {
                request = request.with_header(name, value);
            }
            let limits = WebSocketConfig::default()
                .read_buffer_size(4 << 10)
                .max_message_size(Some(8 << 20))
                .max_frame_size(Some(8 << 20));
            let upgraded = client_async_with_config(request, stream, Some(limits)).await;
            upgraded.map_err(|error| Ended::Lost(format!("upgrade: {error}")))
        };
        let (stream, _) = timeout(PATIENCE, connecting)
            .await
            .unwrap_or_else(|_| Err(Ended::Lost(format!("no upgrade in {PATIENCE:?}"))))?;
        let kept = VecDeque::new();
        Ok(Self { stream, welcome: None, kept, last_id: 0, ended: None, transcript: None })
    }

    /// Returns what the server said at the beginning.
    pub fn welcome(&self) -> &Welcome {
        self.welcome.as_ref().expect("opened with a token")
    }

    /// Keeps every frame from now on as it came, for [`Self::transcript`].
    pub fn record(&mut self) {
        self.transcript.get_or_insert_default();
    }

    /// Returns the recorded frames, one in each line.
    pub fn transcript(&self) -> &str {
        self.transcript.as_deref().unwrap_or_default()
    }

    /// Sends a command and waits for nothing.
    pub async fn send(&mut self, command: &Command) -> Result<(), Ended> {
        let text = serde_json::to_string(command).unwrap();
        self.send_text(&text).await
    }

    /// Sends a text frame as it is.
    pub async fn send_text(&mut self, text: &str) -> Result<(), Ended> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        let sending = self.stream.send(Message::Text(Utf8Bytes::from(text)));
        let sent = timeout(PATIENCE, sending).await;
        let sent = sent.unwrap_or_else(|_| panic!("the server took no frame for {PATIENCE:?}"));
        // Not final: the server's reason may still be readable.
        sent.map_err(|error| Ended::Lost(error.to_string()))
    }

    /// Returns the next frame, or how the connection ended.
    ///
    /// # Panics
    /// When nothing comes for [`PATIENCE`].
    pub async fn next(&mut self) -> Incoming {
        let next = self.next_before(Instant::now() + PATIENCE).await;
        next.unwrap_or_else(|| panic!("nothing came for {PATIENCE:?}"))
    }

    /// Returns the next frame, the end, or nothing when nothing comes in time.
    pub async fn next_before(&mut self, deadline: Instant) -> Option<Incoming> {
        match self.kept.pop_front() {
            Some(frame) => Some(Incoming::Frame(Box::new(frame))),
            None => self.receive(deadline).await,
        }
    }

    /// Returns the next frame.
    ///
    /// # Panics
    /// When the connection ends.
    pub async fn next_frame(&mut self) -> Frame {
        match self.next().await {
            Incoming::Frame(frame) => *frame,
            Incoming::Ended(ended) => panic!("the connection ended: {ended:?}"),
        }
    }

    /// Reads everything to the end and returns how that was.
    pub async fn read_to_end(&mut self) -> (Vec<Frame>, Ended) {
        let mut frames = Vec::new();
        loop {
            match self.next().await {
                Incoming::Frame(frame) => frames.push(*frame),
                Incoming::Ended(ended) => return (frames, ended),
            }
        }
    }

    /// Follows a room, from `since` or from the present.
    pub async fn subscribe(
        &mut self,
        room: &str,
        since: Option<Position>,
    ) -> Result<Subscribed, Failure> {
        let since = since.map(Since::Position);
        let command = Command::Subscribe { id: None, room: room.into(), since };
        match self.request(command).await? {
            Frame::Subscribed(subscribed) => Ok(*subscribed),
            other => panic!("{other:?} in answer to subscribe"),
        }
    }

    /// Writes a message and waits for the answer.
    pub async fn publish(
        &mut self,
        room: &str,
        client_id: &str,
        body: &str,
    ) -> Result<Accepted, Failure> {
        let command = publish(room, client_id, body);
        match self.request(command).await? {
            Frame::Ok(accepted) => Ok(accepted),
            other => panic!("{other:?} in answer to publish"),
        }
    }

    /// Sends a command and waits for its answer. Frames that come before are kept for
    /// [`Self::next`].
    pub async fn request(&mut self, command: Command) -> Result<Frame, Failure> {
        let answer = self.answer(command, PATIENCE).await;
        answer.unwrap_or_else(|| panic!("no answer in {PATIENCE:?}"))
    }

    /// Sends a command and waits for its answer. A server that does not answer in time is one that
    /// was lost.
    pub async fn request_within(
        &mut self,
        command: Command,
        patience: Duration,
    ) -> Result<Frame, Failure> {
        let asked = timeout(patience, self.answer(command, patience)).await;
        let lost = || Err(Failure::Ended(Ended::Lost(format!("no answer in {patience:?}"))));
        asked.ok().flatten().unwrap_or_else(lost)
    }

    /// Returns the answer to a command, or nothing when none comes in time.
    async fn answer(
        &mut self,
        command: Command,
        patience: Duration,
    ) -> Option<Result<Frame, Failure>> {
        self.last_id += 1;
        let re = format!("t{}", self.last_id);
        // Not final: the server's reason may still be readable.
        self.send(&with_id(command, re.clone())).await.ok();
        let deadline = Instant::now() + patience;
        loop {
            let frame = match self.receive(deadline).await? {
                Incoming::Frame(frame) => *frame,
                Incoming::Ended(ended) => return Some(Err(Failure::Ended(ended))),
            };
            let answers = match &frame {
                Frame::Ok(accepted) => accepted.re.as_ref(),
                Frame::Error(refused) => refused.re.as_ref(),
                Frame::Subscribed(subscribed) => subscribed.re.as_ref(),
                _ => None,
            };
            if answers != Some(&re) {
                assert!(self.kept.len() < KEPT_MAX, "too many frames before an answer");
                self.kept.push_back(frame);
                continue;
            }
            return Some(match frame {
                Frame::Error(refused) => Err(Failure::Refused(refused)),
                answer => Ok(answer),
            });
        }
    }

    /// Reads to the end without looking at frames, as cheaply as can be, and returns how many bytes
    /// came and the close code, if the last frame has one.
    ///
    /// For a connection that was not read before: what the client holds already is left out.
    pub async fn skip_to_end(self) -> (usize, Option<u16>) {
        let mut stream = self.stream.into_inner();
        let (mut total, mut tail, mut buffer) = (0, Vec::new(), vec![0; 64 * 1024]);
        loop {
            let read = timeout(PATIENCE, stream.read(&mut buffer)).await;
            let read = read.unwrap_or_else(|_| panic!("nothing came for {PATIENCE:?}"));
            // A reset ends it, too.
            let Ok(count @ 1..) = read else { return (total, close_code(&tail)) };
            total += count;
            tail.extend_from_slice(buffer.get(..count).unwrap_or_default());
            let surplus = tail.len().saturating_sub(CLOSE_FRAME_MAX);
            tail.drain(..surplus);
        }
    }

    /// Says goodbye and waits for the server's.
    pub async fn close(mut self) {
        // A server that is gone need not hear it.
        drop(timeout(PATIENCE, self.stream.close(None)).await);
    }

    /// Ends the connection with a reset, as a cable that is cut.
    pub fn abort(self) {
        // Fails only when the other side is gone already.
        drop(self.stream.get_ref().set_zero_linger());
    }

    async fn receive(&mut self, deadline: Instant) -> Option<Incoming> {
        if let Some(ended) = &self.ended {
            return Some(Incoming::Ended(ended.clone()));
        }
        loop {
            let received = timeout_at(deadline, self.stream.next()).await.ok()?;
            let ended = match received {
                Some(Ok(Message::Text(text))) => {
                    if let Some(transcript) = &mut self.transcript {
                        transcript.push_str(text.as_str());
                        transcript.push('\n');
                    }
                    let frame = serde_json::from_str(text.as_str());
                    let frame = frame.unwrap_or_else(|error| panic!("{error} in {text}"));
                    return Some(Incoming::Frame(frame));
                }
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = frame.map_or((1005, String::new()), |frame| {
                        (frame.code.into(), frame.reason.as_str().to_owned())
                    });
                    Ended::Closed { code, reason }
                }
                Some(Ok(Message::Binary(_))) => panic!("the server sent a binary frame"),
                Some(Ok(_)) => continue,
                Some(Err(error)) => Ended::Lost(error.to_string()),
                None => Ended::Lost("end of file".to_owned()),
            };
            self.ended = Some(ended.clone());
            return Some(Incoming::Ended(ended));
        }
    }
}

/// Returns the command that writes a message.
pub fn publish(room: &str, client_id: &str, body: &str) -> Command {
    Command::Publish {
        id: None,
        room: room.into(),
        client_id: Some(client_id.to_owned()),
        body: body.to_owned(),
        reply_to: None,
        thread: None,
        attachments: Vec::new(),
    }
}

/// Returns the command under an id.
pub fn with_id(mut command: Command, new: String) -> Command {
    match &mut command {
        Command::Subscribe { id, .. }
        | Command::Unsubscribe { id, .. }
        | Command::Publish { id, .. }
        | Command::Typing { id, .. }
        | Command::Presence { id, .. }
        | Command::Signal { id, .. }
        | Command::Read { id, .. }
        | Command::Cancel { id, .. }
        | Command::Slash { id, .. }
        | Command::Refresh { id, .. } => *id = Some(new),
        Command::Hello { .. } | Command::Ping {} => {}
    }
    command
}

/// Returns the code of the close frame that ends these bytes.
fn close_code(tail: &[u8]) -> Option<u16> {
    tail.windows(4).enumerate().find_map(|(start, window)| match *window {
        // Final, close; not masked; as long as the rest.
        [0x88, len, high, low] if start + 2 + usize::from(len) == tail.len() => {
            Some(u16::from_be_bytes([high, low]))
        }
        _ => None,
    })
}

fn lost(error: io::Error) -> Ended {
    Ended::Lost(tungstenite::Error::Io(error).to_string())
}
