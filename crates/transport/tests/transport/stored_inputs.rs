//! The fuzz targets on stored inputs: the seeds, and whatever a fuzzer once found.

use std::fs;
use std::path::{Path, PathBuf};

use drivetap_transport::native::fuzzing;

type Body = fn(&[u8]);

/// A target's name is its folder's, in `fuzz/seeds` and in `fuzz/finds`.
const TARGETS: [(&str, Body); 3] = [("decoder", fuzzing::decoder), ("frames", fuzzing::frames), ("session", fuzzing::session)];

#[test]
fn every_stored_input_keeps_the_promises_of_its_target() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    for (target, body) in TARGETS {
        let seeds = inputs(&fuzz.join("seeds").join(target));
        assert!(seeds.len() >= 8, "the seeds of {target} are missing");
        for input in seeds.into_iter().chain(inputs(&fuzz.join("finds").join(target))) {
            // Shown where the test fails, which is how one knows which it was.
            println!("{}", input.display());
            body(&fs::read(input).unwrap());
        }
    }
}

/// None where there is no such folder: a target in which nothing was found has none.
fn inputs(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries.map(|entry| entry.unwrap().path()).collect()
}
