//! The PostgreSQL store from outside, on a private cluster: capture, the wall between tenants, the
//! race of writers and readers.

#[path = "../../../system-tests/src/postgres.rs"]
mod cluster;
#[path = "../../../system-tests/src/pgbouncer.rs"]
mod pgbouncer;

mod capture;
mod consistency;
mod events;
mod housekeeping;
mod hung_up;
#[path = "../http/listener.rs"]
mod listener;
mod model;
mod older;
mod pictures;
mod race;
mod rules;
mod setting;
mod store;
mod wall;
