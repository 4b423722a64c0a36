//! Rooms as one user sees them in a list.

use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::room::RoomKind;
use parlor_protocol::user::UserRef;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::postgres::codec::{count, id, value, word_opt};
use crate::postgres::fault::Outcome;
use crate::postgres::pools::Server;
use crate::postgres::query::Params;
use crate::postgres::sql::{members, rooms as sql};
use crate::postgres::{query, rows};
use crate::record::{RoomFilter, RoomListing};

/// Rooms that are looked at together for words in them.
const PAGE: u32 = 500;

/// Reads rooms, in the order of their slugs.
pub(super) async fn find(
    conn: &Server,
    rooms: &[RoomId],
    user: UserId,
) -> Outcome<Vec<RoomListing>> {
    let ids: Vec<Uuid> = rooms.iter().map(|room| room.0).collect();
    let mut listings = query::list(conn, sql::LIST_LISTINGS, &[&ids, &user.0], |row| {
        Ok(RoomListing {
            room: rows::room(row, conn.epoch())?,
            members: count(row, 10)?,
            role: rows::role_opt(row, 11)?,
            read_seq: value::<Option<i64>>(row, 12)?.map_or(0, i64::cast_unsigned),
            unread: count(row, 13)?,
            mentions: count(row, 14)?,
            notifications: word_opt(row, 15)?.unwrap_or_default(),
            participants: Vec::new(),
        })
    })
    .await?;
    let direct: Vec<Uuid> = listings
        .iter()
        .filter(|listing| listing.room.kind == RoomKind::Direct)
        .map(|listing| listing.room.id.0)
        .collect();
    if !direct.is_empty() {
        let others: Vec<(RoomId, UserRef)> =
            query::list(conn, members::LIST_OTHERS, &[&direct, &user.0], |row| {
                Ok((id(row, 4)?, rows::user_ref(row, 0)?))
            })
            .await?;
        for (room, other) in others {
            if let Some(listing) = listings.iter_mut().find(|listing| listing.room.id == room) {
                listing.participants.push(other);
            }
        }
    }
    Ok(listings)
}

/// Lists the rooms of one page.
pub(super) async fn list(
    conn: &Server,
    user: UserId,
    filter: &RoomFilter,
    after: &str,
    limit: u32,
) -> Outcome<Vec<RoomListing>> {
    let wanted = filter.query.as_deref().map(str::to_lowercase);
    let page = if wanted.is_some() { PAGE } else { limit };
    let (mut rooms, mut after) = (Vec::new(), after.to_owned());
    while rooms.len() < limit as usize {
        let params: Params<'_> =
            &[&user.0, &after, &filter.mine, &filter.archived, &i64::from(page)];
        let found = query::list(conn, sql::LIST_VISIBLE, params, candidate).await?;
        let last = found.last().map(|candidate| candidate.slug.clone());
        let complete = found.len() < page as usize;
        let fitting = found.into_iter().filter(|room| room.fits(wanted.as_deref()));
        rooms.extend(fitting.map(|room| room.id));
        match last {
            Some(last) if !complete => after = last,
            _ => break,
        }
    }
    rooms.truncate(limit as usize);
    find(conn, &rooms, user).await
}

/// A room that a user may see.
struct Candidate {
    id: RoomId,
    slug: String,
    name: String,
    topic: String,
}

fn candidate(row: &Row) -> Outcome<Candidate> {
    Ok(Candidate {
        id: id(row, 0)?,
        slug: value(row, 1)?,
        name: value(row, 2)?,
        topic: value(row, 3)?,
    })
}

impl Candidate {
    /// Looks for words here and not in the database, whose idea of cases depends on how it was made.
    fn fits(&self, wanted: Option<&str>) -> bool {
        wanted.is_none_or(|wanted| {
            [&self.slug, &self.name, &self.topic]
                .into_iter()
                .any(|text| text.to_lowercase().contains(wanted))
        })
    }
}
