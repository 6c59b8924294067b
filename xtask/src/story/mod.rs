//! The story: two foremen report from a building site without signal, and a supervisor decides.
//!
//! It is played with the real programs, `sync-server` and `campo-device`, and each step checks what
//! it says. `cargo xtask demo` plays it for people, the system tests play it on both databases.
//!
//! ```text
//!  company ──► morning ──► offline ──► evening ──► review ──► end
//!  accounts,   phones      edits and   both sync;  decided    all phones
//!  stock       in step     check-ins   one clash              equal
//! ```

mod check_ins;
pub mod company;
pub mod database;
pub mod device;
mod end;
mod evening;
mod morning;
mod offline;
mod program;
mod review;
pub mod server;
mod telling;

use std::error::Error;
use std::path::PathBuf;

use company::Company;
use database::Database;
use device::Device;
use server::Server;

/// What a step returns: the story ends at the first step that does not come out.
pub type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Where the story is played.
pub struct Stage {
    /// Directory of `sync-server` and `campo-device`.
    pub programs: PathBuf,
    /// Empty folder for everybody's data.
    pub folder: PathBuf,
    /// The server's database.
    pub database: Database,
}

/// Who is there when the story is over.
pub struct Running {
    /// The server, which ends with this.
    pub server: Server,
    /// Everybody's phone.
    pub phones: Phones,
}

/// Everybody's phone.
pub struct Phones {
    /// The supervisor's tablet in the office.
    pub laura: Device,
    /// A foreman's.
    pub juan: Device,
    /// Another foreman's.
    pub ana: Device,
    /// The warehouse keeper's.
    pub pedro: Device,
}

/// Plays it.
///
/// # Errors
/// Says what was expected and what was found.
pub fn play(stage: &Stage) -> Result<Running> {
    let (running, company) = play_until_review(stage)?;
    review::play(&running.phones, &company)?;
    end::play(stage, &running.phones, &company)?;
    Ok(running)
}

/// Plays it up to the evening: one conflict waits for the supervisor.
///
/// # Errors
/// Says what was expected and what was found.
pub fn play_until_review(stage: &Stage) -> Result<(Running, Company)> {
    let (server, phones, company) = begin(stage)?;
    morning::play(&phones, &company)?;
    offline::play(&phones, &company)?;
    check_ins::offline(stage, &phones, &company)?;
    if company.delivery {
        company::office_writes_sql(stage, &company)?;
    }
    evening::play(&phones, &company)?;
    check_ins::evening(&phones)?;
    Ok((Running { server, phones }, company))
}

fn begin(stage: &Stage) -> Result<(Server, Phones, Company)> {
    telling::chapter("A server for a construction company");
    stage.database.prepare(stage)?;
    let server = Server::start(stage)?;
    let phone = |owner| Device::new(stage, owner);
    let phones = Phones {
        laura: phone("laura"),
        juan: phone("juan"),
        ana: phone("ana"),
        pedro: phone("pedro"),
    };
    let company = company::found(stage, &server, &phones)?;
    Ok((server, phones, company))
}

/// Says how to go on by hand.
pub fn invite(stage: &Stage, running: &Running) {
    telling::chapter("Now you");
    let program = running.phones.juan.program_shown();
    println!("The server runs at {} until you press Ctrl-C.", running.server.url);
    println!("It logs to {}", running.server.log.display());
    println!("Company: {}. Password of everybody: {}", company::TENANT, company::PASSWORD);
    println!("Logins:  laura (supervisor), juan and ana (foremen), pedro (warehouse keeper)\n");
    println!("The phones are folders. In another terminal, try:");
    for (phone, command) in [
        (&running.phones.juan, "status"),
        (&running.phones.juan, "list avance_items"),
        (&running.phones.ana, "receipts"),
        (&running.phones.ana, "query 'SELECT fecha, resumen, clima, horas FROM avances'"),
        (&running.phones.laura, "query 'SELECT trabajador, avisos FROM asistencias'"),
        (&running.phones.laura, "photo list"),
        (&running.phones.laura, "conflicts --status resolved"),
    ] {
        println!("  {program} --data {} {command}", phone.folder_shown());
    }
    println!("\nOr a new phone:");
    println!(
        "  {program} --data /tmp/phone login --server {} --tenant {} --user juan --password {}",
        running.server.url,
        company::TENANT,
        company::PASSWORD
    );
    println!("  {program} --data /tmp/phone sync");
    if let Some(url) = stage.database.url() {
        println!("\nThe ERP's side of it:\n  psql {url}");
    }
}
