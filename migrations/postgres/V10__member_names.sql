-- A room's members by name: a page of the list costs as much in a room of 100,000 as in one of ten.
-- The name is that of the account in lower case; triggers keep it so.
ALTER TABLE members ADD COLUMN name text COLLATE "C" NOT NULL DEFAULT '';
UPDATE members m SET name = lower(u.username) FROM users u WHERE u.id = m.user_id;

CREATE INDEX members_by_name ON members (room, name);
-- Few have another role than that of a member.
CREATE INDEX members_with_role ON members (room, role, name) WHERE role <> 'member';

CREATE FUNCTION name_member() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT lower(username) INTO NEW.name FROM users WHERE id = NEW.user_id;
    -- The reference to the account says what is wrong when there is none.
    NEW.name := coalesce(NEW.name, '');
    RETURN NEW;
END $$;

CREATE TRIGGER members_named BEFORE INSERT ON members
    FOR EACH ROW EXECUTE FUNCTION name_member();

CREATE FUNCTION rename_members() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE members SET name = lower(NEW.username) WHERE user_id = NEW.id;
    RETURN NULL;
END $$;

CREATE TRIGGER members_renamed AFTER UPDATE OF username ON users
    FOR EACH ROW WHEN (OLD.username IS DISTINCT FROM NEW.username)
    EXECUTE FUNCTION rename_members();
