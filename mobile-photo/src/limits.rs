//! Every limit of this crate, with its unit and its reason.

/// Longest input, in bytes. The largest phone cameras write 40 MB.
pub const INPUT_BYTES_MAX: usize = 64 << 20;
/// Most pixels that an input may claim, as width times height: the sensors of today's phones end at 200 million.
pub const PIXELS_MAX: u64 = 200_000_000;
/// Most pixels of an input that can only be decoded as a whole (WebP, interlaced PNG): 4 bytes each, 128 MiB.
pub const WHOLE_PIXELS_MAX: u64 = 32 << 20;
/// Longest EXIF block that is looked at, in bytes: what a JPEG segment can hold.
pub const EXIF_BYTES_MAX: usize = 0xFFFF;
/// Most entries of one EXIF directory that are looked at: no camera writes a quarter of it.
pub const EXIF_ENTRIES_MAX: usize = 512;
/// Most markers of one JPEG. A progressive one has a dozen scans with two segments each.
pub const JPEG_SEGMENTS_MAX: usize = 4096;
/// Longest colour profile that is looked at, in bytes. A camera's has less than 4 KiB, a printer's a megabyte.
pub const PROFILE_BYTES_MAX: usize = 4 << 20;
/// Highest quality that is tried, of 100: above it a file grows and nobody sees why.
pub const QUALITY_MAX: u8 = 85;
/// Lowest quality that is tried before the picture is made smaller instead.
pub const QUALITY_MIN: u8 = 35;
/// Most qualities that are tried at one size of a picture.
pub const TRIES_PER_SIZE_MAX: usize = 8;
/// How often a picture may be made smaller, by a fifth each time, before its budget is refused.
pub const SHRINKS_MAX: usize = 12;
/// Longest edge of a picture, in pixels: what a JPEG can have. A row of any kind is so short enough to hold.
pub const EDGE_MAX: u32 = 65_535;
/// Most memory that a PNG's chunks may take, in bytes.
pub const PNG_CHUNKS_BYTES_MAX: usize = 8 << 20;
