//! The file around the symbols.

use super::blocks::Blocks;
use super::codes::Codes;
use super::symbols::{self, Bits, KINDS};
use super::tables;
use crate::jpeg::{DHT, DQT, EOI, SOF_BASELINE, SOS};

/// How code tables are numbered, by kind: class, and number.
const TABLE_NUMBERS: [u8; KINDS] = [0x00, 0x01, 0x10, 0x11];

/// What [`write`] puts around the data, in bytes.
pub(super) fn frame_bytes(blocks: &Blocks, codes: &[Codes; KINDS]) -> usize {
    let (components, tables) = sizes(blocks);
    let codes: usize = kinds(blocks).map(|kind| codes[kind].table_bytes() + 5).sum();
    tables * 69 + (10 + 3 * components) + codes + (8 + 2 * components) + 2
}

/// Writes it: `head`, tables, frame, one scan, end.
pub(super) fn write(blocks: &Blocks, quality: u8, codes: &[Codes; KINDS], head: &[u8]) -> Vec<u8> {
    let (components, tables) = sizes(blocks);
    let mut out = head.to_vec();
    for (number, steps) in (0u8..).zip(tables::steps(quality)).take(tables) {
        segment(&mut out, DQT, &[&[number], steps.as_slice()].concat());
    }
    // Both are at most 65,535: it was made from what has no more.
    let (width, height) = (blocks.width as u16, blocks.height as u16);
    let mut frame = vec![8];
    frame.extend(height.to_be_bytes());
    frame.extend(width.to_be_bytes());
    frame.push(components as u8);
    let brightness_factors = if blocks.is_grey { 0x11 } else { 0x22 };
    for (id, factors) in (1u8..).zip([brightness_factors, 0x11, 0x11]).take(components) {
        frame.extend([id, factors, u8::from(id > 1)]);
    }
    segment(&mut out, SOF_BASELINE, &frame);
    for kind in kinds(blocks) {
        let codes = &codes[kind];
        let table = [&[TABLE_NUMBERS[kind]], codes.counts.as_slice(), &codes.symbols].concat();
        segment(&mut out, DHT, &table);
    }
    let mut scan = vec![components as u8];
    for id in 1..=components as u8 {
        scan.extend([id, if id > 1 { 0x11 } else { 0x00 }]);
    }
    scan.extend([0, 63, 0]);
    segment(&mut out, SOS, &scan);
    let mut bits = Bits::new(codes, out);
    symbols::send(blocks, quality, &mut bits);
    let mut out = bits.finish();
    out.extend([0xFF, EOI]);
    out
}

/// How many components and quantisation tables there are.
fn sizes(blocks: &Blocks) -> (usize, usize) {
    if blocks.is_grey { (1, 1) } else { (3, 2) }
}

/// The kinds of symbols that occur.
fn kinds(blocks: &Blocks) -> impl Iterator<Item = usize> {
    let is_grey = blocks.is_grey;
    (0..KINDS).filter(move |kind| !is_grey || kind % 2 == 0)
}

fn segment(out: &mut Vec<u8>, marker: u8, content: &[u8]) {
    out.extend([0xFF, marker]);
    // The longest is a code table of 273 bytes.
    out.extend((content.len() as u16 + 2).to_be_bytes());
    out.extend(content);
}
