//! Integrations and registered commands.

use async_trait::async_trait;
use parlor_protocol::id::{CommandId, RoomId, UserId};
use parlor_protocol::time::Timestamp;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::codec::{id, time, time_opt};
use super::fault::{Fault, Outcome};
use super::sql::integrations as sql;
use super::{query, rows, users};
use crate::contract::{Integrations, Result};
use crate::record::{
    CommandRecord, IntegrationRecord, IntegrationSecret, NewCommand, NewIntegration,
    ProgramConflict,
};

#[async_trait]
impl Integrations for SqliteStore {
    async fn create_integration(
        &self,
        integration: NewIntegration,
    ) -> Result<std::result::Result<IntegrationRecord, ProgramConflict>> {
        self.write(move |conn| create(conn, &integration)).await
    }

    async fn find_integration(&self, hash: [u8; 32]) -> Result<Option<IntegrationRecord>> {
        self.read(move |conn| Ok(query::find(conn, sql::FIND_BY_HASH, [hash], record)?)).await
    }

    async fn list_integrations(&self, room: RoomId) -> Result<Vec<IntegrationRecord>> {
        self.read(move |conn| Ok(query::list(conn, sql::LIST, [room.0.as_bytes()], record)?)).await
    }

    async fn rotate_integration(
        &self,
        room: RoomId,
        integration: UserId,
        secret: IntegrationSecret,
    ) -> Result<Option<IntegrationRecord>> {
        self.write(move |conn| {
            let (room, user) = (room.0.as_bytes(), integration.0.as_bytes());
            let params = params![room, user, secret.prefix, secret.hash];
            if query::execute(conn, sql::ROTATE, params)? == 0 {
                return Ok(None);
            }
            find(conn, integration)
        })
        .await
    }

    async fn delete_integration(&self, room: RoomId, integration: UserId) -> Result<bool> {
        self.write(move |conn| {
            let user = integration.0.as_bytes();
            let deleted = query::execute(conn, sql::DELETE, [room.0.as_bytes(), user])? > 0;
            if deleted {
                query::execute(conn, sql::DEACTIVATE, [user])?;
            }
            Ok(deleted)
        })
        .await
    }

    async fn touch_integration(&self, integration: UserId, at: Timestamp) -> Result<()> {
        self.write(move |conn| {
            let params = params![integration.0.as_bytes(), at.as_millis()];
            query::execute(conn, sql::TOUCH, params)?;
            Ok(())
        })
        .await
    }

    async fn create_command(
        &self,
        integration: NewIntegration,
        command: NewCommand,
    ) -> Result<std::result::Result<CommandRecord, ProgramConflict>> {
        self.write(move |conn| create_command(conn, &integration, &command)).await
    }

    async fn find_command(&self, room: RoomId, name: &str) -> Result<Option<CommandRecord>> {
        let name = name.to_owned();
        self.read(move |conn| {
            let params = params![room.0.as_bytes(), name];
            Ok(query::find(conn, sql::FIND_COMMAND, params, command_record)?)
        })
        .await
    }

    async fn find_command_by_id(&self, command: CommandId) -> Result<Option<CommandRecord>> {
        self.read(move |conn| find_command(conn, command)).await
    }

    async fn list_commands(&self, room: RoomId) -> Result<Vec<CommandRecord>> {
        self.read(move |conn| {
            Ok(query::list(conn, sql::LIST_COMMANDS, [room.0.as_bytes()], command_record)?)
        })
        .await
    }
}

fn create(
    conn: &Connection,
    new: &NewIntegration,
) -> Outcome<std::result::Result<IntegrationRecord, ProgramConflict>> {
    if let Some(found) = find(conn, new.user.id)? {
        return Ok(Ok(found));
    }
    let room = new.room.0.as_bytes();
    if !query::exists(conn, sql::ROOM_EXISTS, [room])? {
        return Ok(Err(ProgramConflict::NoSuchRoom));
    }
    let alike = params![room, new.secret.is_none()];
    let count: u32 = query::get(conn, sql::COUNT, alike, |row| row.get(0))?;
    if count >= new.max {
        return Ok(Err(ProgramConflict::TooMany));
    }
    if users::insert(conn, &new.user)?.is_err() {
        return Ok(Err(ProgramConflict::Name));
    }
    // Until it is brought into the room: should that fail, nobody is left behind who may do anything.
    query::execute(conn, sql::DEACTIVATE, [new.user.id.0.as_bytes()])?;
    query::execute(
        conn,
        sql::INSERT,
        params![
            new.user.id.0.as_bytes(),
            room,
            new.creator.0.as_bytes(),
            new.secret.as_ref().map(|secret| &secret.prefix),
            new.secret.as_ref().map(|secret| secret.hash),
            new.user.at.as_millis(),
        ],
    )?;
    let made = find(conn, new.user.id)?;
    Ok(Ok(made.ok_or(Fault::Contradiction("integrations lost a row"))?))
}

fn create_command(
    conn: &Connection,
    integration: &NewIntegration,
    new: &NewCommand,
) -> Outcome<std::result::Result<CommandRecord, ProgramConflict>> {
    if let Some(found) = find_command(conn, new.id)? {
        return Ok(Ok(found));
    }
    let room = integration.room.0.as_bytes();
    if query::exists(conn, sql::COMMAND_EXISTS, params![room, new.name])? {
        return Ok(Err(ProgramConflict::Name));
    }
    if let Err(conflict) = create(conn, integration)? {
        return Ok(Err(conflict));
    }
    query::execute(
        conn,
        sql::INSERT_COMMAND,
        params![
            new.id.0.as_bytes(),
            room,
            integration.user.id.0.as_bytes(),
            new.name,
            new.description,
            new.url,
            new.salt,
            integration.user.at.as_millis(),
        ],
    )?;
    let made = find_command(conn, new.id)?;
    Ok(Ok(made.ok_or(Fault::Contradiction("commands lost a row"))?))
}

fn find(conn: &Connection, user: UserId) -> Outcome<Option<IntegrationRecord>> {
    Ok(query::find(conn, sql::FIND, [user.0.as_bytes()], record)?)
}

fn find_command(conn: &Connection, command: CommandId) -> Outcome<Option<CommandRecord>> {
    let key = [command.0.as_bytes()];
    Ok(query::find(conn, sql::FIND_COMMAND_BY_ID, key, command_record)?)
}

fn record(row: &Row<'_>) -> rusqlite::Result<IntegrationRecord> {
    Ok(IntegrationRecord {
        user: rows::user_ref(row, 0)?,
        room: id(row, 4)?,
        creator: rows::user_ref(row, 5)?,
        prefix: row.get(9)?,
        created_at: time(row, 10)?,
        last_used_at: time_opt(row, 11)?,
    })
}

fn command_record(row: &Row<'_>) -> rusqlite::Result<CommandRecord> {
    Ok(CommandRecord {
        integration: rows::user_ref(row, 0)?,
        id: id(row, 4)?,
        room: id(row, 5)?,
        name: row.get(6)?,
        description: row.get(7)?,
        url: row.get(8)?,
        salt: row.get(9)?,
        created_at: time(row, 10)?,
    })
}
