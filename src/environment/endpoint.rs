//! Parses a cluster's address as people paste it.

/// The parts of a cluster's address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) database: Option<String>,
}

/// The prefixes of an address that add no information.
const SCHEMES: [&str; 5] =
    ["jdbc:redshift://", "jdbc:postgresql://", "redshift://", "postgresql://", "postgres://"];

impl Endpoint {
    /// Splits `host`, `host:port`, `host:port/database` and the same after `jdbc:redshift://`. Blanks around
    /// the text, and a dot at the host's end, are ignored.
    ///
    /// # Errors
    ///
    /// A text that says what to write instead, and quotes nothing that may be a password.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let rest = SCHEMES.iter().find_map(|scheme| {
            text.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme))?;
            text.get(scheme.len()..)
        });
        let rest = rest.unwrap_or(text);
        if rest.contains('@') {
            return Err("holds a user: write the host only, and the login as PGUSER and pgpass".to_owned());
        }
        if rest.contains(['?', ';', '&', '=']) {
            return Err(
                "holds settings of a driver: write host, host:port or host:port/database only".to_owned()
            );
        }
        if rest.contains("://") {
            return Err(
                "is a URL of another kind: write the cluster's endpoint, as host or host:port/database"
                    .to_owned(),
            );
        }
        if rest.starts_with('/') {
            return Err("is a path: write the cluster's endpoint, as host or host:port/database".to_owned());
        }
        let (place, database) = match rest.split_once('/') {
            None => (rest, None),
            Some((_, database)) if database.contains('/') => {
                return Err("has more than one /: write host:port/database".to_owned());
            }
            Some((place, database)) => (place, Some(database.trim()).filter(|name| !name.is_empty())),
        };
        let (host, port) = split_port(place.trim())?;
        let host = host.trim().strip_suffix('.').unwrap_or(host.trim());
        let address = host.parse::<std::net::IpAddr>().is_ok();
        if !address && !is_name(host) {
            return Err(
                "is not a host name: write the cluster's endpoint, without blanks and commas".to_owned()
            );
        }
        if database.is_some_and(|name| name.contains(char::is_whitespace)) {
            return Err("has a blank in the database's name: write that as PGDATABASE".to_owned());
        }
        Ok(Self { host: host.to_owned(), port, database: database.map(str::to_owned) })
    }
}

fn split_port(place: &str) -> Result<(&str, Option<u16>), String> {
    if place.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok((place, None));
    }
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => place.rsplit_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let Some(port) = port else { return Ok((host, None)) };
    if host.contains(':') && host.parse::<std::net::Ipv6Addr>().is_err() {
        return Err("has more than one colon: write host or host:port".to_owned());
    }
    match port.trim().parse() {
        Ok(port) if port > 0 => Ok((host, Some(port))),
        _ => Err("has no port after its colon: write host or host:port".to_owned()),
    }
}

/// Checks whether a host has labels of letters, digits, `-` and `_`, with dots between them.
fn is_name(host: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    host.len() <= 253 && host.split('.').all(|label| !label.is_empty() && label.chars().all(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "c.abc.ca-central-1.redshift.amazonaws.com";

    #[test]
    fn what_is_pasted_is_taken_apart() {
        let all = (HOST, Some(5440), Some("dev"));
        for (text, expected) in [
            (HOST.to_owned(), (HOST, None, None)),
            (format!("  {HOST}.\n"), (HOST, None, None)),
            (format!("{HOST}:5440"), (HOST, Some(5440), None)),
            (format!("{HOST}.:5440/"), (HOST, Some(5440), None)),
            (format!("{HOST}:5440/dev"), all),
            (format!("{HOST}/dev"), (HOST, None, Some("dev"))),
            (format!("jdbc:redshift://{HOST}:5440/dev"), all),
            (format!("JDBC:Redshift://{HOST}:5440/dev "), all),
            (format!("postgresql://{HOST}:5440/dev"), all),
            ("::1".to_owned(), ("::1", None, None)),
            ("[::1]:5440/dev".to_owned(), ("::1", Some(5440), Some("dev"))),
            ("localhost".to_owned(), ("localhost", None, None)),
        ] {
            let endpoint = Endpoint::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let found = (endpoint.host.as_str(), endpoint.port, endpoint.database.as_deref());
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_a_host_is_refused_and_no_password_is_said() {
        for (text, word) in [
            ("", "not a host name"),
            (" ", "not a host name"),
            (".", "not a host name"),
            ("a b", "not a host name"),
            ("a,b", "not a host name"),
            ("a..b", "not a host name"),
            ("hôte", "not a host name"),
            ("/var/run/postgresql", "is a path"),
            ("host=h user=u password=hush", "settings of a driver"),
            ("h user u password hush", "not a host name"),
            ("h:5439:dev:u:hush", "more than one colon"),
            ("h:5439/dev password hush", "a blank in the database"),
            ("h:hush", "no port"),
            ("h:", "no port"),
            ("h:0", "no port"),
            ("h:65536", "no port"),
            ("h:port", "no port"),
            ("h:1/a/b", "more than one /"),
            ("https://h/dev", "URL of another kind"),
            ("jdbc:redshift:iam://h:1/dev", "URL of another kind"),
            ("postgres://u:hush@h/dev", "holds a user"),
            ("jdbc:redshift://h:1/dev?PWD=hush", "settings of a driver"),
            ("jdbc:redshift://h:1/dev;PWD=hush", "settings of a driver"),
        ] {
            let refused = Endpoint::parse(text).err().unwrap_or_else(|| panic!("{text}: taken"));
            assert!(refused.contains(word) && !refused.contains("hush"), "{text}: {refused}");
        }
    }
}
