-- A room's members by name: a page of the list costs as much in a room of 100,000 as in one of ten.
-- The name is that of the account; triggers keep it so.
ALTER TABLE members ADD COLUMN name TEXT NOT NULL DEFAULT '' COLLATE NOCASE;
UPDATE members SET name = (SELECT username FROM users WHERE id = members.user);

CREATE INDEX members_by_name ON members (room, name);
-- Few have another role than that of a member.
CREATE INDEX members_with_role ON members (room, role, name) WHERE role <> 'member';

CREATE TRIGGER members_named AFTER INSERT ON members BEGIN
    UPDATE members SET name = (SELECT username FROM users WHERE id = NEW.user)
    WHERE room = NEW.room AND user = NEW.user;
END;

CREATE TRIGGER members_renamed AFTER UPDATE OF username ON users BEGIN
    UPDATE members SET name = NEW.username WHERE user = NEW.id;
END;
