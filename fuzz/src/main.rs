//! The fuzzer: libFuzzer on the target that `CAMPO_FUZZ_TARGET` names. `cargo xtask fuzz` builds it
//! with the coverage flags that it needs, and runs it.

#![no_main]

use std::sync::LazyLock;

use fuzz::Target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("CAMPO_FUZZ_TARGET").unwrap_or_default();
    Target::named(&name).unwrap_or_else(|| {
        let known: Vec<&str> = fuzz::targets::ALL.iter().map(|target| target.name).collect();
        panic!("CAMPO_FUZZ_TARGET is {name:?}; targets are {}", known.join(", "))
    })
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| (TARGET.run)(input));
