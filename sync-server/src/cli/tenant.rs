//! `tenant create`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::Failure;
use super::output::Output;
use super::target::Target;

/// Companies.
#[derive(Debug, Subcommand)]
pub(super) enum Tenant {
    /// Make a company.
    Create(Create),
}

/// Make a company.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// Short name that its people type at login.
    slug: String,
    /// Name for people; the short name by default.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Longest short name, in characters.
const SLUG_CHARS_MAX: usize = 40;

impl Tenant {
    pub(super) async fn run(self, output: Output) -> Result<(), Failure> {
        let Self::Create(Create { slug, name, target }) = self;
        check_slug(&slug)?;
        let store = target.open().await?;
        let name = name.unwrap_or_else(|| slug.clone());
        let id = store.shared().create_tenant(&slug, &name).await?;
        store.close().await;
        output.print(
            &format!("made the tenant {slug} ({id})"),
            &json!({ "tenant": id, "slug": slug, "name": name }),
        )?;
        Ok(())
    }
}

fn check_slug(slug: &str) -> Result<(), Failure> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = slug.len() <= SLUG_CHARS_MAX
        && slug.starts_with(good)
        && slug.chars().all(|c| good(c) || c == '-');
    if fits {
        return Ok(());
    }
    Err(Failure::Arguments(format!(
        "`{slug}` cannot be a short name: write up to {SLUG_CHARS_MAX} of a-z, 0-9 and `-`, \
         beginning with a letter or digit"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_checked() {
        for good in ["obra", "vidrios-del-sur", "3m", "a"] {
            assert!(check_slug(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "Obra", "a b", "año", "a_b", &"a".repeat(41)] {
            assert!(check_slug(bad).is_err(), "{bad}");
        }
    }
}
