//! Memory that was freed stays with the process: run on the main thread, whose heap it is about, so without a harness.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "an error fails the test")]

fn main() {
    if cfg!(not(all(target_os = "linux", target_env = "gnu"))) {
        println!("skipped: the C library is not glibc");
        return;
    }
    const BYTES: usize = 256 << 20;
    holdfast_ops::keep_freed_memory();
    let large = std::hint::black_box(vec![1u8; BYTES]);
    let held = data();
    drop(large);
    assert!(data() + BYTES / 2 > held, "the allocation went back to the system");
    println!("memory that was freed stays with the process: ok");
}

/// Bytes of the process's data, touched or not.
fn data() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}
