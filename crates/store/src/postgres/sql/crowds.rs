//! Members of a room that may be large.

macro_rules! member {
    () => {
        "SELECT u.id, u.username, u.display_name, u.kind, m.role, m.joined_at, m.muted_until, \
         m.mute_reason FROM members m JOIN users u ON u.id = m.user_id WHERE m.room = $1 "
    };
}

macro_rules! by_name {
    () => {
        "AND m.name > lower($2) COLLATE \"C\" AND m.name >= lower($4) COLLATE \"C\" \
         AND m.name < lower($5) COLLATE \"C\" ORDER BY m.name LIMIT $3"
    };
}

statements! {
    FIND_ALL = concat!(member!(), "AND m.user_id = ANY($2)");
    LIST_BY_ID = concat!(
        member!(), "AND ($2::uuid IS NULL OR m.user_id > $2) ORDER BY m.user_id LIMIT $3"
    );
    LIST = concat!(member!(), by_name!());
    /// Nearly all have this role.
    LIST_PLAIN = concat!(member!(), "AND m.role = $6 AND m.role = 'member' ", by_name!());
    /// Only few have one of these.
    LIST_WITH_ROLE = concat!(member!(), "AND m.role = $6 AND m.role <> 'member' ", by_name!());
}
