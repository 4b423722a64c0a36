-- Accounts, rooms and memberships that have changed, for nodes that remember them. Triggers write it,
-- so no statement can leave it out, whoever makes it. Columns that change with every message or
-- connection are not told, and nobody remembers them: `users.last_seen`, `rooms.last_seq`,
-- `members.read_seq` and the like.
CREATE TABLE changes (
    xid     xid8   NOT NULL DEFAULT pg_current_xact_id(),
    at      bigint NOT NULL DEFAULT now_ms(),
    what    text   NOT NULL CHECK (what IN ('user', 'room', 'member')),
    -- The account or the room.
    id      uuid   NOT NULL,
    -- Whose membership; NULL: anyone's.
    user_id uuid
) WITH (autovacuum_vacuum_scale_factor = 0.05);

-- Read by snapshots, like `commit_log`.
CREATE INDEX changes_xid ON changes (xid);
CREATE INDEX changes_at ON changes (at);

CREATE FUNCTION tell_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (what, id) VALUES (TG_ARGV[0], OLD.id);
    RETURN NULL;
END $$;

CREATE FUNCTION tell_membership() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (what, id, user_id) VALUES ('member', OLD.room, OLD.user_id);
    RETURN NULL;
END $$;

-- Many memberships of one room are told as one.
CREATE FUNCTION tell_memberships() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (what, id, user_id)
    SELECT DISTINCT 'member', m.room, CASE WHEN m.many <= 32 THEN m.user_id END
    FROM (SELECT room, user_id, count(*) OVER (PARTITION BY room) AS many FROM touched) AS m;
    RETURN NULL;
END $$;

CREATE TRIGGER users_told AFTER UPDATE OF
    username, display_name, kind, email, role, bio, visibility, active, created_at, avatar ON users
    FOR EACH ROW EXECUTE FUNCTION tell_change('user');
CREATE TRIGGER users_gone_told AFTER DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION tell_change('user');

CREATE TRIGGER rooms_told AFTER UPDATE OF
    slug, name, kind, topic, archived, created_at, settings ON rooms
    FOR EACH ROW EXECUTE FUNCTION tell_change('room');
CREATE TRIGGER rooms_gone_told AFTER DELETE ON rooms
    FOR EACH ROW EXECUTE FUNCTION tell_change('room');

CREATE TRIGGER members_told AFTER UPDATE OF role, muted_until ON members
    FOR EACH ROW EXECUTE FUNCTION tell_membership();
CREATE TRIGGER members_come_told AFTER INSERT ON members REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION tell_memberships();
CREATE TRIGGER members_gone_told AFTER DELETE ON members REFERENCING OLD TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION tell_memberships();
