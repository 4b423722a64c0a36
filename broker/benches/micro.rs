//! How long the operations on the path of a frame take: `make bench-micro`.

#[path = "operations/operations.rs"]
mod operations;

use criterion::{BatchSize, Criterion};

// What a node has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for operation in operations::all() {
        criterion.bench_function(operation.name, |bencher| {
            bencher.iter_batched_ref(operation.prepare, |call| call(), BatchSize::SmallInput);
        });
    }
    criterion.final_summary();
}
