//! Integrations and registered commands.

/// An integration and its command work while the one who made it may log in and keeps order in the room.
macro_rules! vouched {
    () => {
        "EXISTS (SELECT 1 FROM members v JOIN users p ON p.id = v.user_id \
         WHERE v.room = i.room AND v.user_id = i.creator AND v.role <> 'member' AND p.active)"
    };
}

macro_rules! integration {
    () => {
        "SELECT u.id, u.username, u.display_name, u.kind, i.room, c.id, c.username, \
         c.display_name, c.kind, i.prefix, i.created_at, i.last_used_at FROM integrations i \
         JOIN users u ON u.id = i.user_id JOIN users c ON c.id = i.creator "
    };
}

macro_rules! command {
    () => {
        "SELECT u.id, u.username, u.display_name, u.kind, k.id, k.room, k.name, k.description, \
         k.url, k.salt, k.created_at FROM commands k JOIN users u ON u.id = k.integration "
    };
}

statements! {
    INSERT = "INSERT INTO integrations (user_id, room, creator, prefix, hash, created_at) \
              VALUES ($1, $2, $3, $4, $5, $6)";
    /// One at a time until the end of the transaction.
    LOCK_ROOM = "SELECT 1 FROM rooms WHERE id = $1 FOR NO KEY UPDATE";
    COUNT = "SELECT count(*) FROM integrations WHERE room = $1 AND (hash IS NULL) = $2";
    FIND = concat!(integration!(), "WHERE i.user_id = $1");
    FIND_BY_HASH = concat!(integration!(), "WHERE i.hash = $1 AND ", vouched!());
    LIST = concat!(
        integration!(), "WHERE i.room = $1 AND i.hash IS NOT NULL ORDER BY i.created_at, i.user_id"
    );
    ROTATE = "UPDATE integrations SET prefix = $3, hash = $4 WHERE room = $1 AND user_id = $2 \
              AND hash IS NOT NULL";
    DELETE = "DELETE FROM integrations WHERE room = $1 AND user_id = $2";
    DEACTIVATE = "UPDATE users SET active = false WHERE id = $1";
    /// Is to be brought into this room.
    IS_OF_ROOM = "SELECT 1 FROM integrations WHERE room = $1 AND user_id = $2";
    /// Somebody who keeps order in this room vouches for this integration of it.
    IS_VOUCHED = concat!(
        "SELECT 1 FROM integrations i WHERE i.room = $1 AND i.user_id = $2 AND ", vouched!()
    );
    ACTIVATE = "UPDATE users SET active = true WHERE id = $1";
    TOUCH = "UPDATE integrations SET last_used_at = $2 WHERE user_id = $1 \
             AND (last_used_at IS NULL OR last_used_at < $2)";
    INSERT_COMMAND = "INSERT INTO commands (id, room, integration, name, description, url, salt, \
                      created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    COMMAND_EXISTS = "SELECT 1 FROM commands WHERE room = $1 AND name = $2";
    FIND_COMMAND = concat!(
        command!(), "JOIN integrations i ON i.user_id = k.integration \
         WHERE k.room = $1 AND k.name = $2 AND ", vouched!()
    );
    FIND_COMMAND_BY_ID = concat!(command!(), "WHERE k.id = $1");
    LIST_COMMANDS = concat!(command!(), "WHERE k.room = $1 ORDER BY k.name");
}
