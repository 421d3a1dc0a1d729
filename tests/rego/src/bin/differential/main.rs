//! Programs made at random, answered by the real OPA and by us: no answer may differ.

mod counts;
mod differences;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use clap::Parser;
use everycall_rego::{offered_builtins, Value};
use everycall_rego_tests::generate;
use everycall_rego_tests::oracle::{Opa, Oracle};
use everycall_rego_tests::ours::{Evaluate, Ours};
use everycall_rego_tests::stored::{Stored, Want};
use everycall_rego_tests::tree::{Program, Reader};
use everycall_rego_tests::{interpreter, ours};

use counts::{count_one, report, Totals};
use differences::{differs, excuse, keep_difference};

/// Compares what programs made at random come to here and in OPA.
#[derive(Parser)]
struct Arguments {
    /// How many programs.
    #[arg(long, default_value_t = 100_000)]
    programs: usize,
    /// The seed of the first; those of the others follow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many at a time, each with an OPA of its own.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// At most so many differences of a kind are made small and kept.
    #[arg(long, default_value_t = 5)]
    keep: usize,
    /// Stores so many programs with OPA's answers, and compares nothing.
    #[arg(long, num_args = 2, value_names = ["N", "FILE"])]
    store: Option<Vec<String>>,
    /// Compares regorus' interpreter with OPA: a test of the run itself.
    #[arg(long)]
    interpreter: bool,
    /// Compares with OPA only, where it decides.
    #[arg(long)]
    opa_only: bool,
    /// Asks OPA only: what it takes, and what the programs consist of.
    #[arg(long)]
    dry: bool,
    /// Prints the program of the seed, and what is said to it.
    #[arg(long)]
    show: bool,
}

/// Who says what a program comes to.
enum Verdict {
    NoAnswer,
    Wanted { want: Want, by_opa: bool },
}

const AT_ONCE: usize = 100;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    interpreter::quiet();
    let done = match &arguments.store {
        _ if arguments.show => show(&arguments),
        Some(store) => store_answers(&arguments, store),
        None => compare_all(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn show(arguments: &Arguments) -> io::Result<bool> {
    let program = generate::program(arguments.seed);
    for (_, text) in program.texts(Reader::Oracle) {
        println!("{text}----");
    }
    println!(
        "data: {}\ninput: {:?}\nquery: {}",
        program.data,
        program.input.as_ref().map(ToString::to_string),
        program.query
    );
    println!("OPA: {}", Oracle::start()?.ask(std::slice::from_ref(&program))?[0]);
    println!("regorus' interpreter: {}", evaluate(interpreter::evaluate, &program));
    println!("ours: {}", evaluate(ours::evaluate, &program));
    Ok(true)
}

fn compare_all(arguments: &Arguments) -> io::Result<bool> {
    let builtins = offered_builtins();
    let totals = Mutex::new(Totals::default());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for _ in 0..arguments.jobs {
            // Programs may be nested deeply.
            let worker = std::thread::Builder::new()
                .stack_size(64 << 20)
                .spawn_scoped(scope, || work(arguments, &builtins, &totals, &next))?;
            workers.push(worker);
        }
        for worker in workers {
            worker.join().map_err(|_| io::Error::other("a worker panicked"))??;
        }
        io::Result::Ok(())
    })?;
    let totals = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(report(arguments, &builtins, &totals))
}

fn work(
    arguments: &Arguments,
    builtins: &[&'static str],
    totals: &Mutex<Totals>,
    next: &AtomicUsize,
) -> io::Result<()> {
    let mut oracle = Oracle::start()?;
    loop {
        let from = next.fetch_add(AT_ONCE, Ordering::Relaxed);
        if from >= arguments.programs {
            return Ok(());
        }
        let count = AT_ONCE.min(arguments.programs - from);
        let programs: Vec<_> = (from..from + count)
            .map(|at| generate::program(arguments.seed.wrapping_add(at as u64)))
            .collect();
        let answers = oracle.ask(&programs)?;
        for (at, (program, opa)) in programs.iter().zip(&answers).enumerate() {
            let verdict = verdict(arguments, program, opa);
            let differs = match &verdict {
                Verdict::Wanted { want, .. } if !arguments.dry => differs(arguments, program, want),
                _ => None,
            };
            let excused = match (&verdict, &differs) {
                (Verdict::Wanted { want, by_opa }, Some(got)) => {
                    excuse(&mut oracle, program, want, *by_opa, got)?
                }
                _ => None,
            };
            let keep = count_one(
                &mut totals.lock().unwrap_or_else(PoisonError::into_inner),
                builtins,
                program,
                opa,
                &verdict,
                (differs.as_ref(), excused),
                arguments.keep,
            );
            if let (true, Verdict::Wanted { want, by_opa }, Some(got)) = (keep, verdict, differs) {
                let seed = arguments.seed.wrapping_add((from + at) as u64);
                keep_difference(arguments, &mut oracle, seed, program.clone(), (want, by_opa, got))?;
            }
        }
        let done = from + count;
        if done % 5000 == 0 {
            eprintln!("{done} programs");
        }
    }
}

fn verdict(arguments: &Arguments, program: &Program, opa: &Opa) -> Verdict {
    if let Some(want) = Want::of(opa) {
        return Verdict::Wanted { want, by_opa: true };
    }
    if !matches!(opa, Opa::Undecided(_)) || arguments.opa_only || arguments.dry {
        return Verdict::NoAnswer;
    }
    let want = match evaluate(interpreter::evaluate, program) {
        Ours::Undefined => Want::Undefined,
        Ours::Value(value) => match serde_json::value::to_raw_value(&value.to_json()) {
            Ok(text) => Want::Value(text),
            Err(_) => return Verdict::NoAnswer,
        },
        _ => return Verdict::NoAnswer,
    };
    Verdict::Wanted { want, by_opa: false }
}

fn evaluate(evaluate: Evaluate, program: &Program) -> Ours {
    let data = Value::from(&program.data);
    let input = program.input.as_ref().map(Value::from);
    let texts = program.texts(Reader::Us);
    std::panic::catch_unwind(|| evaluate(&texts, &data, input.as_ref(), &program.query))
        .unwrap_or_else(|_| Ours::Refused("it panicked".to_owned()))
}

/// Stores the first programs that OPA decides, short ones.
fn store_answers(arguments: &Arguments, store: &[String]) -> io::Result<bool> {
    let (count, file): (usize, PathBuf) = match store {
        [count, file] => (count.parse().map_err(io::Error::other)?, file.into()),
        _ => return Err(io::Error::other("--store takes a number and a file")),
    };
    let mut oracle = Oracle::start()?;
    let mut lines = String::new();
    let (mut stored, mut seed) = (0, arguments.seed);
    while stored < count {
        let mut programs = Vec::new();
        for _ in 0..AT_ONCE {
            programs.push(generate::program(seed));
            seed = seed.wrapping_add(1);
        }
        for (program, opa) in programs.iter().zip(oracle.ask(&programs)?) {
            let Some(want) = Want::of(&opa) else { continue };
            // Half of the undefined ones say little.
            if matches!(want, Want::Undefined) && seed % 2 == 0 {
                continue;
            }
            let line = serde_json::to_string(&Stored::new(program, want, None)?)?;
            if stored < count && line.len() < 1150 {
                lines.push_str(&line);
                lines.push('\n');
                stored += 1;
            }
        }
    }
    std::fs::write(&file, lines)?;
    println!("{stored} programs with OPA's answers in {}", file.display());
    Ok(true)
}
