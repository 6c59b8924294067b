//! What comes from outside, thrown at the decoders.
//!
//! A [`Target`] is a plain function of bytes that panics when a promise is broken. Two programs run
//! the same functions: the fuzzer (`cargo xtask fuzz`; libFuzzer, guided by coverage, for as long as
//! it is let), and `tests/corpus.rs` in every `cargo test` (the kept corpus, and a few thousand
//! seeded changes of it by [`mutator`]).
//!
//! ```text
//!  corpus/<target>/* ──► libFuzzer ──► targets::<target>::run ──► panic ──► artifacts/<target>/crash-…
//!                  └──► tests/corpus.rs ──► the same                          │
//!                  ▲                                                          │
//!                  └──── what was found stays here, under a name ◄────────────┘
//! ```

pub mod corpus;
pub mod memory;
pub mod mutator;
pub mod promise;
pub mod targets;

/// One kind of input from outside, and what must hold for all of them.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is also its folder's in the corpus.
    pub name: &'static str,
    /// Longest input that is tried, in bytes: long enough for every part of the form to occur.
    pub input_bytes_max: usize,
    /// Tries one input.
    ///
    /// # Panics
    /// When a promise is broken; that is what is looked for.
    pub run: fn(&[u8]),
}

impl Target {
    /// The target of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        targets::ALL.iter().find(|target| target.name == name).copied()
    }
}
