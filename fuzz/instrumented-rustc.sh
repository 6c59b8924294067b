#!/bin/sh
# The compiler for the crates of this workspace in a fuzzer's build (RUSTC_WORKSPACE_WRAPPER): counts
# edges and traces comparisons for libFuzzer. Passes and LLVM's options are stable, so this needs no
# other toolchain; the sanitizers would, and safe Rust gives them little to find.
exec "$@" \
  -Cpasses=sancov-module \
  -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
  -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares
