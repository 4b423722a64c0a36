//! Integrations and registered commands.

use async_trait::async_trait;
use parlor_protocol::id::{CommandId, RoomId, UserId};
use parlor_protocol::time::Timestamp;
use tokio_postgres::Row;

use super::codec::{id, small, time, time_opt, value};
use super::fault::{Fault, Outcome};
use super::pools::Server;
use super::query::Params;
use super::sql::integrations as sql;
use super::transaction::{committing, reading, writing};
use super::{PostgresStore, query, rows, users};
use crate::contract::{Integrations, Result};
use crate::record::{
    CommandRecord, IntegrationRecord, IntegrationSecret, NewCommand, NewIntegration,
    ProgramConflict,
};

#[async_trait]
impl Integrations for PostgresStore {
    async fn create_integration(
        &self,
        integration: NewIntegration,
    ) -> Result<std::result::Result<IntegrationRecord, ProgramConflict>> {
        writing!(self, |tx| create(tx, &integration).await)
    }

    async fn find_integration(&self, hash: [u8; 32]) -> Result<Option<IntegrationRecord>> {
        let params: Params<'_> = &[&hash.as_slice()];
        reading!(self, |conn| query::find(conn, sql::FIND_BY_HASH, params, record).await)
    }

    async fn list_integrations(&self, room: RoomId) -> Result<Vec<IntegrationRecord>> {
        reading!(self, |conn| query::list(conn, sql::LIST, &[&room.0], record).await)
    }

    async fn rotate_integration(
        &self,
        room: RoomId,
        integration: UserId,
        secret: IntegrationSecret,
    ) -> Result<Option<IntegrationRecord>> {
        let hash = secret.hash.as_slice();
        let params: Params<'_> = &[&room.0, &integration.0, &secret.prefix, &hash];
        writing!(self, |tx| async {
            if query::execute(tx, sql::ROTATE, params).await? == 0 {
                return Ok(None);
            }
            find(tx, integration).await
        }
        .await)
    }

    async fn delete_integration(&self, room: RoomId, integration: UserId) -> Result<bool> {
        writing!(self, |tx, repeated| async {
            let params: Params<'_> = &[&room.0, &integration.0];
            let deleted = query::execute(tx, sql::DELETE, params).await? > 0;
            if deleted {
                query::execute(tx, sql::DEACTIVATE, &[&integration.0]).await?;
            }
            Ok(deleted || repeated)
        }
        .await)
    }

    async fn touch_integration(&self, integration: UserId, at: Timestamp) -> Result<()> {
        let params: Params<'_> = &[&integration.0, &at.as_millis()];
        committing!(self, |conn| query::execute(conn, sql::TOUCH, params).await.map(drop))
    }

    async fn create_command(
        &self,
        integration: NewIntegration,
        command: NewCommand,
    ) -> Result<std::result::Result<CommandRecord, ProgramConflict>> {
        writing!(self, |tx| create_command(tx, &integration, &command).await)
    }

    async fn find_command(&self, room: RoomId, name: &str) -> Result<Option<CommandRecord>> {
        let params: Params<'_> = &[&room.0, &name];
        reading!(self, |conn| query::find(conn, sql::FIND_COMMAND, params, command_record).await)
    }

    async fn find_command_by_id(&self, command: CommandId) -> Result<Option<CommandRecord>> {
        reading!(self, |conn| find_command(conn, command).await)
    }

    async fn list_commands(&self, room: RoomId) -> Result<Vec<CommandRecord>> {
        let params: Params<'_> = &[&room.0];
        reading!(self, |conn| query::list(conn, sql::LIST_COMMANDS, params, command_record).await)
    }
}

async fn create(
    tx: &Server,
    new: &NewIntegration,
) -> Outcome<std::result::Result<IntegrationRecord, ProgramConflict>> {
    if let Some(found) = find(tx, new.user.id).await? {
        return Ok(Ok(found));
    }
    let room = new.room.0;
    if query::execute(tx, sql::LOCK_ROOM, &[&room]).await? == 0 {
        return Ok(Err(ProgramConflict::NoSuchRoom));
    }
    let alike: Params<'_> = &[&room, &new.secret.is_none()];
    let count = query::get(tx, sql::COUNT, alike, |row| small(row, 0)).await?;
    if count >= new.max {
        return Ok(Err(ProgramConflict::TooMany));
    }
    if users::insert(tx, &new.user).await?.is_err() {
        return Ok(Err(ProgramConflict::Name));
    }
    // Until it is brought into the room: should that fail, nobody is left behind who may do anything.
    query::execute(tx, sql::DEACTIVATE, &[&new.user.id.0]).await?;
    let params: Params<'_> = &[
        &new.user.id.0,
        &room,
        &new.creator.0,
        &new.secret.as_ref().map(|secret| &secret.prefix),
        &new.secret.as_ref().map(|secret| secret.hash.as_slice()),
        &new.user.at.as_millis(),
    ];
    query::execute(tx, sql::INSERT, params).await?;
    let made = find(tx, new.user.id).await?;
    Ok(Ok(made.ok_or(Fault::Contradiction("integrations lost a row"))?))
}

async fn create_command(
    tx: &Server,
    integration: &NewIntegration,
    new: &NewCommand,
) -> Outcome<std::result::Result<CommandRecord, ProgramConflict>> {
    if let Some(found) = find_command(tx, new.id).await? {
        return Ok(Ok(found));
    }
    let room = integration.room.0;
    // Of two that want the same name the second finds it.
    query::execute(tx, sql::LOCK_ROOM, &[&room]).await?;
    if query::exists(tx, sql::COMMAND_EXISTS, &[&room, &new.name]).await? {
        return Ok(Err(ProgramConflict::Name));
    }
    if let Err(conflict) = create(tx, integration).await? {
        return Ok(Err(conflict));
    }
    let params: Params<'_> = &[
        &new.id.0,
        &room,
        &integration.user.id.0,
        &new.name,
        &new.description,
        &new.url,
        &new.salt.as_slice(),
        &integration.user.at.as_millis(),
    ];
    query::execute(tx, sql::INSERT_COMMAND, params).await?;
    let made = find_command(tx, new.id).await?;
    Ok(Ok(made.ok_or(Fault::Contradiction("commands lost a row"))?))
}

async fn find(conn: &Server, user: UserId) -> Outcome<Option<IntegrationRecord>> {
    query::find(conn, sql::FIND, &[&user.0], record).await
}

async fn find_command(conn: &Server, command: CommandId) -> Outcome<Option<CommandRecord>> {
    query::find(conn, sql::FIND_COMMAND_BY_ID, &[&command.0], command_record).await
}

fn record(row: &Row) -> Outcome<IntegrationRecord> {
    Ok(IntegrationRecord {
        user: rows::user_ref(row, 0)?,
        room: id(row, 4)?,
        creator: rows::user_ref(row, 5)?,
        prefix: value(row, 9)?,
        created_at: time(row, 10)?,
        last_used_at: time_opt(row, 11)?,
    })
}

fn command_record(row: &Row) -> Outcome<CommandRecord> {
    Ok(CommandRecord {
        integration: rows::user_ref(row, 0)?,
        id: id(row, 4)?,
        room: id(row, 5)?,
        name: value(row, 6)?,
        description: value(row, 7)?,
        url: value(row, 8)?,
        salt: super::webhooks::salt(row, 9)?,
        created_at: time(row, 10)?,
    })
}
