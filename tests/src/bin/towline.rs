//! The `towline` command, in a package whose tests can find it.

fn main() -> std::process::ExitCode {
    cli::main()
}
