//! `login`: signs somebody in and makes them the active person.

use mobile_core::{Core, SignIn};
use sync_protocol::problem::Problem;

use super::problem;
use crate::output::Output;

/// Who, where.
#[derive(clap::Args)]
pub struct Args {
    /// The server's address, `https://…`.
    #[arg(long, env = "CAMPO_SERVER")]
    server: String,
    /// The company's short name.
    #[arg(long)]
    tenant: String,
    /// The user name.
    #[arg(long)]
    user: String,
    /// The password. The variable keeps it out of the list of processes.
    #[arg(long, env = "CAMPO_PASSWORD", hide_env_values = true)]
    password: String,
    /// What the phone calls itself, for people.
    #[arg(long)]
    device_name: Option<String>,
}

impl std::fmt::Debug for Args {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Args")
            .field("server", &self.server)
            .field("tenant", &self.tenant)
            .field("user", &self.user)
            .field("device_name", &self.device_name)
            .finish_non_exhaustive()
    }
}

pub async fn run(core: &Core, args: Args, output: Output) -> Result<(), Problem> {
    let person = core
        .login(SignIn {
            server: args.server,
            tenant: args.tenant,
            user: args.user,
            password: args.password,
            device_name: args.device_name,
        })
        .await
        .map_err(problem)?;
    output.result(&person, |person| {
        format!(
            "Signed in as {} ({}) of {} at {}.",
            person.display_name, person.user_name, person.tenant_name, person.server
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let args = Args {
            server: "http://here".to_owned(),
            tenant: "robles".to_owned(),
            user: "ana".to_owned(),
            password: "correcto caballo".to_owned(),
            device_name: None,
        };
        assert!(!format!("{args:?}").contains("caballo"));
    }
}
