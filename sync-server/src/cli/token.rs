//! `token issue`: an access token for programs and tests, without a login.

use clap::{Args, Subcommand};
use serde_json::json;
use sync_protocol::DeviceId;

use super::Failure;
use super::account;
use super::output::Output;
use super::target::Target;
use crate::auth::access_token::{ACCESS_TOKEN_S, AccessTokens, Claims, OWN_ISSUER};
use crate::clock::{Clock as _, SystemClock};

/// Longest time that a token may be good for, in minutes: a day. It cannot be called back except by
/// disabling the account or the device.
const MINUTES_MAX: u64 = 24 * 60;

/// Access tokens.
#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Issue an access token.
    Issue(Issue),
}

/// Issue an access token.
#[derive(Debug, Args)]
pub(super) struct Issue {
    /// The company's short name or id.
    #[arg(long)]
    tenant: String,
    /// The person's login or id.
    #[arg(long)]
    user: String,
    /// The device that it is for; needed to push.
    #[arg(long)]
    device: Option<DeviceId>,
    /// Permission besides those of the person's roles (several times for several).
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,
    /// How long it is good for, in minutes.
    #[arg(long, default_value_t = ACCESS_TOKEN_S / 60,
        value_parser = clap::value_parser!(u64).range(1..=MINUTES_MAX))]
    minutes: u64,
    #[command(flatten)]
    target: Target,
}

impl Token {
    pub(super) async fn run(self, output: Output) -> Result<(), Failure> {
        let Self::Issue(issue) = self;
        let store = issue.target.open().await?;
        let shared = store.shared();
        let tenant = account::tenant(&*shared, &issue.tenant).await?;
        let account = account::user(&*shared, &tenant, &issue.user).await?;
        let now_s = SystemClock.now_us().div_euclid(1_000_000);
        let claims = Claims {
            iss: OWN_ISSUER.to_owned(),
            sub: account.id,
            tid: tenant.id,
            roles: account.roles,
            permissions: issue.permissions,
            plan: None,
            exp: now_s.saturating_add_unsigned(issue.minutes * 60),
            iat: now_s,
            nbf: None,
            did: issue.device,
            name: Some(account.name),
        };
        let token = AccessTokens::new(&shared.signing_key().await?).issue(&claims)?;
        store.close().await;
        output
            .print(&token, &json!({ "access_token": token, "expires_in_s": issue.minutes * 60 }))?;
        Ok(())
    }
}
