//! Bots.

macro_rules! bot {
    () => {
        "u.id, u.username, u.display_name, u.kind, b.provider, b.model, b.system_prompt, \
         b.trigger, b.temperature, b.max_tokens, b.context_messages, b.memory_ttl_seconds, \
         b.owner, b.created_at FROM bots b JOIN users u ON u.id = b.user_id"
    };
}

statements! {
    INSERT = "INSERT INTO bots (user_id, provider, model, system_prompt, trigger, temperature, \
              max_tokens, context_messages, memory_ttl_seconds, owner, created_at) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    UPDATE = "UPDATE bots SET provider = $2, model = $3, system_prompt = $4, trigger = $5, \
              temperature = $6, max_tokens = $7, context_messages = $8, memory_ttl_seconds = $9 \
              WHERE user_id = $1";
    SET_DISPLAY_NAME = "UPDATE users SET display_name = $2 WHERE id = $1";
    FIND = concat!("SELECT ", bot!(), " WHERE b.user_id = $1");
    FIND_BY_NAME = concat!("SELECT ", bot!(), " WHERE lower(u.username) = lower($1 COLLATE \"C\")");
    LIST = concat!("SELECT ", bot!(), " ORDER BY lower(u.username)");
    LIST_OF_ROOM = concat!(
        "SELECT ", bot!(), " JOIN members m ON m.user_id = b.user_id AND m.bot \
         WHERE m.room = $1 ORDER BY lower(u.username)"
    );
    /// What deciding who is called needs.
    LIST_CALLABLE = "SELECT u.id, u.username, u.display_name, u.kind, b.trigger \
                     FROM members m JOIN bots b ON b.user_id = m.user_id \
                     JOIN users u ON u.id = m.user_id \
                     WHERE m.room = $1 AND m.bot AND u.active ORDER BY lower(u.username)";
    LOCK_USER = "SELECT 1 FROM users WHERE id = $1 FOR UPDATE";
    /// The rooms that a bot is in or owes something to.
    LOCK_ROOMS = "SELECT id, last_seq FROM rooms WHERE id IN ( \
                  SELECT room FROM members WHERE user_id = $1 UNION \
                  SELECT room FROM bot_jobs WHERE bot = $1 AND state <> 'done') \
                  ORDER BY id FOR NO KEY UPDATE";
    LOCK_OPEN_JOBS = "SELECT id, room, reply, checkpoint FROM bot_jobs \
                      WHERE bot = $1 AND state <> 'done' ORDER BY num FOR UPDATE";
    DELETE_JOB = "DELETE FROM bot_jobs WHERE id = $1";
    END_JOB = "UPDATE bot_jobs SET state = 'done', reply = $2, worker = NULL, \
               lease_until = NULL, checkpoint = '' WHERE id = $1";
    LEAVE_ALL = "DELETE FROM members WHERE user_id = $1 RETURNING room, role";
    DELETE = "DELETE FROM bots WHERE user_id = $1";
    DEACTIVATE = "UPDATE users SET active = false WHERE id = $1";
}
