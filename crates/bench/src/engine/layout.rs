//! Who is where: which connections read, which of them send, and which stop reading.

use std::sync::Arc;

/// What one connection needs.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The token of its user; empty for systems without users.
    pub(crate) token: Arc<str>,
    /// The number of its room.
    pub(crate) room: usize,
}

/// Every connection's part.
#[derive(Debug)]
pub(crate) struct Layout {
    /// For each connection: whether it stops reading.
    pub(crate) stalls: Vec<bool>,
    /// For each sender its connection; those of a room come one after the other.
    pub(crate) senders: Vec<usize>,
    /// Senders of each room.
    pub(crate) senders_per_room: usize,
    /// For each room: the readers that count.
    pub(crate) readers: Vec<u32>,
}

impl Layout {
    /// Gives each room its senders, and makes some readers stall, evenly spread.
    ///
    /// `None` when a room has fewer than so many connections that do not stall.
    pub(crate) fn new(
        places: &[Place],
        rooms: usize,
        senders_per_room: usize,
        stalled_percent: f64,
    ) -> Option<Self> {
        let mut members = vec![0_u32; rooms];
        let mut readers = vec![0_u32; rooms];
        let mut chosen = vec![Vec::with_capacity(senders_per_room); rooms];
        let mut stalls = Vec::with_capacity(places.len());
        for (number, place) in places.iter().enumerate() {
            let before = f64::from(members[place.room]) * stalled_percent / 100.0;
            members[place.room] += 1;
            let after = f64::from(members[place.room]) * stalled_percent / 100.0;
            let is_stalling = after.floor() > before.floor();
            stalls.push(is_stalling);
            if !is_stalling {
                readers[place.room] += 1;
                if chosen[place.room].len() < senders_per_room {
                    chosen[place.room].push(number);
                }
            }
        }
        let enough = chosen.iter().all(|chosen| chosen.len() == senders_per_room);
        let senders = chosen.into_iter().flatten().collect();
        enough.then_some(Self { stalls, senders, senders_per_room, readers })
    }

    /// Returns the room of a sender.
    pub(crate) fn room_of(&self, sender: usize) -> usize {
        sender / self.senders_per_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(rooms: usize, members: usize) -> Vec<Place> {
        let place = |number| Place { token: "".into(), room: number / members };
        (0..rooms * members).map(place).collect()
    }

    #[test]
    fn a_tenth_stalls_and_none_of_them_sends() {
        let layout = Layout::new(&places(3, 20), 3, 2, 10.0).unwrap();
        let stalls: Vec<_> = (0..60).filter(|number| layout.stalls[*number]).collect();
        assert_eq!(stalls, [9, 19, 29, 39, 49, 59]);
        assert_eq!(layout.readers, [18; 3]);
        assert_eq!(layout.senders, [0, 1, 20, 21, 40, 41]);
        assert_eq!(layout.room_of(3), 1);
    }

    #[test]
    fn room_without_enough_senders_is_refused() {
        assert!(Layout::new(&places(1, 2), 1, 3, 0.0).is_none());
        assert!(Layout::new(&places(1, 2), 1, 1, 100.0).is_none());
        assert!(Layout::new(&places(1, 2), 2, 1, 0.0).is_none());
    }
}
