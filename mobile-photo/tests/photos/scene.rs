//! A picture that looks like work outdoors: sky, hills, soil, a wall with lettering, and the noise of a sensor.
//! Computed, so that no photo has to be kept, and the same everywhere.

/// Red, green and blue of a scene. No two of its corners look alike, nor does it mirrored.
pub fn scene(width: u32, height: u32) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(width as usize * height as usize * 3);
    let longest = width.max(height) as f32;
    for y in 0..height {
        for x in 0..width {
            // One unit is the longer edge.
            let place = (x as f32 / longest, y as f32 / longest);
            let down = y as f32 / height as f32;
            let hill = 0.42 + 0.18 * (fractal(place.0 * 3.0, 7.3, 4) - 0.5);
            let base = if down < hill { sky(place, down) } else { soil(place, down) };
            let color = wall(x as f32 / width as f32, down, (x, y)).unwrap_or(base);
            let grain =
                (f32::from(hash(x, y, 1) as u8) + f32::from(hash(x, y, 2) as u8) - 255.0) / 40.0;
            pixels.extend(color.map(|value| (value + grain).clamp(0.0, 255.0) as u8));
        }
    }
    pixels
}

fn sky((x, y): (f32, f32), down: f32) -> [f32; 3] {
    let cloud = ((fractal(x * 5.0, y * 9.0, 5) - 0.5) * 3.0).clamp(0.0, 1.0);
    let blue = [90.0 + 110.0 * down, 140.0 + 90.0 * down, 225.0];
    blue.map(|value| value + (245.0 - value) * cloud)
}

fn soil((x, y): (f32, f32), down: f32) -> [f32; 3] {
    let rough = fractal(x * 40.0, y * 60.0, 7);
    let green = fractal(x * 6.0 + 11.0, y * 8.0, 3);
    let light = 0.45 + 0.75 * rough;
    let earth = [150.0 - 40.0 * down, 110.0 - 30.0 * down, 75.0 - 20.0 * down];
    let grass = [70.0, 125.0 - 20.0 * down, 45.0];
    [0, 1, 2].map(|index| light * (earth[index] + (grass[index] - earth[index]) * green))
}

/// A sign with rows of strokes, as sharp as a sensor sees them, and a red and a yellow field.
fn wall(across: f32, down: f32, (x, y): (u32, u32)) -> Option<[f32; 3]> {
    if !(0.56..0.94).contains(&across) || !(0.52..0.86).contains(&down) {
        return None;
    }
    if across > 0.86 {
        return Some(if down < 0.69 { [200.0, 35.0, 30.0] } else { [235.0, 200.0, 40.0] });
    }
    let (cell_x, cell_y) = (x / 14, y / 22);
    let is_letter = cell_y % 2 == 1 && hash(cell_x, cell_y, 3) > u32::MAX / 6;
    let stroke = hash(cell_x, cell_y, 4) >> ((x % 14) / 3 + (y % 22) / 5 * 5) & 1 == 1;
    Some(if is_letter && stroke { [25.0, 28.0, 40.0] } else { [225.0, 222.0, 210.0] })
}

/// Noise with the spectrum of landscapes, 0 to 1.
fn fractal(x: f32, y: f32, octaves: u32) -> f32 {
    let (mut sum, mut weight, mut all) = (0.0, 1.0, 0.0);
    for octave in 0..octaves {
        let scale = (1 << octave) as f32;
        sum += weight * smooth(x * scale, y * scale, octave);
        all += weight;
        weight *= 0.55;
    }
    sum / all
}

fn smooth(x: f32, y: f32, seed: u32) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let ease = |part: f32| part * part * (3.0 - 2.0 * part);
    let (right_part, lower_part) = (ease(x - left), ease(y - top));
    let corner = |dx: u32, dy: u32| {
        hash(left as u32 + dx, top as u32 + dy, seed + 9) as f32 / u32::MAX as f32
    };
    let above = corner(0, 0) + (corner(1, 0) - corner(0, 0)) * right_part;
    let below = corner(0, 1) + (corner(1, 1) - corner(0, 1)) * right_part;
    above + (below - above) * lower_part
}

fn hash(x: u32, y: u32, seed: u32) -> u32 {
    let mut value =
        x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77) ^ seed.wrapping_mul(0xC2B2_AE3D);
    for shift in [15, 13, 16] {
        value = (value ^ value >> shift).wrapping_mul(0x2C1B_3C6D);
    }
    value ^ value >> 15
}
