//! A disk that fails: a layer between SQLite and the system's files that lets the nth access to a phone's
//! files fail.
//!
//! SQLite asks its "VFS" for everything that it does with files. This one hands each call on to the
//! system's, but counts those on phones' files and answers one of them, or all from one on, with the
//! error that a broken disk gives. It is the default for the whole process, so one run at a time can use
//! it; the server's files are not touched.
#![allow(unsafe_code, reason = "SQLite's VFS is an interface of C")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use rusqlite::ffi;

/// What a failing disk does after the failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Failure {
    /// One access fails; then it works again.
    Once,
    /// All fail until the app is started again.
    Broken,
    /// One write finds no space.
    Full,
}

struct State {
    armed: Option<(u64, Failure)>,
    accesses: u64,
    fired: u64,
    looking: u32,
}

static STATE: Mutex<State> = Mutex::new(State { armed: None, accesses: 0, fired: 0, looking: 0 });

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts accesses from now on, and lets the nth fail (from 1; none if there is none).
pub fn arm(nth: Option<u64>, failure: Failure) {
    let armed = Some((nth.unwrap_or(u64::MAX), failure));
    *state() = State { armed, accesses: 0, fired: 0, looking: 0 };
}

/// The disk works. Answers how many accesses there were, and how many failed.
pub fn disarm() -> (u64, u64) {
    let mut state = state();
    state.armed = None;
    (state.accesses, state.fired)
}

/// How many accesses failed so far.
#[must_use]
pub fn fired() -> u64 {
    state().fired
}

/// A broken disk is replaced: from now on nothing fails any more, if something has.
pub fn repair() {
    let mut state = state();
    if state.fired > 0 {
        state.armed = state.armed.map(|(_, failure)| (u64::MAX, failure));
    }
}

/// While it lives, accesses are the oracle's: they are not counted and do not fail.
#[derive(Debug)]
pub struct Looking(());

impl Looking {
    /// Begins to look.
    #[must_use]
    pub fn begin() -> Self {
        state().looking += 1;
        Self(())
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        let mut state = state();
        state.looking = state.looking.saturating_sub(1);
    }
}

/// What is done with a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Open,
    Read,
    Write,
    Truncate,
    Sync,
    Size,
    Map,
    Delete,
}

impl Access {
    fn error(self) -> c_int {
        match self {
            Self::Open => ffi::SQLITE_CANTOPEN,
            Self::Read => ffi::SQLITE_IOERR_READ,
            Self::Write => ffi::SQLITE_IOERR_WRITE,
            Self::Truncate => ffi::SQLITE_IOERR_TRUNCATE,
            Self::Sync => ffi::SQLITE_IOERR_FSYNC,
            Self::Size => ffi::SQLITE_IOERR_FSTAT,
            Self::Map => ffi::SQLITE_IOERR_SHMMAP,
            Self::Delete => ffi::SQLITE_IOERR_DELETE,
        }
    }
}

/// The error that an access gives, if it fails.
fn failure(access: Access) -> Option<c_int> {
    let mut state = state();
    let (nth, failure) = state.armed?;
    if state.looking > 0 || (failure == Failure::Full && access != Access::Write) {
        return None;
    }
    state.accesses += 1;
    let fails = match failure {
        Failure::Once | Failure::Full => state.accesses == nth,
        Failure::Broken => state.accesses >= nth,
    };
    if !fails {
        return None;
    }
    state.fired += 1;
    Some(if failure == Failure::Full { ffi::SQLITE_FULL } else { access.error() })
}

/// An open file: ours, and behind it in the same memory the system's.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    fails: bool,
}

static SYSTEM: AtomicPtr<ffi::sqlite3_vfs> = AtomicPtr::new(std::ptr::null_mut());

const HEAD_BYTES: usize = size_of::<File>();

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes this the process's VFS, once; files that are open already stay with the system's.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: both structures live as long as the process; the copy keeps what the system's
        // functions read of it, and is registered before any file is opened through it.
        unsafe {
            let system = ffi::sqlite3_vfs_find(std::ptr::null());
            assert!(!system.is_null(), "SQLite has a VFS");
            SYSTEM.store(system, Ordering::SeqCst);
            let mut ours = *system;
            ours.szOsFile += c_int::try_from(HEAD_BYTES).expect("a small structure");
            ours.pNext = std::ptr::null_mut();
            ours.zName = c"campo-failing".as_ptr();
            ours.xOpen = Some(open);
            ours.xDelete = Some(delete);
            let done = ffi::sqlite3_vfs_register(Box::into_raw(Box::new(ours)), 1);
            assert_eq!(done, ffi::SQLITE_OK, "the VFS is registered");
        }
    });
}

/// Whether a file is a phone's: its folder says so.
///
/// # Safety
/// `name` is null or a C string.
unsafe fn is_phones(name: *const c_char) -> bool {
    // SAFETY: as the caller says.
    !name.is_null() && unsafe { CStr::from_ptr(name) }.to_string_lossy().contains("/phone-")
}

/// The system's file behind ours.
///
/// # Safety
/// `file` was opened here.
unsafe fn inner(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: SQLite allocates `szOsFile` bytes, which are ours and the system's.
    unsafe { file.cast::<u8>().add(HEAD_BYTES).cast() }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite hands in memory of `szOsFile` bytes and a name that lives as long as the file.
    unsafe {
        let ours = file.cast::<File>();
        (*ours).base.pMethods = std::ptr::null();
        (*ours).fails = is_phones(name);
        if (*ours).fails
            && let Some(error) = failure(Access::Open)
        {
            return error;
        }
        let system = SYSTEM.load(Ordering::SeqCst);
        let Some(open) = (*system).xOpen else { return ffi::SQLITE_CANTOPEN };
        let done = open(system, name, inner(file), flags, out_flags);
        if !(*inner(file)).pMethods.is_null() {
            (*ours).base.pMethods = &raw const METHODS;
        }
        done
    }
}

unsafe extern "C" fn delete(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    durable: c_int,
) -> c_int {
    // SAFETY: SQLite hands in a C string; the system's function gets its own VFS.
    unsafe {
        if is_phones(name)
            && let Some(error) = failure(Access::Delete)
        {
            return error;
        }
        let system = SYSTEM.load(Ordering::SeqCst);
        (*system).xDelete.map_or(ffi::SQLITE_IOERR, |delete| delete(system, name, durable))
    }
}

/// Hands a call on to the system's file, unless it fails here.
macro_rules! handed_on {
    ($($name:ident => $method:ident ($($arg:ident: $kind:ty),*) $(fails as $access:ident)?;)+) => {
        $(unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $arg: $kind)*) -> c_int {
            // SAFETY: SQLite calls this with a file that `open` has filled in, and what the method
            // asks for, which goes on to the system's method as it is.
            unsafe {
                $(if (*file.cast::<File>()).fails
                    && let Some(error) = failure(Access::$access)
                {
                    return error;
                })?
                let file = inner(file);
                match (*(*file).pMethods).$method {
                    Some(method) => method(file $(, $arg)*),
                    None => ffi::SQLITE_IOERR,
                }
            }
        })+
    };
}

handed_on! {
    close => xClose();
    read => xRead(buffer: *mut c_void, bytes: c_int, at: ffi::sqlite3_int64) fails as Read;
    write => xWrite(buffer: *const c_void, bytes: c_int, at: ffi::sqlite3_int64) fails as Write;
    truncate => xTruncate(bytes: ffi::sqlite3_int64) fails as Truncate;
    sync => xSync(flags: c_int) fails as Sync;
    file_size => xFileSize(bytes: *mut ffi::sqlite3_int64) fails as Size;
    lock => xLock(level: c_int);
    unlock => xUnlock(level: c_int);
    check_reserved_lock => xCheckReservedLock(out: *mut c_int);
    file_control => xFileControl(op: c_int, argument: *mut c_void);
    sector_size => xSectorSize();
    device_characteristics => xDeviceCharacteristics();
    shm_map => xShmMap(page: c_int, bytes: c_int, extend: c_int, out: *mut *mut c_void) fails as Map;
    shm_lock => xShmLock(offset: c_int, n: c_int, flags: c_int);
    shm_unmap => xShmUnmap(delete: c_int);
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: as for the methods above.
    unsafe {
        let file = inner(file);
        if let Some(barrier) = (*(*file).pMethods).xShmBarrier {
            barrier(file);
        }
    }
}
