//! A model provider whose tokens tell when they were sent.
//!
//! It speaks as much of OpenAI's chat API as a reply needs, on loopback, on a thread of its own, so
//! that its pace depends on nobody else. A token is the number of microseconds since the provider
//! began, and a blank.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio::time::{self, sleep_until};

use crate::target::BenchError;

/// Longest request that is read.
const REQUEST_MAX: usize = 1 << 20;
/// The model that it says it has.
pub const MODEL: &str = "bench";

/// What each reply is like.
#[derive(Debug, Clone, Copy)]
pub struct Replies {
    /// Tokens a second.
    pub rate: f64,
    /// Tokens of each.
    pub tokens: u32,
}

/// A provider that serves until it is dropped.
#[derive(Debug)]
pub struct Provider {
    address: SocketAddr,
    epoch: Instant,
    sent: Arc<AtomicU64>,
    _serving: watch::Sender<()>,
}

impl Provider {
    /// Begins to listen on a free port of loopback.
    ///
    /// # Errors
    /// Fails when the system has no port or thread left.
    pub fn start(replies: Replies) -> Result<Self, BenchError> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(BenchError::Thread)?;
        listener.set_nonblocking(true).map_err(BenchError::Thread)?;
        let address = listener.local_addr().map_err(BenchError::Thread)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(BenchError::Thread)?;
        let (epoch, sent) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let (serving, end) = watch::channel(());
        let speaker = Speaker { replies, epoch, sent: Arc::clone(&sent) };
        std::thread::Builder::new()
            .name("provider".to_owned())
            .spawn(move || LocalSet::new().block_on(&runtime, serve(listener, speaker, end)))
            .map_err(BenchError::Thread)?;
        Ok(Self { address, epoch, sent, _serving: serving })
    }

    /// Returns the address that a client of OpenAI is given.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Returns the moment from which tokens count.
    pub fn epoch(&self) -> Instant {
        self.epoch
    }

    /// Returns how many tokens were sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// What answers a request.
#[derive(Debug, Clone)]
struct Speaker {
    replies: Replies,
    epoch: Instant,
    sent: Arc<AtomicU64>,
}

async fn serve(listener: std::net::TcpListener, speaker: Speaker, mut end: watch::Receiver<()>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        tokio::select! {
            biased;
            _ended = end.changed() => return,
            accepted = listener.accept() => {
                // A client that went away before it was served is no loss.
                let Ok((stream, _)) = accepted else { continue };
                let speaker = speaker.clone();
                drop(tokio::task::spawn_local(async move { speaker.answer(stream).await }));
            }
        }
    }
}

impl Speaker {
    /// Answers one request. A client that goes away ends its reply, and nothing else.
    async fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let path = read_request(&mut stream).await?;
        if path.ends_with("/chat/completions") {
            return self.reply(&mut stream).await;
        }
        let (status, body) = if path.ends_with("/models") {
            ("200 OK", format!(r#"{{"object":"list","data":[{{"id":"{MODEL}"}}]}}"#))
        } else {
            ("404 Not Found", "{}".to_owned())
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await
    }

    /// Streams a reply at its pace; one that fell behind catches up.
    async fn reply(&self, stream: &mut TcpStream) -> io::Result<()> {
        // The end of the connection is the end of the body.
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await?;
        let (begun, every) =
            (time::Instant::now(), Duration::from_secs_f64(1.0 / self.replies.rate));
        for number in 0..self.replies.tokens {
            sleep_until(begun + every * number).await;
            let token = self.epoch.elapsed().as_micros();
            let line = format!(
                "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{token} \"}}}}]}}\n\n"
            );
            stream.write_all(line.as_bytes()).await?;
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
        let tokens = self.replies.tokens;
        let end = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n\
             data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":1,\"completion_tokens\":{tokens}}}}}\n\n\
             data: [DONE]\n\n"
        );
        stream.write_all(end.as_bytes()).await?;
        stream.shutdown().await
    }
}

/// Reads a request to its end, and returns its path.
async fn read_request(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            if bytes.len() >= end + 4 + length.unwrap_or(0_usize) {
                return Ok(head.split(' ').nth(1).unwrap_or_default().to_owned());
            }
        }
        if bytes.len() > REQUEST_MAX || stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Returns the times that are whole in a piece of a reply, in microseconds since the provider began.
pub(crate) fn times(text: &str) -> impl Iterator<Item = u64> {
    text.split_inclusive(' ').filter_map(|token| token.strip_suffix(' ')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tokens_come_at_their_pace_and_tell_their_time() {
        let provider = Provider::start(Replies { rate: 200.0, tokens: 5 }).unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let address = format!("{}/chat/completions", provider.url());
        let body = client.post(address).body("{}").send().await.unwrap().text().await.unwrap();

        let text: String = body
            .lines()
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
            .filter_map(|line: serde_json::Value| {
                Some(line["choices"][0]["delta"]["content"].as_str()?.to_owned())
            })
            .collect();
        let told: Vec<u64> = times(&text).collect();
        assert_eq!((told.len(), provider.sent()), (5, 5));
        let apart = told.windows(2).map(|pair| pair[1] - pair[0]).sum::<u64>();
        assert!(apart >= 19_000, "five tokens take four pauses of 5 ms: {told:?}");
        assert!(u128::from(told[4]) <= provider.epoch().elapsed().as_micros());
        assert!(body.trim_end().ends_with("data: [DONE]"), "{body}");
    }

    #[tokio::test]
    async fn models_are_listed() {
        let provider = Provider::start(Replies { rate: 1.0, tokens: 1 }).unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let address = format!("{}/models", provider.url());
        let models = client.get(address).send().await.unwrap().text().await.unwrap();
        assert!(models.contains(MODEL), "{models}");
    }

    #[test]
    fn half_a_token_tells_no_time() {
        assert_eq!(times("12 345 67").collect::<Vec<_>>(), [12, 345]);
    }
}
