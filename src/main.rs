//! The `edgeloop` command.

fn main() {}
