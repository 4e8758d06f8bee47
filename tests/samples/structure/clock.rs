//! Reaches out.

use chrono::{DateTime, Utc};

pub fn now() -> DateTime<Utc> {
    let _ = std::fs::read("/etc/localtime");
    Utc::now()
}
