//! Chooses the user as whom the server runs, since it refuses root.

use std::{fs, io};

use crate::guard;

/// The server's user.
pub struct User {
    /// Its name in messages.
    pub name: String,
    /// Its user and group; none where it is this process's own.
    pub ids: Option<(u32, u32)>,
}

impl User {
    /// This process's user, or else one that root finds on every machine.
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
        find("postgres")
            .or_else(|| find("nobody"))
            .ok_or_else(|| io::Error::other("root has neither a user postgres nor nobody to run it as"))
    }
}
