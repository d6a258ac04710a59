//! Repository tasks. A library, so that the tests can call the rules on trees of their own.

pub mod bench;
pub mod sim;
pub mod size;
pub mod source;
pub mod tidy;
pub mod tree;
