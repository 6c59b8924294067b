//! Where the photos of a command are.

use std::path::PathBuf;

use clap::Args;

use crate::config::Database;
use crate::photos::PhotoLocation;

/// Where the photos are.
#[derive(Debug, Clone, Args)]
pub(super) struct PhotoTarget {
    /// Folder of photos, or s3://BUCKET/PREFIX or gs://BUCKET/PREFIX (keys and endpoint from AWS_* and
    /// GOOGLE_*); the default is `photos` in the data directory.
    #[arg(long, env = "CAMPO_PHOTOS", value_name = "DIR|URL")]
    photos: Option<PhotoLocation>,
}

impl PhotoTarget {
    /// Beside this database, where nobody says where.
    pub(super) fn location(&self, database: &Database) -> PhotoLocation {
        let beside = match database {
            Database::Sqlite(folder) => folder.clone(),
            Database::Postgres(_) => PathBuf::from("campo-data"),
        };
        self.photos.clone().unwrap_or_else(|| PhotoLocation::Folder(beside.join("photos")))
    }
}
