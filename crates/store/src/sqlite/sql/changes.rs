//! What was changed, noted by the database itself for the transaction that does it.

/// Lives in memory and with the connection that writes. It is part of the transaction: what is taken
/// back was not changed.
pub(in crate::sqlite) const WATCH: &str = "
    CREATE TEMP TABLE changed (what TEXT NOT NULL, id BLOB NOT NULL, user BLOB) STRICT;
    CREATE TEMP TRIGGER users_told AFTER UPDATE OF
        username, display_name, kind, email, role, bio, visibility, active, created_at, avatar
        ON main.users
        BEGIN INSERT INTO changed VALUES ('user', OLD.id, NULL); END;
    CREATE TEMP TRIGGER users_gone_told AFTER DELETE ON main.users
        BEGIN INSERT INTO changed VALUES ('user', OLD.id, NULL); END;
    CREATE TEMP TRIGGER rooms_told AFTER UPDATE OF
        slug, name, kind, topic, archived, created_at, settings
        ON main.rooms
        BEGIN INSERT INTO changed VALUES ('room', OLD.id, NULL); END;
    CREATE TEMP TRIGGER rooms_gone_told AFTER DELETE ON main.rooms
        BEGIN INSERT INTO changed VALUES ('room', OLD.id, NULL); END;
    CREATE TEMP TRIGGER members_told AFTER UPDATE OF role, muted_until ON main.members
        BEGIN INSERT INTO changed VALUES ('member', OLD.room, OLD.user); END;
    CREATE TEMP TRIGGER members_come_told AFTER INSERT ON main.members
        BEGIN INSERT INTO changed VALUES ('member', NEW.room, NEW.user); END;
    CREATE TEMP TRIGGER members_gone_told AFTER DELETE ON main.members
        BEGIN INSERT INTO changed VALUES ('member', OLD.room, OLD.user); END;
";

statements! {
    /// Many memberships of one room are told as one.
    LIST = "SELECT DISTINCT what, id, CASE WHEN many <= 32 THEN user END FROM ( \
            SELECT what, id, user, count(*) OVER (PARTITION BY what, id) AS many \
            FROM temp.changed) LIMIT ?1";
    ANY = "SELECT 1 FROM temp.changed LIMIT 1";
    CLEAR = "DELETE FROM temp.changed";
}
