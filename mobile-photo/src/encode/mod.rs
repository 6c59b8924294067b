//! Encodes a picture as a JPEG within a number of bytes.
//!
//! ```text
//! planes ──► blocks: cosine transform, once ──► for a quality: quantise, count symbols ──► size
//!                                                   ▲                                       │
//!                                                   └──────────── search ◄──────────────────┘
//!                                               the best quality that fits ──► code tables ──► bytes
//! ```
//! Trying a quality costs a tenth of encoding, because nothing is written for it: the counts of the symbols give
//! the best code tables and with them the size. The result is an ordinary baseline JPEG of one scan, with
//! the colours halved (4:2:0), that every decoder reads. Source: ITU-T T.81.

mod blocks;
mod codes;
mod search;
mod symbols;
mod tables;
mod writer;

pub(crate) use search::encode;
