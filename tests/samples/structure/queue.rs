//! What is right.

use crate::csv::Record;

pub struct Plan(Record);
