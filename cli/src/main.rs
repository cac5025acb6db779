//! The `towline` command: parse → run → exit code. See the library for the rest.

fn main() -> std::process::ExitCode {
    cli::main()
}
