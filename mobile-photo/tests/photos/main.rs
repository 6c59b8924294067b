//! What comes out of every kind of photo that can come in. One program, so that it is linked once.
//!
//! Inputs are computed ([`scene`], [`inputs`]) and written by other encoders than the one under test; every
//! output is read by a second decoder (zune-jpeg, through the image crate).
#![allow(clippy::unwrap_used)]

mod budget;
mod exiftool;
mod hostile;
mod inputs;
mod kept;
mod kinds;
mod memory;
mod metadata;
mod orientation;
mod scene;
