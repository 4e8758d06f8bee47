//! In no list.
