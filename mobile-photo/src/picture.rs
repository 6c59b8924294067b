//! A picture in memory, and turning it.

/// One sample for each point: rows without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plane {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// `width * height` of them.
    pub(crate) samples: Vec<u8>,
}

/// What the planes of a picture are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Color {
    /// Brightness alone.
    Grey,
    /// Brightness and two differences of colour, as in JFIF. The differences may have fewer samples.
    YCbCr,
    /// Red, green, blue.
    Rgb,
    /// Ink: 255 is none and 0 is all, as Adobe stores it.
    Cmyk,
    /// The same with its first three turned like YCbCr.
    Ycck,
}

/// A picture in planes: decoders find them that way, and resizing and turning them costs least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) color: Color,
    /// One, three or four. The first is as large as the picture.
    pub(crate) planes: Vec<Plane>,
}

/// How a picture has to be turned to stand upright: the values of EXIF's Orientation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Orientation(u8);

impl Orientation {
    /// Stands upright already.
    pub(crate) const UPRIGHT: Self = Self(1);

    /// From EXIF: 1 to 8. Anything else is what cameras write that do not know.
    pub(crate) fn from_exif(value: u16) -> Self {
        u8::try_from(value).ok().filter(|v| (1..=8).contains(v)).map_or(Self::UPRIGHT, Self)
    }

    /// The upright size of a stored one: from 5 on, width and height change places.
    pub(crate) fn size(self, width: u32, height: u32) -> (u32, u32) {
        if self.0 >= 5 { (height, width) } else { (width, height) }
    }

    /// Where the pixel at (x, y) of the upright picture comes from, in a stored one of that size.
    fn source(self, x: usize, y: usize, width: usize, height: usize) -> (usize, usize) {
        let (right, below) = (width.wrapping_sub(1), height.wrapping_sub(1));
        match self.0 {
            2 => (right - x, y),
            3 => (right - x, below - y),
            4 => (x, below - y),
            5 => (y, x),
            6 => (y, below - x),
            7 => (right - y, below - x),
            8 => (right - y, x),
            _ => (x, y),
        }
    }
}

impl Plane {
    /// Turned upright.
    fn upright(self, orientation: Orientation) -> Self {
        let (stored_width, stored_height) = (self.width as usize, self.height as usize);
        let (width, height) = orientation.size(self.width, self.height);
        let mut samples = Vec::with_capacity(self.samples.len());
        for y in 0..height as usize {
            for x in 0..width as usize {
                let (from_x, from_y) = orientation.source(x, y, stored_width, stored_height);
                samples.push(self.samples[from_y * stored_width + from_x]);
            }
        }
        Self { width, height, samples }
    }
}

impl Picture {
    /// Turned upright.
    pub(crate) fn upright(self, orientation: Orientation) -> Self {
        if orientation == Orientation::UPRIGHT {
            return self;
        }
        let (width, height) = orientation.size(self.width, self.height);
        let planes = self.planes.into_iter().map(|plane| plane.upright(orientation)).collect();
        Self { width, height, color: self.color, planes }
    }
}

/// Width and height with the longest edge at most `edge`, never more than they are, never zero.
pub(crate) fn fitted(width: u32, height: u32, edge: u32) -> (u32, u32) {
    let longest = width.max(height);
    if longest <= edge {
        return (width, height);
    }
    let scaled = |side: u32| {
        let rounded =
            (u64::from(side) * u64::from(edge) + u64::from(longest) / 2) / u64::from(longest);
        u32::try_from(rounded).unwrap_or(edge).max(1)
    };
    (scaled(width), scaled(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored as EXIF's standard says for each value, the upright picture is always
    /// `a b c` above `d e f`.
    #[test]
    fn every_orientation_ends_upright() {
        let stored: [(u32, &str); 8] = [
            (3, "abcdef"),
            (3, "cbafed"),
            (3, "fedcba"),
            (3, "defabc"),
            (2, "adbecf"),
            (2, "cfbead"),
            (2, "fcebda"),
            (2, "daebfc"),
        ];
        for (value, (width, letters)) in (1u16..).zip(stored) {
            let samples = letters.as_bytes().to_vec();
            let plane = Plane { width, height: 6 / width, samples };
            let upright = plane.upright(Orientation::from_exif(value));
            assert_eq!((upright.width, upright.height), (3, 2), "orientation {value}");
            assert_eq!(upright.samples, b"abcdef", "orientation {value}");
        }
        assert_eq!(Orientation::from_exif(0), Orientation::UPRIGHT);
        assert_eq!(Orientation::from_exif(9), Orientation::UPRIGHT);
    }

    #[test]
    fn sizes_shrink_and_never_grow() {
        assert_eq!(fitted(4032, 3024, 1600), (1600, 1200));
        assert_eq!(fitted(3024, 4032, 1600), (1200, 1600));
        assert_eq!(fitted(100, 50, 1600), (100, 50));
        assert_eq!(fitted(65535, 3, 1600), (1600, 1));
        assert_eq!(fitted(1, 200_000_000, 320), (1, 320));
    }
}
