//! The least that can be called a chat server: one thread, one epoll loop.
//!
//! The first text of a connection names its room and is answered with `joined`; every other is a
//! message for all members of that room. Each turn takes what all readable connections have sent,
//! puts the frames of a room one after the other, and writes that to each member once. What a member
//! does not take waits for it; nothing bounds that, nobody is asked who he is, nothing is stored.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::frame::{self, Frame};

const LISTENER: Token = Token(usize::MAX);
/// Readiness that one turn takes.
const EVENTS: usize = 512;
/// Longest request for a WebSocket.
const REQUEST_MAX: usize = 16 * 1024;

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    state: State,
    /// The beginning of a frame whose end has not come.
    read: Vec<u8>,
    /// What it did not take.
    waiting: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The request for a WebSocket is awaited.
    Http,
    /// The name of the room is awaited.
    Open,
    /// In the room of this place.
    Joined(usize),
}

/// A bound server.
#[derive(Debug)]
pub(crate) struct Server {
    poll: Poll,
    listener: TcpListener,
    address: SocketAddr,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    names: HashMap<Vec<u8>, usize>,
    rooms: Vec<Room>,
    /// Rooms with frames of this turn.
    dirty: Vec<usize>,
}

#[derive(Debug, Default)]
struct Room {
    members: Vec<usize>,
    /// Frames of this turn.
    frames: Vec<u8>,
}

impl Server {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(address)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            address: listener.local_addr()?,
            listener,
            connections: Vec::new(),
            free: Vec::new(),
            names: HashMap::new(),
            rooms: Vec::new(),
            dirty: Vec::new(),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process ends.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                if event.token() == LISTENER {
                    self.accept()?;
                    continue;
                }
                let at = event.token().0;
                if event.is_writable() {
                    self.write(at, &[]);
                }
                if event.is_readable() {
                    self.read(at, &mut buffer, event.is_read_closed());
                }
            }
            self.fan_out();
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let at = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            // Edges are told, so the interest in writing costs nothing until a write falls short.
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(at), interest)?;
            let connection =
                Connection { stream, state: State::Http, read: Vec::new(), waiting: Vec::new() };
            if let Some(place) = self.connections.get_mut(at) {
                *place = Some(connection);
            }
        }
    }

    /// Takes all that one connection has sent.
    fn read(&mut self, at: usize, buffer: &mut [u8], to_end: bool) {
        loop {
            let Some(Some(connection)) = self.connections.get_mut(at) else { return };
            let count = match connection.stream.read(buffer) {
                Ok(0) => return self.close(at),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return self.close(at),
            };
            let came = &mut buffer[..count];
            // Most often a read is one whole frame, which then need not be copied.
            if connection.read.is_empty() {
                if let Some(taken) = self.take(at, came)
                    && let Some(Some(connection)) = self.connections.get_mut(at)
                {
                    connection.read.extend_from_slice(&came[taken..]);
                }
            } else {
                connection.read.extend_from_slice(came);
                let mut all = std::mem::take(&mut connection.read);
                if let Some(taken) = self.take(at, &mut all)
                    && let Some(Some(connection)) = self.connections.get_mut(at)
                {
                    all.drain(..taken);
                    connection.read = all;
                }
            }
            // A short read has emptied the socket, and the next edge tells of more, unless the end is
            // what the last edge told.
            if count < buffer.len() && !to_end {
                return;
            }
        }
    }

    /// Takes what is whole and returns how much that was; `None` when the connection is gone.
    fn take(&mut self, at: usize, read: &mut [u8]) -> Option<usize> {
        let mut state = self.connections.get_mut(at)?.as_mut()?.state;
        if state == State::Http {
            return self.upgrade(at, read);
        }
        let mut taken = 0;
        let mut answer = Vec::new();
        let mut is_over = false;
        while let Some((frame, length)) = frame::next(&mut read[taken..]) {
            match frame {
                Frame::Text(text) => {
                    if let State::Joined(room) = state {
                        self.publish(room, text);
                    } else {
                        state = State::Joined(self.join(at, text));
                        frame::push_text(&mut answer, b"joined");
                    }
                }
                Frame::Ping(payload) => frame::push_pong(&mut answer, payload),
                Frame::Other => {}
                Frame::Close => {
                    frame::push_close(&mut answer);
                    is_over = true;
                    break;
                }
            }
            taken += length;
        }
        if !answer.is_empty() {
            self.write(at, &answer);
        }
        if is_over {
            self.close(at);
            return None;
        }
        Some(taken)
    }

    fn upgrade(&mut self, at: usize, read: &[u8]) -> Option<usize> {
        let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            if read.len() > REQUEST_MAX {
                self.close(at);
                return None;
            }
            return Some(0);
        };
        let Some(answer) = std::str::from_utf8(&read[..end + 4]).ok().and_then(frame::upgrade)
        else {
            self.write(at, b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n");
            self.close(at);
            return None;
        };
        self.connections.get_mut(at)?.as_mut()?.state = State::Open;
        self.write(at, answer.as_bytes());
        Some(end + 4)
    }

    /// Makes the connection a member and returns the place of its room.
    fn join(&mut self, at: usize, name: &[u8]) -> usize {
        let room = *self.names.entry(name.to_vec()).or_insert_with(|| {
            self.rooms.push(Room::default());
            self.rooms.len() - 1
        });
        if let Some(state) = self.rooms.get_mut(room) {
            state.members.push(at);
        }
        if let Some(Some(connection)) = self.connections.get_mut(at) {
            connection.state = State::Joined(room);
        }
        room
    }

    fn publish(&mut self, room: usize, text: &[u8]) {
        if let Some(state) = self.rooms.get_mut(room) {
            if state.frames.is_empty() {
                self.dirty.push(room);
            }
            frame::push_text(&mut state.frames, text);
        }
    }

    fn fan_out(&mut self) {
        for room in std::mem::take(&mut self.dirty) {
            let Some(state) = self.rooms.get_mut(room) else { continue };
            let mut frames = std::mem::take(&mut state.frames);
            let members = std::mem::take(&mut state.members);
            let mut gone = Vec::new();
            for &member in &members {
                if let Some(Some(connection)) = self.connections.get_mut(member)
                    && connection.write(&frames).is_err()
                {
                    gone.push(member);
                }
            }
            frames.clear();
            if let Some(state) = self.rooms.get_mut(room) {
                state.frames = frames;
                state.members = members;
            }
            for member in gone {
                self.close(member);
            }
        }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        if let Some(Some(connection)) = self.connections.get_mut(at)
            && connection.write(bytes).is_err()
        {
            self.close(at);
        }
    }

    fn close(&mut self, at: usize) {
        let Some(connection) = self.connections.get_mut(at).and_then(Option::take) else { return };
        // What fails here is gone already.
        drop(connection.stream.shutdown(Shutdown::Both));
        if let State::Joined(room) = connection.state
            && let Some(state) = self.rooms.get_mut(room)
        {
            state.members.retain(|&member| member != at);
        }
        self.free.push(at);
    }
}

impl Connection {
    /// Writes `bytes` after what waits, and keeps what is not taken.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.waiting.is_empty() {
            let taken = write_some(&mut self.stream, bytes)?;
            self.waiting.extend_from_slice(&bytes[taken..]);
            return Ok(());
        }
        self.waiting.extend_from_slice(bytes);
        let taken = write_some(&mut self.stream, &self.waiting)?;
        self.waiting.drain(..taken);
        if self.waiting.is_empty() {
            self.waiting = Vec::new();
        }
        Ok(())
    }
}

/// Writes until the socket is full and returns how much it took.
fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match stream.write(&bytes[taken..]) {
            Ok(count) => taken += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}
