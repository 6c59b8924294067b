//! The object store of a simulated server: in memory, with times of the server's clock, and open to the run, which looks
//! at it, and at times spoils something or has it fail.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};
use sha2::{Digest as _, Sha256};
use sync_protocol::RecordId;
use sync_server::clock::Clock as _;

use crate::rng::Rng;
use crate::time::ServerClock;

/// One picture of one record: collection, record, and `photo` or `thumbnail`.
pub type Picture = (String, RecordId, String);

/// A part of an upload that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// How many.
    pub bytes: usize,
    /// When it came, by the server's clock.
    pub written_us: i64,
}

/// Something on the shelf.
#[derive(Debug, Clone)]
struct Thing {
    bytes: Bytes,
    sha256: String,
    written_us: i64,
}

#[derive(Debug, Default)]
struct Things {
    by_name: BTreeMap<Path, Thing>,
    /// Grows with each change.
    changes: u64,
    failing: Option<Failing>,
}

/// How it fails.
#[derive(Debug)]
pub struct Failing {
    /// By which chance.
    pub rng: Rng,
    /// How many calls in a hundred.
    pub percent: u32,
    /// Which calls.
    pub calls: Calls,
}

/// What of a store fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// Whatever is asked of it.
    All,
    /// Writing whole pictures: what has come of uploads is elsewhere, and that works.
    WholePictures,
}

/// What befalls a call of a store that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mishap {
    /// Nothing, this time.
    None,
    /// It has no effect.
    Before,
    /// It has its effect, or a part of it, and nobody hears of it: the connection broke.
    After,
}

/// The shelf. Clones share it.
#[derive(Debug, Clone)]
pub struct Shelf {
    things: Arc<Mutex<Things>>,
    clock: ServerClock,
}

/// SHA-256 in hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Shelf {
    /// An empty one.
    #[must_use]
    pub fn new(clock: ServerClock) -> Self {
        Self { things: Arc::default(), clock }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Things) -> T) -> T {
        f(&mut self.things.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on it fails so, or not at all.
    pub fn fail(&self, failing: Option<Failing>) {
        self.with(|things| things.failing = failing);
    }

    /// Whether calls may fail now.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.with(|things| things.failing.is_some())
    }

    /// What befalls a call; `written` is the picture that it writes, if so.
    fn mishap(&self, written: Option<&Path>) -> Mishap {
        self.with(|things| {
            let Some(Failing { rng, percent, calls }) = &mut things.failing else {
                return Mishap::None;
            };
            if *calls == Calls::WholePictures && written.and_then(picture).is_none() {
                return Mishap::None;
            }
            match (rng.percent(*percent), rng.percent(60)) {
                (false, _) => Mishap::None,
                (true, true) => Mishap::Before,
                (true, false) => Mishap::After,
            }
        })
    }

    /// A number that is another one after each change.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.with(|things| things.changes)
    }

    /// The hashes of all whole pictures.
    #[must_use]
    pub fn pictures(&self) -> BTreeMap<Picture, String> {
        self.with(|things| {
            let named =
                |(path, thing): (&Path, &Thing)| Some((picture(path)?, thing.sha256.clone()));
            things.by_name.iter().filter_map(named).collect()
        })
    }

    /// A whole picture, as it is there.
    #[must_use]
    pub fn bytes(&self, name: &Picture) -> Option<Bytes> {
        self.with(|things| {
            let mut all = things.by_name.iter();
            let found = all.find(|(path, _)| picture(path).as_ref() == Some(name));
            found.map(|(_, thing)| thing.bytes.clone())
        })
    }

    /// What has come of uploads that are under way, by name.
    #[must_use]
    pub fn parts(&self) -> BTreeMap<String, Part> {
        self.with(|things| {
            let all =
                things.by_name.iter().filter(|(path, _)| path.as_ref().starts_with("uploads/"));
            let part =
                |thing: &Thing| Part { bytes: thing.bytes.len(), written_us: thing.written_us };
            all.map(|(path, thing)| (path.to_string(), part(thing))).collect()
        })
    }

    /// Loses a picture, or spoils a byte of it.
    pub fn spoil(&self, name: &Picture, only_a_byte: bool) {
        self.with(|things| {
            let found =
                things.by_name.iter().find(|(path, _)| picture(path).as_ref() == Some(name));
            let Some((path, thing)) = found.map(|(path, thing)| (path.clone(), thing.clone()))
            else {
                return;
            };
            things.changes += 1;
            things.by_name.remove(&path);
            if only_a_byte {
                let mut bytes = thing.bytes.to_vec();
                if let Some(last) = bytes.last_mut() {
                    *last ^= 0x55;
                }
                let sha256 = sha256(&bytes);
                things.by_name.insert(path, Thing { bytes: bytes.into(), sha256, ..thing });
            }
        });
    }

    fn meta(path: &Path, thing: &Thing) -> ObjectMeta {
        let since = Duration::from_micros(u64::try_from(thing.written_us).unwrap_or(0));
        ObjectMeta {
            location: path.clone(),
            last_modified: (SystemTime::UNIX_EPOCH + since).into(),
            size: thing.bytes.len() as u64,
            e_tag: None,
            version: None,
        }
    }
}

/// The picture that an object's name names: `photos/{tenant}/{collection}/{record}/{variant}`.
fn picture(path: &Path) -> Option<Picture> {
    let parts: Vec<&str> = path.as_ref().split('/').collect();
    let ["photos", _, collection, record, variant] = parts.as_slice() else { return None };
    Some(((*collection).to_owned(), record.parse().ok()?, (*variant).to_owned()))
}

impl fmt::Display for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the shelf")
    }
}

fn failed() -> Error {
    Error::Generic { store: "the shelf", source: "it does not answer".into() }
}

fn not_here(what: &str) -> Error {
    Error::NotImplemented { operation: what.to_owned(), implementer: "the shelf".to_owned() }
}

#[async_trait::async_trait]
impl ObjectStore for Shelf {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let mishap = self.mishap(Some(location));
        if mishap == Mishap::Before {
            return Err(failed());
        }
        let bytes: Bytes = payload.into();
        let thing = Thing { sha256: sha256(&bytes), bytes, written_us: self.clock.now_us() };
        self.with(|things| {
            if options.mode == PutMode::Create && things.by_name.contains_key(location) {
                let path = location.to_string();
                return Err(Error::AlreadyExists { source: path.clone().into(), path });
            }
            things.changes += 1;
            things.by_name.insert(location.clone(), thing);
            if mishap == Mishap::After {
                return Err(failed());
            }
            Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
        })
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(not_here("put_multipart"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mishap = self.mishap(None);
        if mishap == Mishap::Before || (mishap == Mishap::After && options.head) {
            return Err(failed());
        }
        let found = self.with(|things| things.by_name.get(location).cloned());
        let Some(thing) = found else {
            let path = location.to_string();
            return Err(Error::NotFound { source: path.clone().into(), path });
        };
        let meta = Self::meta(location, &thing);
        let range = match options.range {
            Some(object_store::GetRange::Bounded(range)) => range.start..range.end.min(meta.size),
            Some(_) => return Err(not_here("an open range")),
            None => 0..meta.size,
        };
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = thing.bytes.slice(at(range.start).min(at(range.end))..at(range.end));
        let stream = match mishap {
            Mishap::After => {
                let half = bytes.slice(..bytes.len() / 2);
                futures::stream::iter(vec![Ok(half), Err(failed())]).boxed()
            }
            _ => futures::stream::iter([Ok(bytes)]).boxed(),
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream),
            meta,
            range,
            attributes: Default::default(),
            extensions: Default::default(),
        })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let shelf = self.clone();
        let remove = move |location: Result<Path>| {
            let location = location?;
            let mishap = shelf.mishap(None);
            if mishap != Mishap::Before {
                shelf.with(|things| {
                    things.changes += u64::from(things.by_name.remove(&location).is_some());
                });
            }
            if mishap == Mishap::None { Ok(location) } else { Err(failed()) }
        };
        locations.map(remove).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let folder = prefix.map(|prefix| format!("{prefix}/")).unwrap_or_default();
        let mishap = self.mishap(None);
        let mut found: Vec<_> = self.with(|things| {
            let below =
                things.by_name.iter().filter(|(path, _)| path.as_ref().starts_with(&folder));
            below.map(|(path, thing)| Ok(Self::meta(path, thing))).collect()
        });
        if mishap != Mishap::None {
            let heard = if mishap == Mishap::Before { 0 } else { found.len() / 2 };
            found.truncate(heard);
            found.push(Err(failed()));
        }
        futures::stream::iter(found).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(not_here("list_with_delimiter"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(not_here("copy"))
    }
}
