//! What a server is started with.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::auth::issuer::IssuerConfig;
use crate::clock::SharedClock;
use crate::http::HttpSettings;
use crate::photos::{PhotoLocation, PhotoSettings};

/// Where the data is.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// PostgreSQL, by URL.
    Postgres(String),
    /// SQLite files in a directory.
    Sqlite(PathBuf),
}

/// Never the URL: it holds a password.
impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Postgres(_) => f.write_str("Postgres(…)"),
            Self::Sqlite(directory) => write!(f, "Sqlite({})", directory.display()),
        }
    }
}

/// What [`serve`](crate::serve) needs.
#[derive(Clone)]
pub struct Config {
    /// Where the data is.
    pub database: Database,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where to tell metrics, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// Directory of schema files; those built in by default.
    pub schemas: Option<PathBuf>,
    /// Issuers of access tokens besides the server itself.
    pub issuers: Vec<IssuerConfig>,
    /// Where photos are, and how much of them.
    pub photos: PhotoSettings,
    /// Limits of the HTTP side.
    pub http: HttpSettings,
    /// The time.
    pub clock: SharedClock,
}

impl Config {
    /// On SQLite in this directory, on a free local port, and otherwise as by default.
    #[must_use]
    pub fn local(data_dir: PathBuf) -> Self {
        let photos = PhotoSettings::at(PhotoLocation::Folder(data_dir.join("photos")));
        Self {
            database: Database::Sqlite(data_dir),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            metrics: None,
            schemas: None,
            issuers: Vec::new(),
            photos,
            http: HttpSettings::default(),
            clock: std::sync::Arc::new(crate::clock::SystemClock),
        }
    }

    /// On PostgreSQL by this URL, on a free local port, with photos in memory: for tests.
    #[must_use]
    pub fn local_postgres(url: String) -> Self {
        Self {
            database: Database::Postgres(url),
            photos: PhotoSettings::at(PhotoLocation::Memory),
            ..Self::local(PathBuf::new())
        }
    }
}
