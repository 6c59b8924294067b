//! Decodes a JPEG at a half, a quarter or an eighth of its size, straight into planes.
//!
//! ```text
//! segments ──► tables ──┬─► sequential: block by block, coefficients → samples      ──► planes
//!  (jpeg/)              └─► progressive: low coefficients of all blocks, then samples ─┘
//! ```
//! A picture of an eighth of the size is made of each block's lowest coefficient alone, one of a
//! half of the lowest 4 × 4: what is thrown away afterwards is not computed, and a progressive
//! picture does not keep it either. Source: ITU-T T.81; the scaling is libjpeg's.
//!
//! Data that end early are an error, never a grey rest: whoever took the photo can take it again.

mod bits;
mod huffman;
mod idct;
mod progressive;
mod scan;
mod sequential;

use crate::error::PhotoError;
use crate::jpeg::{DHT, DQT, DRI, Jpeg, Part, SOS};
use crate::picture::{Color, Picture, Plane};
use huffman::Huffman;
use idct::Idct;
use scan::Scan;

/// Most scans of one JPEG. Each costs a walk over all blocks; the finest script of an encoder has 20.
const SCANS_MAX: usize = 64;

/// How much of its size a picture is decoded at: an edge of a block in samples, 8, 4, 2 or 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scale(usize);

impl Scale {
    /// The smallest at which the longer edge still has `edge` pixels.
    pub(crate) fn for_edge(width: u32, height: u32, edge: u32) -> Self {
        let longest = width.max(height);
        let is_enough = |size: &usize| (longest * (*size as u32)).div_ceil(8) >= edge;
        Self([1, 2, 4].into_iter().find(is_enough).unwrap_or(8))
    }
}

/// Decodes it.
///
/// # Errors
/// When its data end early or contradict themselves.
pub(crate) fn decode(jpeg: &Jpeg<'_>, scale: Scale) -> Result<Picture, PhotoError> {
    #[cfg(feature = "turbojpeg")]
    if let Some(picture) = super::turbo::decode(jpeg, color(jpeg), scale.0) {
        return Ok(picture);
    }
    decode_exactly(jpeg, scale).map(|(picture, _)| picture)
}

/// Decodes it, and answers whether its data are exactly as long as the picture. Those that are not are read all the
/// same, but not every decoder would.
///
/// # Errors
/// As [`decode`].
pub(crate) fn decode_exactly(jpeg: &Jpeg<'_>, scale: Scale) -> Result<(Picture, bool), PhotoError> {
    let mut decoder = Decoder::new(jpeg, scale);
    let mut parts = jpeg.parts.iter().peekable();
    while let Some(part) = parts.next() {
        let Part::Segment { marker, content } = part else { continue };
        let content = &jpeg.bytes[content.clone()];
        match *marker {
            DQT => decoder.tables.quantisation(content)?,
            DHT => decoder.tables.huffman(content)?,
            DRI => decoder.tables.restart_interval(content)?,
            SOS => {
                if let Some(Part::Scan(range)) = parts.peek() {
                    decoder.scan(content, &jpeg.bytes[range.clone()])?;
                }
            }
            _ => {}
        }
    }
    let is_exact = decoder.is_exact;
    decoder.finish().map(|picture| (picture, is_exact))
}

/// What a scan needs and segments bring.
#[derive(Default)]
struct Tables {
    /// In the order in which they are stored.
    quantisation: [Option<[u16; 64]>; 4],
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    /// Units between two fresh starts; 0 is never.
    restart_interval: usize,
}

impl Tables {
    fn quantisation(&mut self, mut content: &[u8]) -> Result<(), PhotoError> {
        while let Some((head, rest)) = content.split_first() {
            if head >> 4 > 1 {
                return Err(damaged("a quantisation table has another precision than there is"));
            }
            let (is_wide, number) = (head >> 4 == 1, usize::from(head & 15));
            let bytes = if is_wide { 128 } else { 64 };
            let (Some(slot), Some((values, rest))) =
                (self.quantisation.get_mut(number), rest.split_at_checked(bytes))
            else {
                return Err(damaged("a quantisation table is cut"));
            };
            let mut table = [0; 64];
            for (index, value) in table.iter_mut().enumerate() {
                *value = if is_wide {
                    u16::from_be_bytes([values[2 * index], values[2 * index + 1]])
                } else {
                    u16::from(values[index])
                };
            }
            *slot = Some(table);
            content = rest;
        }
        Ok(())
    }

    fn huffman(&mut self, mut content: &[u8]) -> Result<(), PhotoError> {
        while let Some((head, rest)) = content.split_first() {
            let (class, number) = (head >> 4, usize::from(head & 15));
            let (table, rest) = Huffman::read(rest, class == 1)?;
            let tables = if class == 0 { &mut self.dc } else { &mut self.ac };
            let slot =
                tables.get_mut(number).ok_or_else(|| damaged("a code table has no number"))?;
            *slot = Some(table);
            content = rest;
        }
        Ok(())
    }

    fn restart_interval(&mut self, content: &[u8]) -> Result<(), PhotoError> {
        let &[high, low] = content else { return Err(damaged("the restart interval is cut")) };
        self.restart_interval = usize::from(u16::from_be_bytes([high, low]));
        Ok(())
    }
}

/// One component while it is decoded.
struct Channel {
    /// Blocks across and down in one unit.
    across: usize,
    down: usize,
    /// Blocks across and down that hold a part of the picture: what a scan of it alone has.
    blocks_across: usize,
    blocks_down: usize,
    /// Blocks across with what fills the last unit.
    stride_blocks: usize,
    /// Samples across and down that belong to the picture.
    width: usize,
    height: usize,
    /// Whole blocks of samples.
    samples: Vec<u8>,
    /// Quantisation in the order of storing; taken when its first scan begins.
    quantisation: Option<[f32; 64]>,
    /// Low coefficients of all blocks, of a progressive picture.
    coefficients: progressive::Coefficients,
}

struct Decoder<'j> {
    jpeg: &'j Jpeg<'j>,
    idct: Idct,
    tables: Tables,
    channels: Vec<Channel>,
    units_across: usize,
    units_down: usize,
    scans: usize,
    /// The data of all scans so far were exactly as long as their blocks.
    is_exact: bool,
}

impl<'j> Decoder<'j> {
    fn new(jpeg: &'j Jpeg<'j>, Scale(size): Scale) -> Self {
        let frame = &jpeg.frame;
        let (width, height) = (frame.width as usize, frame.height as usize);
        // A single component has units of one block, whatever it says.
        let factors = |c: &crate::jpeg::Component| match frame.components.len() {
            1 => (1, 1),
            _ => (usize::from(c.across), usize::from(c.down)),
        };
        let most = frame
            .components
            .iter()
            .map(factors)
            .fold((1, 1), |most, (across, down)| (most.0.max(across), most.1.max(down)));
        let units_across = width.div_ceil(8 * most.0);
        let units_down = height.div_ceil(8 * most.1);
        let channel = |(across, down): (usize, usize)| {
            let stride_blocks = units_across * across;
            let blocks = stride_blocks * units_down * down;
            let is_progressive = frame.is_progressive;
            Channel {
                across,
                down,
                blocks_across: (width * across).div_ceil(most.0).div_ceil(8),
                blocks_down: (height * down).div_ceil(most.1).div_ceil(8),
                stride_blocks,
                width: (width * across * size).div_ceil(most.0 * 8),
                height: (height * down * size).div_ceil(most.1 * 8),
                samples: if is_progressive { Vec::new() } else { vec![0; blocks * size * size] },
                quantisation: None,
                coefficients: if is_progressive {
                    progressive::Coefficients::new(blocks, size)
                } else {
                    progressive::Coefficients::default()
                },
            }
        };
        let channels = frame.components.iter().map(factors).map(channel).collect();
        let (idct, tables) = (Idct::new(size), Tables::default());
        Self { jpeg, idct, tables, channels, units_across, units_down, scans: 0, is_exact: true }
    }

    fn scan(&mut self, header: &[u8], data: &[u8]) -> Result<(), PhotoError> {
        self.scans += 1;
        if self.scans > SCANS_MAX {
            return Err(damaged("it has too many scans"));
        }
        let scan = Scan::read(header, &self.jpeg.frame)?;
        for &(index, ..) in &scan.channels {
            let table = usize::from(self.jpeg.frame.components[index].table);
            let channel = &mut self.channels[index];
            if channel.quantisation.is_none() {
                let table = self.tables.quantisation[table]
                    .ok_or_else(|| damaged("a quantisation table is missing"))?;
                channel.quantisation = Some(table.map(f32::from));
            } else if !self.jpeg.frame.is_progressive {
                return Err(damaged("a component comes twice"));
            }
        }
        if self.jpeg.frame.is_progressive {
            progressive::scan(self, &scan, data)
        } else {
            sequential::scan(self, &scan, data)
        }
    }

    fn finish(mut self) -> Result<Picture, PhotoError> {
        if self.channels.iter().any(|channel| channel.quantisation.is_none()) {
            return Err(PhotoError::Truncated("a component has no data"));
        }
        if self.jpeg.frame.is_progressive {
            progressive::finish(&mut self);
        }
        let size = self.idct.size();
        let planes: Vec<Plane> =
            self.channels.into_iter().map(|channel| channel.into_plane(size)).collect();
        let (width, height) = planes.iter().fold((1, 1), |most: (u32, u32), plane| {
            (most.0.max(plane.width), most.1.max(plane.height))
        });
        let color = color(self.jpeg);
        let mut picture = Picture { width, height, color, planes };
        if picture.planes.len() == 4 && self.jpeg.adobe.is_none() {
            // Without Adobe's segment, 255 is all of an ink.
            let samples = picture.planes.iter_mut().flat_map(|plane| &mut plane.samples);
            samples.for_each(|sample| *sample = 255 - *sample);
        }
        Ok(picture)
    }
}

impl Channel {
    /// Without what fills the last blocks.
    fn into_plane(mut self, size: usize) -> Plane {
        let stride = self.stride_blocks * size;
        if stride != self.width {
            for row in 1..self.height {
                let start = row * stride;
                self.samples.copy_within(start..start + self.width, row * self.width);
            }
        }
        self.samples.truncate(self.width * self.height);
        // Both are at most 65,535.
        let (width, height) = (self.width as u32, self.height as u32);
        Plane { width, height, samples: self.samples }
    }
}

/// What the components are, by libjpeg's rules.
fn color(jpeg: &Jpeg<'_>) -> Color {
    match (jpeg.frame.components.len(), jpeg.adobe) {
        (1, _) => Color::Grey,
        (3, _) if jpeg.is_rgb() => Color::Rgb,
        (3, _) => Color::YCbCr,
        (_, Some(2)) => Color::Ycck,
        _ => Color::Cmyk,
    }
}

fn damaged(reason: &str) -> PhotoError {
    PhotoError::Damaged(reason.into())
}
