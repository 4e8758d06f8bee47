//! Chooses the user of the server, since PostgreSQL refuses root.

use std::{fs, io};

use crate::guard;

/// The server's user.
pub struct User {
    /// The user's name in messages.
    pub name: String,
    /// The user's and the group's id; `None` if it is this process's own user.
    pub ids: Option<(u32, u32)>,
}

impl User {
    /// Returns this process's user, or for root a user that exists on every machine.
    pub fn find() -> io::Result<Self> {
        if !guard::is_root()? {
            return Ok(Self { name: "you".to_owned(), ids: None });
        }
        let users = fs::read_to_string("/etc/passwd")?;
        let find = |name: &str| {
            let ids = users
                .lines()
                .map(|line| line.split(':').collect::<Vec<_>>())
                .find(|fields| fields.first() == Some(&name))
                .and_then(|fields| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)))?;
            Some(Self { name: format!("the user {name}"), ids: Some(ids) })
        };
        find("postgres").or_else(|| find("nobody")).ok_or_else(|| {
            io::Error::other("there is neither a user postgres nor a user nobody that root could run it as")
        })
    }
}
