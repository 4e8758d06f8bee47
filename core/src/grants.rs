//! Lists the permissions that a load needs in Redshift, one for each line of `ddl/grants.sql`.

use std::collections::BTreeSet;
use std::fmt;

use crate::config::{Dataset, TableName};
use crate::ddl::{is_reserved, quoted};

/// Privileges on one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant<'a> {
    /// The privileges, as GRANT names them.
    pub privileges: Vec<&'static str>,
    /// The object.
    pub on: GrantedOn<'a>,
}

/// The object of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantedOn<'a> {
    /// A schema.
    Schema(&'a str),
    /// A table.
    Table(&'a TableName),
}

/// Returns the grants that loads of a dataset need. `absent` lists those of the ledger's tables that the
/// first load must create.
///
/// COPY needs INSERT (`r_COPY.md`), DELETE needs the privilege of the same name (`r_DELETE.md`). The loader
/// reads no row of the tables that it fills.
pub fn needed<'a>(dataset: &'a Dataset, absent: &[&TableName]) -> Vec<Grant<'a>> {
    let ledgers = [&dataset.ledger, &dataset.ledger_tables, &dataset.ledger_lock];
    let all = dataset.tables.iter().map(|table| &table.name).chain(ledgers);
    let schemas: BTreeSet<&str> = all.map(|name| name.schema.as_str()).collect();
    let schemas = schemas.into_iter().map(|schema| {
        let makes = absent.iter().any(|name| name.schema == schema);
        Grant {
            privileges: if makes { vec!["USAGE", "CREATE"] } else { vec!["USAGE"] },
            on: GrantedOn::Schema(schema),
        }
    });
    let tables = dataset.tables.iter().map(|table| Grant {
        privileges: if dataset.truncate { vec!["INSERT", "DELETE"] } else { vec!["INSERT"] },
        on: GrantedOn::Table(&table.name),
    });
    let ledgers = ledgers.into_iter().filter(|name| !absent.contains(name)).map(|name| {
        // AWS does not say what LOCK needs; PostgreSQL 8.0, on which Redshift is based, requires UPDATE or
        // DELETE.
        let is_lock = *name == dataset.ledger_lock;
        let more: &[&str] = if is_lock { &["UPDATE", "DELETE"] } else { &[] };
        Grant { privileges: [&["SELECT", "INSERT"], more].concat(), on: GrantedOn::Table(name) }
    });
    schemas.chain(tables).chain(ledgers).collect()
}

impl Grant<'_> {
    /// Returns the statement that grants these privileges to a user.
    pub fn to(&self, user: &str) -> String {
        format!("{self} TO {};", identifier(user))
    }
}

/// Writes the statement without its grantee.
impl fmt::Display for Grant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GRANT {} ON ", self.privileges.join(", "))?;
        match self.on {
            GrantedOn::Schema(schema) => write!(f, "SCHEMA {}", identifier(schema)),
            GrantedOn::Table(TableName { schema, table }) => {
                write!(f, "{}.{}", identifier(schema), identifier(table))
            }
        }
    }
}

/// Returns a name as it is written in a statement, with quotes if it needs them.
fn identifier(name: &str) -> String {
    let is_plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit());
    if is_plain && !name.is_empty() && !is_reserved(name) { name.to_owned() } else { quoted(name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const SHIPPED: &str = include_str!("../../config.d/cmslite_user_group_metadata.json");

    fn statements(config: &str, is_new: bool) -> Vec<String> {
        let dataset = config::parse("d.json", config).unwrap();
        let absent = if is_new {
            vec![&dataset.ledger, &dataset.ledger_tables, &dataset.ledger_lock]
        } else {
            Vec::new()
        };
        needed(&dataset, &absent).iter().map(|grant| grant.to("cmslite_loader")).collect()
    }

    /// The script has exactly the grants that the program asks for: with a ledger that the program creates,
    /// and with an existing one.
    #[test]
    fn the_script_is_what_is_needed() {
        let script = include_str!("../../ddl/grants.sql");
        let granted: Vec<&str> = script.lines().filter(|line| line.starts_with("GRANT")).collect();
        assert_eq!(granted, statements(SHIPPED, true));
        let instead: Vec<&str> = script.lines().filter_map(|line| line.strip_prefix("--   ")).collect();
        let instead: Vec<&str> = instead.into_iter().filter(|line| line.starts_with("GRANT")).collect();
        let of_a_ledger = statements(SHIPPED, false);
        let of_a_ledger: Vec<&String> =
            of_a_ledger.iter().filter(|statement| !granted.contains(&statement.as_str())).collect();
        assert_eq!(instead, of_a_ledger);
    }

    #[test]
    fn what_appends_deletes_nothing_and_other_schemas_are_used_too() {
        let config = SHIPPED.replace("true", "false").replace("\"cms_group\"", "\"Other.cms-group\"");
        let statements = statements(&config, true);
        assert!(statements.contains(&"GRANT USAGE ON SCHEMA other TO cmslite_loader;".to_owned()));
        assert!(statements.contains(&"GRANT INSERT ON other.\"cms-group\" TO cmslite_loader;".to_owned()));
    }

    #[test]
    fn reserved_words_are_quoted() {
        let config = SHIPPED.replace("\"cmslite\"", "\"user\"").replace("\"cms_group\"", "\"Order\"");
        let statements = statements(&config, true);
        assert!(
            statements.contains(&"GRANT USAGE, CREATE ON SCHEMA \"user\" TO cmslite_loader;".to_owned()),
            "{statements:?}"
        );
        assert!(
            statements.contains(&"GRANT INSERT, DELETE ON \"user\".\"order\" TO cmslite_loader;".to_owned()),
            "{statements:?}"
        );
    }

    #[test]
    fn a_user_of_iam_is_quoted() {
        let grant = Grant { privileges: vec!["USAGE"], on: GrantedOn::Schema("s") };
        assert_eq!(grant.to("IAMR:loader"), "GRANT USAGE ON SCHEMA s TO \"IAMR:loader\";");
    }
}
