//! `check-in`: makes a record with photos and a position, in one act.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use mobile_core::Core;
use serde_json::{Map, Value as Json};
use sync_protocol::problem::Problem;

use super::photo::Taken;
use super::problem;
use crate::output::Output;

/// A record, its photos, and where and when.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The collection.
    collection: String,
    /// Fields, `{"proyecto_id": "0192…", "trabajador": "Ana", "fecha": "2026-11-24"}`.
    #[arg(value_parser = crate::values::object)]
    fields: Map<String, Json>,
    /// A photo that belongs to it; may be given several times.
    #[arg(long = "photo", value_name = "FILE")]
    photos: Vec<PathBuf>,
    #[command(flatten)]
    taken: Taken,
}

pub fn run(core: &Core, args: &Args, output: Output) -> Result<(), Problem> {
    let mut photos = Vec::with_capacity(args.photos.len());
    for file in &args.photos {
        photos.push(args.taken.photo(file).map_err(problem)?);
    }
    let (position, mocked) = (args.taken.position(), args.taken.is_mocked());
    let made = core.check_in(&args.collection, &args.fields, position, mocked, &photos);
    output.result(&made.map_err(problem)?, |made| made.record.to_string())
}
