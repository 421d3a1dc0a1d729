//! Nothing: the tests are in `tests/`, and what they read is embedded by `build.rs`.
