//! A clock that is set.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use everycall_tests::envoy::Start;
use serde_json::json;

use super::{all_end, behind_door, call, refused, revoke, run, stale, until};
use crate::streams::{ended, open, token, wait_for_list, Revocations};

/// A clock that can be set.
struct Clock {
    directory: tempfile::TempDir,
}

impl Clock {
    /// Builds the library that tells the time.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Self { directory };
        clock.off_by(0);
        let define = format!("-DOFFSET=\"{}\"", clock.directory.path().join("offset").display());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/clock.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", &define, "-o"])
            .args([clock.library(), source])
            .status()
            .unwrap();
        assert!(built.success());
        clock
    }

    fn library(&self) -> std::path::PathBuf {
        self.directory.path().join("clock.so")
    }

    fn off_by(&self, secs: i64) {
        let file = self.directory.path().join("offset");
        let file = std::fs::File::options().create(true).truncate(false).write(true).open(file).unwrap();
        file.write_all_at(&secs.to_ne_bytes(), 0).unwrap();
    }
}

#[test]
fn stream_while_the_clock_is_set() {
    let clock = Clock::new();
    let revocations = Revocations::start();
    let how = Start { preload: Some(clock.library()), ..Start::with(1) };
    let (world, _door) = behind_door(&revocations, revocations.configured(), how, |_| {});
    let (short, long) = (token("t-1", 600), token("t-2", 870));
    wait_for_list(&world, &long);
    let (shorts, longs) = (open(&world, &short), open(&world, &long));
    // What is over by the clock ends; nobody gets in by a list that is too old by it.
    clock.off_by(700);
    all_end(&shorts, Duration::from_secs(3));
    run(&longs);
    assert_eq!((call(&world, &short), call(&world, &long)), (refused(), stale()));
    clock.off_by(0);
    until("it serves again", &world, || call(&world, &long).0 == 200);
    run(&longs);
    // Set back, it gives nobody more time.
    let begun = Instant::now();
    let expiring = open(&world, &token("t-3", 6));
    std::thread::sleep(Duration::from_secs(1));
    clock.off_by(-3_600);
    until("tokens are of the future", &world, || call(&world, &long).0 != 200);
    all_end(&expiring, Duration::from_secs(9));
    assert!((4.5..7.5).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
    run(&longs);
    assert_eq!(call(&world, &long), refused());
    let ended = ended(&world, 4);
    assert_eq!(ended.len(), 4);
    for record in ended.values() {
        assert_eq!((&record["reason"], &record["cut"]), (&json!("token_expired"), &json!(true)), "{record}");
    }
    // What was revoked meanwhile counts when it is right again.
    revoke(&revocations, "t-2");
    std::thread::sleep(Duration::from_secs(1));
    run(&longs);
    clock.off_by(0);
    all_end(&longs, Duration::from_secs(8));
    let other = token("t-4", 600);
    until("it serves again", &world, || call(&world, &other).0 == 200);
    assert_eq!(call(&world, &long), refused());
    world.assert_no_crash();
}
