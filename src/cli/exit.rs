//! Defines the exit statuses that the command's help lists.

pub(super) const GOOD: u8 = 0;
pub(super) const BAD_ARCHIVE: u8 = 1;
pub(super) const CONFIGURATION: u8 = 2;
pub(super) const FAILED: u8 = 3;
