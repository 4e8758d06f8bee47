//! Handles queries of the simple protocol.

use super::session_state::{Session, SessionEnd};
use crate::redshift::sql;
use crate::redshift::wire::Frame;

impl Session {
    /// Handles a query of the simple protocol. Its statements are separate unless BEGIN is among them: it is
    /// not documented whether Redshift takes them as one transaction.
    pub(super) async fn query(&mut self, text: &str) -> Result<(), SessionEnd> {
        let statements = sql::split(text);
        if statements.is_empty() {
            self.client.put(&Frame::new(b'I', Vec::new()));
        }
        for statement in statements {
            let entry = self.log(&statement, false);
            if !self.carry_out(entry, &statement).await? {
                break;
            }
        }
        self.client.send(&Frame::ready(self.upstream.status())).await?;
        Ok(())
    }
}
