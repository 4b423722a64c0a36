//! One operation on the path of a frame, called as often as asked for. scripts/instructions.sh runs
//! it under callgrind, which counts inside [`counted_by_callgrind`] and nowhere else.
//!
//! The allocator is the system's: the one of a node looks at the clock now and then, and the counts
//! would differ from run to run.

#[path = "operations/operations.rs"]
mod operations;

use std::process::ExitCode;

use operations::Operation;

/// Calls before the first one that counts: what is made on first use is there then.
const WARM_UP: usize = 3;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the script reads them")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let find = |wanted: &str| operations::all().iter().find(|operation| operation.name == wanted);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["list"] => {
            for operation in operations::all() {
                println!("{}", operation.name);
            }
            ExitCode::SUCCESS
        }
        [name, calls] => match (find(name), calls.parse()) {
            (Some(operation), Ok(calls)) => {
                call(operation, calls);
                ExitCode::SUCCESS
            }
            _ => {
                eprintln!("error: no operation {name}, or no number {calls}");
                ExitCode::from(64)
            }
        },
        _ => {
            eprintln!("usage: instructions list | instructions OPERATION CALLS");
            ExitCode::from(64)
        }
    }
}

fn call(operation: &Operation, calls: usize) {
    for _ in 0..WARM_UP {
        (operation.prepare)()();
    }
    for _ in 0..calls {
        counted_by_callgrind(&mut (operation.prepare)());
    }
}

/// The script knows it by its name.
#[inline(never)]
fn counted_by_callgrind(call: &mut operations::Prepared) {
    call();
    // Otherwise the call would be a jump, and callgrind would not see the end of this.
    std::hint::black_box(());
}
