//! `photo`: adds a photo to a record, shows those of this phone, fetches one, hurries one.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use mobile_core::core::{PhotoView, new_photo};
use mobile_core::photos::{Budget, Capture, NewPhoto, Position, Variant};
use mobile_core::{Core, CoreError};
use serde_json::json;
use sync_protocol::RecordId;
use sync_protocol::problem::Problem;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::problem;
use crate::output::{Output, Table};

/// What can be done with photos.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a photo to a record; prints the id of the photo's own record.
    Add {
        /// The record, `asistencias/0192…`.
        #[arg(value_name = "COLLECTION/ID", value_parser = name)]
        of: Name,
        /// A JPEG, PNG or WebP, as the camera wrote it.
        file: PathBuf,
        #[command(flatten)]
        taken: Taken,
    },
    /// Show the photos on this phone, those that wait first, and why.
    List,
    /// Print where a photo's file is, fetched from the server if it is not here.
    Get {
        /// The photo's own record, `asistencia_fotos/0192…`.
        #[arg(value_name = "COLLECTION/ID", value_parser = name)]
        photo: Name,
        /// The small picture.
        #[arg(long)]
        thumbnail: bool,
    },
    /// Send a photo before all others, whatever the network costs.
    Now {
        /// The photo's own record, `asistencia_fotos/0192…`.
        #[arg(value_name = "COLLECTION/ID", value_parser = name)]
        photo: Name,
    },
}

/// What the app knows when a photo is taken. What the camera wrote itself counts more.
#[derive(Debug, Clone, ClapArgs)]
pub struct Taken {
    /// Where the phone is, in degrees north.
    #[arg(long, allow_hyphen_values = true, requires = "lon", value_name = "DEGREES")]
    pub lat: Option<f64>,
    /// Where the phone is, in degrees east.
    #[arg(long, allow_hyphen_values = true, requires = "lat", value_name = "DEGREES")]
    pub lon: Option<f64>,
    /// How far off that may be, in metres.
    #[arg(long, requires = "lat", value_name = "METRES")]
    pub accuracy: Option<f64>,
    /// The phone says that its location is made up by another app.
    #[arg(long)]
    pub mocked: bool,
    /// When it was taken, `2026-11-24T08:00:00-06:00`; now, in UTC, if nothing is said. A camera that wrote no zone is
    /// taken to mean this one.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub taken: Option<OffsetDateTime>,
}

impl Taken {
    /// Where the phone is, if that was said.
    pub fn position(&self) -> Option<Position> {
        let (lat, lon) = (self.lat?, self.lon?);
        Some(Position { lat, lon, altitude: None, direction: None, accuracy: self.accuracy })
    }

    /// Whether it is made up.
    pub fn is_mocked(&self) -> Option<bool> {
        self.lat.map(|_| self.mocked)
    }

    /// Prepares a file.
    pub fn photo(&self, file: &std::path::Path) -> Result<NewPhoto, CoreError> {
        let capture = Capture {
            position: self.position(),
            taken_at: self.taken.unwrap_or_else(OffsetDateTime::now_utc),
            mocked: self.is_mocked(),
        };
        new_photo(file, &capture, &Budget::default())
    }
}

/// A record's collection and id.
#[derive(Debug, Clone)]
pub struct Name {
    pub collection: String,
    pub record: RecordId,
}

fn name(text: &str) -> Result<Name, String> {
    let (collection, id) =
        text.split_once('/').ok_or("a record is needed, such as asistencias/0192…")?;
    let record = id.parse().map_err(|_| format!("`{id}` is no id of a record"))?;
    Ok(Name { collection: collection.to_owned(), record })
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|error| format!("no time: {error} (2026-11-24T08:00:00-06:00)"))
}

pub async fn run(core: &Core, command: Command, output: Output) -> Result<(), Problem> {
    match command {
        Command::Add { of, file, taken } => {
            let photo = taken.photo(&file).map_err(problem)?;
            let id = core.add_photo(&of.collection, of.record, &photo).map_err(problem)?;
            output.result(&json!({ "id": id }), |_| id.to_string())
        }
        Command::List => output.result(&core.photos().map_err(problem)?, |views| list(views)),
        Command::Get { photo, thumbnail } => {
            let variant = if thumbnail { Variant::Thumbnail } else { Variant::Photo };
            let found = core.photo(&photo.collection, photo.record, variant).await;
            let path = found.map_err(problem)?;
            output.result(&json!({ "file": path }), |_| path.display().to_string())
        }
        Command::Now { photo } => {
            let hurried = core.send_photo_now(&photo.collection, photo.record).map_err(problem)?;
            output.result(&json!({ "hurried": hurried }), |_| match hurried {
                0 => "Nothing of it waits.".to_owned(),
                _ => "It goes first with the next sync.".to_owned(),
            })
        }
    }
}

fn list(views: &[PhotoView]) -> String {
    let mut table = Table::new(["photo", "picture", "KB", "sent", "state"]);
    for view in views {
        let item = &view.item;
        let percent = (item.sent * 100).checked_div(item.bytes).unwrap_or(100);
        let state = match &view.waiting_for {
            Some(why) => format!("{} ({})", why.text, why.code),
            None => "stored".to_owned(),
        };
        table.row([
            format!("{}/{}", item.name.collection, item.name.record),
            item.name.variant.as_str().to_owned(),
            item.bytes.div_ceil(1024).to_string(),
            format!("{percent} %"),
            state,
        ]);
    }
    table.show("No photos are on this phone.")
}
