//! Photos, and looks at a phone that has some.

use std::path::Path;
use std::sync::Arc;

use crate::model::{Phone, Server};
use mobile_core::core::PhotoView;
use mobile_core::photos::queue::State;
use mobile_core::photos::{NewPhoto, Origin, Origins, Position, Prepared, TakenAt, Treatment};
use serde_json::{Map, json};
use sha2::{Digest as _, Sha256};
use sync_protocol::RecordId;
use time::UtcOffset;
use time::macros::datetime;

/// A photo of so many bytes, all of its own.
pub fn photo(seed: u8, bytes: usize) -> NewPhoto {
    let content = |salt: u8, length: usize| -> Vec<u8> {
        (0..length).map(|n| (n as u8).wrapping_mul(31).wrapping_add(seed ^ salt)).collect()
    };
    let (picture, thumbnail) = (content(0, bytes), content(0x80, bytes / 10 + 1));
    let position =
        Position { lat: 19.43, lon: -99.13, altitude: None, direction: None, accuracy: Some(8.0) };
    let prepared = Prepared {
        sha256: Sha256::digest(&picture).into(),
        thumbnail_sha256: Sha256::digest(&thumbnail).into(),
        photo: picture,
        thumbnail,
        width: 1600,
        height: 1200,
        taken_at: TakenAt { local: datetime!(2026-11-24 08:00), offset: None },
        position: Some(position),
        mocked: None,
        origins: Origins {
            taken_at: Origin::Camera,
            position: Some(Origin::Capture),
            altitude: None,
            direction: None,
        },
        treatment: Treatment::Kept,
    };
    let zone = UtcOffset::from_hms(-6, 0, 0).expect("a zone");
    NewPhoto { prepared, zone, fields: Map::new() }
}

pub fn article(phone: &Phone, name: &str) -> RecordId {
    phone.put("articulos", json!({ "nombre": name }))
}

pub fn views(phone: &Phone) -> Vec<PhotoView> {
    phone.core.photos().expect("a list")
}

pub fn waiting(phone: &Phone) -> usize {
    views(phone).iter().filter(|view| view.item.state == State::Waiting).count()
}

/// Files in the photo folders of a phone.
pub fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for tenant in std::fs::read_dir(dir).expect("a folder").flatten().filter(|e| e.path().is_dir())
    {
        for entry in std::fs::read_dir(tenant.path()).expect("a folder").flatten() {
            if entry.path().is_dir() {
                let inside = std::fs::read_dir(entry.path()).expect("a folder").flatten();
                found.extend(inside.map(|e| e.file_name().to_string_lossy().into_owned()));
            }
        }
    }
    found.sort();
    found
}

pub async fn ana(dir: &Path) -> (Arc<Server>, Phone) {
    let server = Server::new();
    let phone = Phone::signed_in(&server, dir, 1).await;
    (server, phone)
}
