//! Calls its part, which uses what is defined here.

mod reader;

pub struct Record;

pub fn records() -> Vec<Record> {
    reader::read()
}
