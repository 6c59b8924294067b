//! The merge rules: what order, repetition and grouping may not change, and a model of phones that
//! edit without signal, beside the CRDTs of the literature.

mod interleavings;
mod model;
mod order;
mod own_edits;
