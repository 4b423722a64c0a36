//! MQTT 3.1.1 over TCP, at most once (`QoS` 0). Rooms are topics.

use super::{Broken, Dialect, Greeting, Incoming, Reader};

/// Packets, by the high half of their first byte.
const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
/// The low half is fixed for this one.
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const PINGRESP: u8 = 0xD0;
/// A server's way to say that a subscription failed.
const SUBSCRIPTION_FAILED: u8 = 0x80;
/// Length of a packet takes at most so many bytes.
const LENGTH_MAX: usize = 4;

/// An MQTT broker.
#[derive(Debug)]
pub struct Mqtt;

impl Dialect for Mqtt {
    fn system(&self) -> &'static str {
        "mosquitto"
    }

    fn open(&self, greeting: &Greeting<'_>, out: &mut Vec<u8>) {
        let client = format!("bench-{}", greeting.number);
        let mut body = Vec::new();
        push_text(&mut body, "MQTT");
        // Version 4 is 3.1.1. A clean session, and no heartbeat is asked for.
        body.extend_from_slice(&[4, 0x02, 0, 0]);
        push_text(&mut body, &client);
        push_packet(out, CONNECT, &[&body]);
    }

    fn join(&self, room: &str, out: &mut Vec<u8>) {
        // A number for the packet, the topic, and at most once.
        let mut body = vec![0, 1];
        push_text(&mut body, &topic(room));
        body.push(0);
        push_packet(out, SUBSCRIBE, &[&body]);
    }

    fn publish(&self, room: &str, _number: u64, payload: &[u8], out: &mut Vec<u8>) {
        let mut head = Vec::new();
        push_text(&mut head, &topic(room));
        push_packet(out, PUBLISH, &[&head, payload]);
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(MqttReader)
    }
}

fn topic(room: &str) -> String {
    format!("room/{room}")
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    // The names here are short; a longer one would be cut where the length ends.
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend(text.bytes().take(length.into()));
}

fn push_packet(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    out.push(kind);
    let mut length: usize = parts.iter().map(|part| part.len()).sum();
    loop {
        let low = u8::try_from(length & 0x7F).unwrap_or_default();
        length >>= 7;
        out.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    for part in parts {
        out.extend_from_slice(part);
    }
}

#[derive(Debug)]
struct MqttReader;

impl Reader for MqttReader {
    fn take(
        &mut self,
        bytes: &[u8],
        _out: &mut Vec<u8>,
        each: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<usize, Broken> {
        let mut taken = 0;
        while let Some(packet) = first(bytes.get(taken..).unwrap_or_default())? {
            taken += packet.length;
            tell(&packet, each)?;
        }
        Ok(taken)
    }
}

#[derive(Debug)]
struct Packet<'a> {
    kind: u8,
    body: &'a [u8],
    /// With its header.
    length: usize,
}

/// Returns the first packet once it is whole.
fn first(bytes: &[u8]) -> Result<Option<Packet<'_>>, Broken> {
    let Some((&kind, rest)) = bytes.split_first() else { return Ok(None) };
    let mut length = 0;
    for (at, &byte) in rest.iter().take(LENGTH_MAX).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            let start = at + 2;
            let body = bytes.get(start..start + length);
            return Ok(body.map(|body| Packet { kind, body, length: start + length }));
        }
    }
    if rest.len() < LENGTH_MAX { Ok(None) } else { Err(Broken("a length of 5 bytes".to_owned())) }
}

fn tell(packet: &Packet<'_>, each: &mut dyn FnMut(Incoming<'_>)) -> Result<(), Broken> {
    match (packet.kind & 0xF0, packet.body) {
        (PUBLISH, [high, low, rest @ ..]) => {
            let topic = usize::from(u16::from_be_bytes([*high, *low]));
            let payload = rest.get(topic..).ok_or_else(|| Broken("a topic too long".to_owned()))?;
            each(Incoming::Message(payload));
        }
        (CONNACK, [_, 0, ..]) => each(Incoming::Opened),
        (CONNACK, _) => each(Incoming::Refused { number: None, code: "connect" }),
        (SUBACK, [_, _, SUBSCRIPTION_FAILED, ..]) => {
            each(Incoming::Refused { number: None, code: "subscribe" });
        }
        (SUBACK, _) => each(Incoming::Joined),
        (PINGRESP, _) => {}
        (kind, _) => return Err(Broken(format!("packet {kind:#x}"))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::split::at_every_byte;

    #[test]
    fn session_is_the_same_wherever_it_is_cut() {
        let mut bytes = vec![CONNACK, 2, 0, 0];
        bytes.extend([SUBACK, 3, 0, 1, 0]);
        Mqtt.publish("7", 0, b"hello", &mut bytes);
        bytes.extend([PINGRESP, 0]);
        Mqtt.publish("7", 0, &[b'x'; 300], &mut bytes);
        bytes.extend([SUBACK, 3, 0, 1, SUBSCRIPTION_FAILED]);
        let long = format!("Message({})", "x".repeat(300));
        let refused = r#"Refused { number: None, code: "subscribe" }"#;
        at_every_byte(&Mqtt, &bytes, &["Opened", "Joined", "Message(hello)", &long, refused], b"");
    }

    #[test]
    fn length_takes_seven_bits_of_each_byte() {
        for length in [0, 127, 128, 16_383, 16_384, 2_097_151] {
            let mut bytes = Vec::new();
            push_packet(&mut bytes, PUBLISH, &[&vec![0; length]]);
            let packet = first(&bytes).unwrap().unwrap();
            assert_eq!((packet.body.len(), packet.length), (length, bytes.len()));
        }
        assert!(first(&[PUBLISH, 0x80, 0x80, 0x80, 0x80]).is_err());
    }

    #[test]
    fn refused_connection_is_told() {
        let mut told = Vec::new();
        let bytes = [CONNACK, 2, 0, 5];
        let mut note = |incoming: Incoming<'_>| told.push(format!("{incoming:?}"));
        assert_eq!(MqttReader.take(&bytes, &mut Vec::new(), &mut note), Ok(4));
        assert_eq!(told, [r#"Refused { number: None, code: "connect" }"#]);
        assert!(MqttReader.take(&[0xF0, 0], &mut Vec::new(), &mut |_| {}).is_err());
    }
}
