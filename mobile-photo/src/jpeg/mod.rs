//! JPEG as a file: its segments, what they say, and writing the metadata anew without touching the picture.

mod rewrite;
mod segments;

pub(crate) use rewrite::{head, with_metadata};
pub(crate) use segments::{Component, Frame, Jpeg, Part};

/// Start and end of the file.
const SOI: u8 = 0xD8;
pub(crate) const EOI: u8 = 0xD9;
/// Start of a scan; what follows its header is entropy-coded.
pub(crate) const SOS: u8 = 0xDA;
/// Tables: quantisation, Huffman, and how often the decoder starts afresh.
pub(crate) const DQT: u8 = 0xDB;
pub(crate) const DHT: u8 = 0xC4;
pub(crate) const DRI: u8 = 0xDD;
/// The frames that are read: baseline, extended sequential and progressive, all with Huffman codes.
pub(crate) const SOF_BASELINE: u8 = 0xC0;
pub(crate) const SOF_EXTENDED: u8 = 0xC1;
pub(crate) const SOF_PROGRESSIVE: u8 = 0xC2;
const APP0: u8 = 0xE0;
const APP1: u8 = 0xE1;
const APP2: u8 = 0xE2;
const APP14: u8 = 0xEE;

/// Natural place of each coefficient in the order in which they are stored.
#[rustfmt::skip]
pub(crate) const ZIGZAG: [u8; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];
