//! Addresses of services: which are accepted, and how they are shown without the login in them.

/// Returns the address without user name, password and options, for logs and messages.
///
/// Several addresses stay separated by commas.
pub fn place(url: &str) -> String {
    // A password may hold any character that its writer forgot to encode, so everything up to the
    // last `@` goes.
    let one = |url: &str| {
        let (scheme, rest) = url.trim().split_once("://").unwrap_or(("", url.trim()));
        let bare = rest.rsplit_once('@').map_or(rest, |(_login, place)| place);
        let bare = bare.split(['?', '#']).next().unwrap_or_default();
        if scheme.is_empty() { bare.to_owned() } else { format!("{scheme}://{bare}") }
    };
    match url.split_once("://") {
        // PostgreSQL names several hosts in one address.
        Some(("postgres" | "postgresql", _)) => one(url),
        _ => url.split(',').map(one).collect::<Vec<_>>().join(","),
    }
}

/// True when the address begins with one of the schemes and names a host.
pub(super) fn names_host(url: &str, schemes: &[&str]) -> bool {
    let Some((scheme, rest)) = url.trim().split_once("://") else { return false };
    let place = rest.rsplit_once('@').map_or(rest, |(_login, place)| place);
    let host = place.split(['/', '?', '#']).next().unwrap_or_default();
    let port_only = host.starts_with(':');
    schemes.contains(&scheme) && !host.is_empty() && !port_only && !host.contains(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_holds_no_login_and_no_options() {
        for (url, shown) in [
            ("postgres://u:p@db:5432/parlor?sslmode=require", "postgres://db:5432/parlor"),
            ("postgres://u:p@a:1,b:2/parlor", "postgres://a:1,b:2/parlor"),
            ("postgres://u:p@ss/w?rd@db/parlor", "postgres://db/parlor"),
            ("postgres://db/parlor?password=hunter2", "postgres://db/parlor"),
            ("nats://u:p@a:4222, nats://t0ken@b:4222", "nats://a:4222,nats://b:4222"),
            ("redis://:hunter2@cache:6379/3", "redis://cache:6379/3"),
            ("sqlite:", "sqlite:"),
        ] {
            assert_eq!(place(url), shown);
        }
    }

    #[test]
    fn address_names_its_scheme_and_a_host() {
        for url in ["redis://cache", "redis://:pw@cache:6379/1", "redis://[::1]:6379"] {
            assert!(names_host(url, &["redis", "rediss"]), "{url}");
        }
        for url in ["", "cache:6379", "redis://", "redis://u:p@", "redis://:6379", "http://cache"] {
            assert!(!names_host(url, &["redis", "rediss"]), "{url}");
        }
    }
}
