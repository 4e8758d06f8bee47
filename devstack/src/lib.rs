//! Everything around the loader, on one machine with no AWS account: a real S3 API, a Redshift stand-in
//! before a real PostgreSQL, and Lambda's runtime API. For the demo, the tests, and people; nothing of it is
//! linked into the function.

pub mod fault;
pub mod guard;
pub mod lambda;
pub mod postgres;
pub mod python;
pub mod redshift;
pub mod s3;
pub mod samples;
pub mod stack;
pub mod wait;
