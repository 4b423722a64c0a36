use std::rc::Rc;
use std::sync::Arc;

use rcgen::generate_simple_self_signed;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::{TlsAcceptor, TlsConnector, client};

use super::*;
use crate::shard::conn::{Conn, ConnOptions, MemberId};
use crate::shard::outbox::{Batch, Class};
use crate::shard::traffic::Traffic;

/// Bytes that the system keeps for a connection that is to stall soon.
const NARROW: u32 = 4 * 1024;
/// A record's head, its kind and its tag.
const AROUND: usize = 5 + 1 + 16;

/// Both ends of a connection that have shaken hands.
pub(crate) struct Pair {
    pub(crate) client: client::TlsStream<TcpStream>,
    pub(crate) server: TlsStream<TcpStream>,
}

impl Pair {
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// Makes a pair that stalls soon when it is not read.
    pub(crate) async fn narrow() -> Self {
        Self::with(|socket| {
            socket.set_recv_buffer_size(NARROW).unwrap();
            socket.set_send_buffer_size(NARROW).unwrap();
        })
        .await
    }

    async fn with(set: impl Fn(&TcpSocket)) -> Self {
        let made = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let trusting = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let serving = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], made.signing_key.into())
            .unwrap();
        let listening = TcpSocket::new_v4().unwrap();
        set(&listening);
        listening.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener: TcpListener = listening.listen(1).unwrap();
        let connecting = TcpSocket::new_v4().unwrap();
        set(&connecting);
        let connecting = connecting.connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let (client, server) = tokio::join!(
            TlsConnector::from(Arc::new(trusting)).connect(name, connecting),
            TlsAcceptor::from(Arc::new(serving)).accept(accepted),
        );
        Self { client: client.unwrap(), server: server.unwrap() }
    }
}

fn waiting(transport: &Transport) -> usize {
    let Transport::Tls(tls) = transport else { panic!("no TLS") };
    tls.session.borrow_mut().tls.process_new_packets().unwrap().tls_bytes_to_write()
}

async fn read(transport: &Transport, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match transport.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                transport.tcp().readable().await.unwrap();
            }
            read => return read,
        }
    }
}

#[tokio::test]
async fn what_the_socket_does_not_take_is_bounded_and_comes_later_in_order() {
    let Pair { mut client, server } = Pair::narrow().await;
    let transport = Transport::from(server);
    let piece: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let mut written = 0;
    loop {
        match transport.try_write(&piece[written % 256..]) {
            Ok(taken) => written += taken,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                if transport.is_pending() {
                    break;
                }
                transport.tcp().writable().await.unwrap();
            }
        }
    }
    let pending = waiting(&transport);
    assert!((1..=SENDING_MAX + 2 * AROUND).contains(&pending), "{pending}");

    let mut received = vec![0; written];
    let reading = async { client.read_exact(&mut received).await.map(|_| ()) };
    let flushing = async {
        while !transport.flush()?.is_done {
            transport.tcp().writable().await?;
        }
        Ok(())
    };
    tokio::try_join!(reading, flushing).unwrap();
    assert!(received.iter().zip((0..=255).cycle()).all(|(got, sent): (&u8, u8)| *got == sent));
    assert!(!transport.is_pending());
}

#[tokio::test]
async fn pieces_that_are_written_together_are_one_record() {
    let Pair { client, server } = Pair::new().await;
    let transport = Transport::from(server);
    let (mut raw, _) = client.into_inner();
    let pieces = [IoSlice::new(&[b'x'; 100]); 10];
    assert_eq!(transport.try_write_vectored(&pieces).unwrap(), 1_000);
    drop(transport);
    let mut wire = Vec::new();
    raw.read_to_end(&mut wire).await.unwrap();
    // What comes before it are tickets.
    let (_, record) = wire.split_at(wire.len() - 1_000 - AROUND);
    assert_eq!(record[..5], [23, 3, 3, 3, 0xf9]);
}

#[tokio::test]
async fn client_that_sends_records_with_nothing_in_them_is_cut() {
    let Pair { mut client, server } = Pair::new().await;
    let transport = Transport::from(server);
    let Transport::Tls(tls) = &transport else { panic!("no TLS") };
    let mut buffer = [0; 100];
    tls.session.borrow_mut().barren = BARREN_MAX - 100;
    client.write_all(b"something").await.unwrap();
    assert_eq!(read(&transport, &mut buffer).await.unwrap(), 9, "what has something in it is read");

    tls.session.borrow_mut().barren = BARREN_MAX;
    // A change of keys is such a record.
    client.get_mut().1.refresh_traffic_keys().unwrap();
    client.flush().await.unwrap();
    let error = read(&transport, &mut buffer).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn connection_is_blocked_until_the_socket_has_what_was_encrypted() {
    let batch = || Batch::one(Class::Durable, vec![b'x'; SENDING_MAX - 1].into());
    let whole = |conn: &Conn| {
        conn.push(batch());
        conn.flush().unwrap()
    };
    let at_once = |conn: &Conn| {
        conn.write(&batch());
        !conn.is_blocked()
    };
    for write in [&whole as &dyn Fn(&Conn) -> bool, &at_once] {
        let Pair { mut client, server } = Pair::narrow().await;
        let (options, traffic) = (ConnOptions::default(), Rc::new(Traffic::default()));
        let conn = Conn::new(MemberId(1), server.into(), options, 1 << 20, traffic);
        assert!(!write(&conn), "the system takes less");
        assert_eq!(conn.queued_bytes(), 0, "all of it is encrypted");
        assert!(conn.is_blocked());
        let mut received = vec![0; SENDING_MAX - 1];
        let reading = async { client.read_exact(&mut received).await.map(|_| ()) };
        let writing = async {
            while !conn.flush()? {
                conn.socket.tcp().writable().await?;
            }
            Ok(())
        };
        tokio::try_join!(reading, writing).unwrap();
        assert!(!conn.is_blocked());
    }
}

#[tokio::test]
async fn end_is_said_and_heard() {
    let Pair { mut client, server } = Pair::new().await;
    let transport = Transport::from(server);
    client.shutdown().await.unwrap();
    assert_eq!(read(&transport, &mut [0; 10]).await.unwrap(), 0);
    transport.finish();
    assert!(transport.is_pending());
    assert!(transport.flush().unwrap().is_done);
    drop(transport);
    // Without close_notify this is an error.
    assert_eq!(client.read(&mut [0; 10]).await.unwrap(), 0);
}
