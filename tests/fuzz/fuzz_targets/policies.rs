//! libFuzzer's way into `everycall_fuzz::run`, with a bound on the memory that an input takes.

#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What one input may have at a time, beside what the fuzzer itself holds.
const MEMORY: usize = 64 << 20;

struct Counted;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static BOUND: AtomicUsize = AtomicUsize::new(usize::MAX);

#[global_allocator]
static ALLOCATOR: Counted = Counted;

// SAFETY: the system's allocator does the work; what is counted changes nothing of it.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        if live > BOUND.load(Ordering::Relaxed) {
            BOUND.store(usize::MAX, Ordering::Relaxed);
            panic!("more than {MEMORY} bytes for one input: {} asked for", layout.size());
        }
        System.alloc(layout)
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        System.dealloc(at, layout);
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    BOUND.store(LIVE.load(Ordering::Relaxed) + MEMORY, Ordering::Relaxed);
    everycall_fuzz::run(bytes);
    BOUND.store(usize::MAX, Ordering::Relaxed);
});
