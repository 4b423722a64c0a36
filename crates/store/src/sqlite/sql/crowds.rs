//! Members of a room that may be large.

macro_rules! member {
    ($by:literal) => {
        concat!(
            "SELECT u.id, u.username, u.display_name, u.kind, m.role, m.joined_at, m.muted_until, \
             m.mute_reason FROM members m ",
            $by,
            "JOIN users u ON u.id = m.user WHERE m.room = ?1 "
        )
    };
    () => {
        member!("")
    };
}

macro_rules! by_name {
    () => {
        "AND m.name > ?2 AND m.name >= ?4 AND m.name < ?5 ORDER BY m.name LIMIT ?3"
    };
}

statements! {
    FIND = concat!(member!(), "AND m.user = ?2");
    LIST_BY_ID = concat!(member!(), "AND m.user > ?2 ORDER BY m.user LIMIT ?3");
    LIST = concat!(member!(), by_name!());
    /// Nearly all have this role.
    LIST_PLAIN = concat!(member!(), "AND +m.role = ?6 ", by_name!());
    /// Only few have one of these. SQLite does not know that and would look at everyone by name.
    LIST_WITH_ROLE = concat!(
        member!("INDEXED BY members_with_role "),
        "AND m.role = ?6 AND m.role <> 'member' ",
        by_name!()
    );
}
