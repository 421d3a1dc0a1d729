//! The binary `everycall`.
fn main() -> std::process::ExitCode {
    everycall::commands::main()
}
