//! Runs the ways in turns, compares, and prints.

use std::path::{Path, PathBuf};
use std::process::Command;

use image::imageops::FilterType;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::pipeline::Measured;
use crate::table::Table;
use crate::{Result, quality, scene};

/// What to run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// This program without the C decoder; none where it has none itself.
    #[arg(long)]
    pure: Option<PathBuf>,
    /// The folder of npm's `sharp`, where it could be had.
    #[arg(long)]
    sharp: Option<PathBuf>,
    /// Turns; of each way the median counts.
    #[arg(long, default_value_t = 5)]
    repetitions: usize,
}

/// How often a process does its work. The first is not counted: it also loads and finds memory.
const TIMES: usize = 3;
/// Qualities of sharp whose number of bytes is given to Campo, which spends none on more than its 85.
const QUALITIES: [u8; 3] = [50, 65, 80];

/// Megapixels of a photo and its size.
const PHOTOS: [(&str, u32, u32); 2] = [("12 MP", 4032, 3024), ("50 MP", 8160, 6120)];

/// All of it.
///
/// # Errors
/// When a process fails or its result cannot be read. Missed goals are printed.
pub fn all(args: &Args) -> Result {
    let folder = tempfile::tempdir()?;
    let this = std::env::current_exe()?;
    if args.sharp.is_none() {
        println!("\nsharp could not be had from npm: no figures beside it.");
    }
    for (name, width, height) in PHOTOS {
        for progressive in [false, true] {
            let title = if progressive { format!("{name}, progressive") } else { name.to_owned() };
            let input = folder.path().join("photo.jpg");
            write_photo(&input, width, height, progressive)?;
            let table = Photo { args, this: &this, input: &input, folder: folder.path() };
            table.costs(&title, progressive)?;
        }
    }
    let input = folder.path().join("photo.jpg");
    let (_, width, height) = PHOTOS[0];
    write_photo(&input, width, height, false)?;
    Photo { args, this: &this, input: &input, folder: folder.path() }.qualities()
}

/// As a phone writes it.
fn write_photo(path: &Path, width: u32, height: u32, progressive: bool) -> Result {
    let pixels = scene::scene(width, height);
    let mut encoder = Encoder::new_file(path, 93)?;
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.set_progressive(progressive);
    encoder.encode(&pixels, u16::try_from(width)?, u16::try_from(height)?, ColorType::Rgb)?;
    Ok(())
}

/// One photo and the ways to run on it.
struct Photo<'a> {
    args: &'a Args,
    this: &'a Path,
    input: &'a Path,
    folder: &'a Path,
}

/// A way's name, what starts it, and what it took in each turn.
struct Way {
    name: &'static str,
    program: Program,
    cpu_ms: Vec<f64>,
    peak_kib: u64,
}

enum Program {
    Ours(PathBuf, &'static str),
    Sharp(u8),
}

impl Photo<'_> {
    fn costs(&self, title: &str, progressive: bool) -> Result {
        let pure = self.args.pure.as_deref().unwrap_or(self.this).to_owned();
        let way = |name, program| Way { name, program, cpu_ms: Vec::new(), peak_kib: 0 };
        let ours = |name, pipeline| way(name, Program::Ours(pure.clone(), pipeline));
        let mut ways = vec![ours("Campo, pure Rust", "campo")];
        if self.args.pure.is_some() {
            ways.push(way(
                "Campo, feature turbojpeg",
                Program::Ours(self.this.to_owned(), "campo"),
            ));
        }
        if self.args.sharp.is_some() {
            ways.push(way("sharp", Program::Sharp(80)));
        }
        ways.push(ours("jpeg-decoder ½ + fast_image_resize + jpeg-encoder", "crates"));
        ways.push(ours("image alone, Lanczos3", "image"));
        ways.push(ours("decoding alone, whole (zune-jpeg)", "decode-zune"));
        ways.push(ours("decoding alone, scaled (jpeg-decoder)", "decode-scaled"));
        for _ in 0..self.args.repetitions {
            for way in &mut ways {
                let measured = self.run(&way.program, "out.jpg", 300 * 1024)?;
                way.cpu_ms.extend(&measured.cpu_ms[1..]);
                way.peak_kib = way.peak_kib.max(measured.peak_kib);
            }
        }
        let megabytes = std::fs::metadata(self.input)?.len() as f64 / 1e6;
        let sharp = ways.iter().find(|way| way.name == "sharp").map(Way::median);
        let mut table = Table::new();
        for way in &ways {
            let beside =
                sharp.map_or_else(String::new, |s| format!(", {:.2}× sharp", way.median() / s));
            let mib = way.peak_kib as f64 / 1024.0;
            table
                .figure(way.name, format!("{:.0} ms CPU{beside}, peak {mib:.0} MiB", way.median()));
        }
        let is_large = title.starts_with("50");
        for (way, cpu_goal) in
            ways.iter().filter(|way| way.name.starts_with("Campo")).zip([0.9, 0.65])
        {
            if let Some(sharp) = sharp {
                table.goal(
                    &format!("{}: CPU ÷ sharp", way.name),
                    way.median() / sharp,
                    cpu_goal,
                    "×",
                );
            }
            let goal = if is_large { 120.0 } else { 40.0 };
            let peak = way.peak_kib as f64 / 1024.0;
            table.goal(&format!("{}: peak above idle", way.name), peak, goal, " MiB");
        }
        let kind = if progressive { "progressive" } else { "sequential" };
        table.print(&format!("{title}: {megabytes:.1} MB, {kind}, to 1600 pixels and a thumbnail"));
        Ok(())
    }

    /// The same number of bytes as sharp, and who keeps more of the picture.
    fn qualities(&self) -> Result {
        if self.args.sharp.is_none() {
            return Ok(());
        }
        let (_, width, height) = PHOTOS[0];
        // What was before the camera's JPEG, made smaller by neither of both.
        let whole = image::RgbImage::from_raw(width, height, scene::scene(width, height));
        let whole = whole.ok_or("the scene has another size")?;
        let expected = image::imageops::resize(&whole, 1600, 1200, FilterType::Lanczos3);
        let mut table = Table::new();
        for quality in QUALITIES {
            self.run(&Program::Sharp(quality), "sharp.jpg", 0)?;
            let sharp = self.folder.join("sharp.jpg");
            let bytes = std::fs::metadata(&sharp)?.len();
            self.run(
                &Program::Ours(self.this.to_owned(), "campo"),
                "campo.jpg",
                usize::try_from(bytes)?,
            )?;
            let campo = self.folder.join("campo.jpg");
            let (theirs, ours) =
                (quality::score(&expected, &sharp)?, quality::score(&expected, &campo)?);
            let own_bytes = std::fs::metadata(&campo)?.len();
            let what =
                format!("sharp at {quality}: {bytes} bytes, {theirs:.2}; Campo: {own_bytes} bytes");
            table.figure(&what, format!("{ours:.2}"));
            table.goal("points below sharp", theirs - ours, 1.0, "");
        }
        table.print("12 MP: SSIMULACRA 2 at equal bytes");
        Ok(())
    }

    fn run(&self, program: &Program, output: &str, bytes: usize) -> Result<Measured> {
        let output = self.folder.join(output);
        let mut command = match program {
            Program::Ours(program, pipeline) => {
                let mut command = Command::new(program);
                command
                    .args(["one", *pipeline])
                    .args([self.input, &output])
                    .arg((TIMES + 1).to_string());
                command.arg(format!("--bytes={bytes}"));
                command
            }
            Program::Sharp(quality) => {
                let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sharp.cjs");
                let mut command = Command::new("node");
                command.arg(script).arg(self.args.sharp.as_deref().unwrap_or(Path::new("sharp")));
                command
                    .args([self.input, &output])
                    .arg((TIMES + 1).to_string())
                    .arg(quality.to_string());
                command
            }
        };
        let done = command.output()?;
        if !done.status.success() {
            return Err(format!("{command:?}: {}", String::from_utf8_lossy(&done.stderr)).into());
        }
        Ok(serde_json::from_slice(&done.stdout)?)
    }
}

impl Way {
    fn median(&self) -> f64 {
        let mut all = self.cpu_ms.clone();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or_default()
    }
}
