//! No code: its dependencies are what it is for.

fn main() {}
