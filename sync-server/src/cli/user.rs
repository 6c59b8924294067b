//! `user create`, `user grant`, `user revoke`.

use std::io::BufRead as _;

use clap::{Args, Subcommand};
use serde_json::json;
use sync_protocol::schema::Schema;
use sync_protocol::{Scope, UserId};

use super::Failure;
use super::account;
use super::output::Output;
use super::target::Target;
use crate::auth::password::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, Passwords};
use crate::store::accounts::Account;

/// People and what they are granted.
#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Make an account.
    Create(Create),
    /// Grant a scope, such as `project:<id>`.
    Grant(Granted),
    /// Take a scope away; its rows leave the person's phones at their next contact.
    Revoke(Granted),
}

/// Make an account.
#[derive(Args)]
pub(super) struct Create {
    /// The company's short name or id.
    #[arg(long)]
    tenant: String,
    /// What the person types at login.
    #[arg(long)]
    user: String,
    /// Name for people; the login by default.
    #[arg(long)]
    name: Option<String>,
    /// Role, as the schema names it (several times for several).
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// The password. Others on this machine can see it; better --password-stdin.
    #[arg(long, conflicts_with = "password_stdin")]
    password: Option<String>,
    /// Read the password from the first line of stdin.
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    target: Target,
}

/// Without the password.
impl std::fmt::Debug for Create {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Create({} of {})", self.user, self.tenant)
    }
}

/// A scope of a person.
#[derive(Debug, Args)]
pub(super) struct Granted {
    /// The company's short name or id.
    #[arg(long)]
    tenant: String,
    /// The person's login or id.
    #[arg(long)]
    user: String,
    /// `tenant`, or a kind and an id such as `project:<id>`.
    #[arg(long)]
    scope: Scope,
    #[command(flatten)]
    target: Target,
}

impl User {
    pub(super) async fn run(self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(output).await,
            Self::Grant(granted) => granted.run(output, true).await,
            Self::Revoke(granted) => granted.run(output, false).await,
        }
    }
}

impl Create {
    async fn run(self, output: Output) -> Result<(), Failure> {
        let store = self.target.open().await?;
        let shared = store.shared();
        check_roles(shared.schema(), &self.roles)?;
        check_name("the login", &self.user)?;
        let tenant = account::tenant(&*shared, &self.tenant).await?;
        let (password, generated) = match (self.password, self.password_stdin) {
            (Some(password), _) => (password, false),
            (None, true) => (password_from_stdin()?, false),
            (None, false) => (generate_password()?, true),
        };
        check_password(&password)?;
        let name = self.name.unwrap_or_else(|| self.user.clone());
        check_name("the name", &name)?;
        let account = Account {
            id: UserId(uuid::Uuid::now_v7()),
            login: self.user,
            name,
            password_hash: Passwords::new()?.hash(password.clone()).await?,
            roles: self.roles,
            disabled: false,
        };
        shared.create_user(tenant.id, &account).await?;
        store.close().await;
        let mut text =
            format!("made the user {} of {} ({})", account.login, tenant.slug, account.id);
        let mut json = json!({
            "tenant": tenant.id, "user": account.id, "login": account.login,
            "name": account.name, "roles": account.roles,
        });
        if generated {
            text.push_str(&format!("\npassword: {password}"));
            json["password"] = password.into();
        }
        output.print(&text, &json)?;
        Ok(())
    }
}

impl Granted {
    async fn run(self, output: Output, hold: bool) -> Result<(), Failure> {
        let store = self.target.open().await?;
        let shared = store.shared();
        let tenant = account::tenant(&*shared, &self.tenant).await?;
        let account = account::user(&*shared, &tenant, &self.user).await?;
        let text = if hold {
            shared.grant(tenant.id, account.id, &self.scope).await?;
            format!("{} holds {}", account.login, self.scope)
        } else {
            shared.revoke(tenant.id, account.id, &self.scope).await?;
            format!("{} does not hold {} any more", account.login, self.scope)
        };
        store.close().await;
        output.print(&text, &json!({ "user": account.id, "scope": self.scope, "held": hold }))?;
        Ok(())
    }
}

fn check_roles(schema: &Schema, roles: &[String]) -> Result<(), Failure> {
    let known: Vec<&str> = schema.roles.keys().map(String::as_str).collect();
    match roles.iter().find(|role| !known.contains(&role.as_str())) {
        None => Ok(()),
        Some(role) => Err(Failure::Arguments(format!(
            "there is no role `{role}`; the schema has {}",
            known.join(", ")
        ))),
    }
}

/// Longest login or name, in characters.
const NAME_CHARS_MAX: usize = 100;

fn check_name(what: &str, name: &str) -> Result<(), Failure> {
    let length = name.chars().count();
    if (1..=NAME_CHARS_MAX).contains(&length) && !name.contains(char::is_control) {
        return Ok(());
    }
    Err(Failure::Arguments(format!(
        "{what} has 1 to {NAME_CHARS_MAX} characters and no control characters"
    )))
}

fn check_password(password: &str) -> Result<(), Failure> {
    if password.chars().count() < PASSWORD_CHARS_MIN || password.len() > PASSWORD_BYTES_MAX {
        return Err(Failure::Arguments(format!(
            "the password has at least {PASSWORD_CHARS_MIN} characters and at most \
             {PASSWORD_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

fn password_from_stdin() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// 80 random bits in letters that nobody mistakes for others.
fn generate_password() -> Result<String, Failure> {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789-";
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::Arguments(format!("this machine has no randomness: {error}")))?;
    Ok(random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_passwords_are_good_and_different() {
        let (a, b) = (generate_password().unwrap(), generate_password().unwrap());
        assert_ne!(a, b);
        assert!(check_password(&a).is_ok());
    }

    #[test]
    fn unknown_roles_are_told_with_the_known_ones() {
        let mut schema = Schema::default();
        schema.roles.insert("foreman".into(), vec![]);
        let error = check_roles(&schema, &["boss".into()]).unwrap_err().to_string();
        assert!(error.contains("`boss`") && error.contains("foreman"), "{error}");
    }
}
