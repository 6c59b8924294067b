//! Every target on its kept corpus, and on a few thousand seeded changes of it.

use std::panic::catch_unwind;

use fuzz::mutator::Mutator;
use fuzz::{Target, corpus, targets};

/// Changed inputs for each target: a few seconds for all of them, without optimisation.
const CHANGES: usize = 3_000;

fn holds(target: &Target, input: &[u8], which: &str) {
    let run = target.run;
    let held = catch_unwind(|| run(input)).is_ok();
    assert!(held, "{} does not hold for {which}:\n{}", target.name, input.escape_ascii());
}

#[test]
fn every_target_holds_on_its_corpus() {
    for target in targets::ALL {
        let inputs = corpus::read(target).expect("a corpus for each target");
        assert!(!inputs.is_empty(), "{} has no corpus", target.name);
        for (name, input) in inputs {
            holds(target, &input, &name);
        }
        holds(target, b"", "nothing");
    }
}

#[test]
fn every_target_holds_on_seeded_changes_of_its_corpus() {
    for target in targets::ALL {
        let inputs = corpus::read(target).expect("a corpus for each target");
        let mut mutator = Mutator::new(1);
        for number in 0..CHANGES {
            let (_, input) = &inputs[number % inputs.len()];
            let (_, other) = &inputs[(number * 7 + 1) % inputs.len()];
            let changed = mutator.change(input, other, target.input_bytes_max);
            holds(target, &changed, &format!("change {number}"));
        }
    }
}
