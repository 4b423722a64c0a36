//! Another program, which takes what is posted to it and answers as a test says.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use serde_json::Value;

/// Longer than a lease and a restart.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The text of the message that a webhook was told of.
    pub(crate) fn said(&self) -> String {
        self.json()["event"]["data"]["body"].as_str().unwrap().to_owned()
    }
}

/// The program.
pub(crate) struct Receiver {
    pub(crate) url: String,
    requests: mpsc::Receiver<Received>,
}

impl Receiver {
    /// Answers each request with the JSON that `answer` makes of it.
    pub(crate) fn answering(answer: impl Fn(&Received) -> String + Send + Sync + 'static) -> Self {
        Self::replying(move |received| {
            let body = answer(received);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
            format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
        })
    }

    /// Answers the first requests with failures, as many as are wanted, and the rest well.
    pub(crate) fn failing(times: usize) -> Self {
        let left = AtomicUsize::new(times);
        Self::replying(move |_| {
            let less = |left: usize| left.checked_sub(1);
            let fails = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok();
            let status = if fails { "500 Oh" } else { "200 OK" };
            format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")
        })
    }

    /// Sends every request elsewhere.
    pub(crate) fn redirecting(to: String) -> Self {
        Self::replying(move |_| {
            format!("HTTP/1.1 307 There\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
        })
    }

    fn replying(answer: impl Fn(&Received) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/in", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::channel();
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (sender, answer) = (sender.clone(), Arc::clone(&answer));
                std::thread::spawn(move || {
                    while let Some(received) = receive(&stream) {
                        let taken = sender.send(received.clone()).is_ok();
                        let text = answer(&received);
                        if !taken || (&stream).write_all(text.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, requests }
    }

    /// Takes everything, a little slowly, so that there is a middle in which to die.
    pub(crate) fn start() -> Self {
        Self::answering(|_| {
            std::thread::sleep(Duration::from_millis(20));
            String::new()
        })
    }

    /// Keeps each request waiting until it is let go; all are when the other end is dropped.
    pub(crate) fn held() -> (Self, mpsc::Sender<()>) {
        Self::late(String::new())
    }

    /// The same, with an answer.
    pub(crate) fn late(body: String) -> (Self, mpsc::Sender<()>) {
        let (let_go, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let answer = move |_: &Received| {
            held.lock().unwrap().recv().ok();
            body.clone()
        };
        (Self::answering(answer), let_go)
    }

    pub(crate) fn next(&self) -> Received {
        self.requests.recv_timeout(PATIENCE).expect("nothing came in time")
    }

    /// What has come and was not looked at.
    pub(crate) fn rest(&self) -> Vec<Received> {
        self.requests.try_iter().collect()
    }
}

fn receive(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim_end().is_empty() {
            break;
        }
        if let Some((name, value)) = line.trim_end().split_once(": ") {
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Received { headers, body })
}
