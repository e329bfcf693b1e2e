//! The drivetap program: wiring and exit codes. What it does is in the library of the same name.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use drivetap::{Cli, Env, Failure, Kind, Streams, logs, run};

// An event is made by one thread, copied by librdkafka and let go by a third one: glibc's allocator took a third of the runtime's CPU for
// that (`docs/benchmarks.md`). It stands in for C's `malloc`, too.
#[cfg(all(feature = "jemalloc", not(target_env = "msvc")))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code.map_or(ExitCode::SUCCESS, Kind::into),
    };
    install_tls();
    match caught(|| start(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            logs::say(&failure.message);
            failure.kind.into()
        }
    }
}

fn start(cli: Cli) -> Result<(), Failure> {
    let env = Env::of_the_process();
    let streams = Streams::of_the_process(&env, cli.output.color);
    let command = run::prepare(cli.command, &env, streams)?;
    logs::init(cli.output.over(command.log()), &env)?;

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::internal(format_args!("no runtime: {error}")))?;
    let done = caught(|| runtime.block_on(command.run()));
    // A write to a reader that takes nothing must not hold up the exit.
    runtime.shutdown_background();
    done
}

/// A panic is a mistake of our own, or of what we are built on, and ends with the code for it: Rust's own 101 is none that we tell of.
/// Where it was stands on standard error by then. What it broke is not used again: what follows is the end.
fn caught<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let panicked = |_| Err(Failure::internal("internal error: drivetap panicked; the lines above say where"));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked)
}

/// rustls asks the process which implementation it has; a library that chose one could choose a second one.
fn install_tls() {
    #[cfg(any(feature = "reqwest", feature = "redis", feature = "native"))]
    // An error means that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
