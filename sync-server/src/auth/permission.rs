//! Permissions: the one place where "may they?" is answered for requests.
//!
//! A route says in its [`Access`] what it needs; the middleware asks [`check`] before the handler
//! runs, so that no handler can forget it. What depends on data (which collection, which field,
//! whose receipt) asks [`Caller::may`] further in.
//!
//! Permissions come from roles, by the schema's `roles`, and from the token.

use std::collections::BTreeSet;

use sync_protocol::problem::Problem;
use sync_protocol::schema::Schema;

use super::caller::Caller;

/// What a request needs before its handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: the request carries its own proof, or says nothing about any tenant.
    Public,
    /// A valid access token.
    Authenticated,
    /// A valid access token whose owner has this permission.
    Needs(&'static str),
}

/// Whether a caller may do what needs this access.
///
/// # Errors
/// `forbidden`, with the permission that is missing.
pub fn check(access: Access, caller: &Caller) -> Result<(), Problem> {
    match access {
        Access::Public | Access::Authenticated => Ok(()),
        Access::Needs(permission) if caller.may(permission) => Ok(()),
        Access::Needs(permission) => Err(Problem::new(403, "forbidden", "You may not do this")
            .detail(format!(
                "this needs the permission `{permission}`; ask an administrator for a role with it"
            ))),
    }
}

/// What somebody with these roles may do, and besides what their token says. Unknown roles give
/// nothing.
#[must_use]
pub fn of_roles(schema: &Schema, roles: &[String], extra: &[String]) -> BTreeSet<String> {
    let from_roles = roles.iter().filter_map(|role| schema.roles.get(role)).flatten();
    from_roles.chain(extra).cloned().collect()
}

#[cfg(test)]
mod tests {
    use sync_protocol::{TenantId, UserId};

    use super::*;

    fn schema() -> Schema {
        let mut schema = Schema::default();
        schema.roles.insert("foreman".into(), vec!["project:read".into(), "project:write".into()]);
        schema
    }

    fn caller(permissions: BTreeSet<String>) -> Caller {
        Caller {
            tenant: TenantId(uuid::Uuid::nil()),
            user: UserId(uuid::Uuid::nil()),
            user_name: String::new(),
            device: None,
            device_name: None,
            permissions,
            expires_at_us: 0,
        }
    }

    #[test]
    fn roles_and_the_token_add_up() {
        let permissions = of_roles(
            &schema(),
            &["foreman".into(), "no such role".into()],
            &["conflict:resolve".into()],
        );
        let names: Vec<&str> = permissions.iter().map(String::as_str).collect();
        assert_eq!(names, ["conflict:resolve", "project:read", "project:write"]);
    }

    #[test]
    fn a_missing_permission_is_named() {
        let caller = caller(of_roles(&schema(), &["foreman".into()], &[]));
        assert!(check(Access::Needs("project:write"), &caller).is_ok());
        let problem = check(Access::Needs("conflict:resolve"), &caller).unwrap_err();
        assert_eq!((problem.status, problem.code.as_str()), (403, "forbidden"));
        assert!(problem.detail.unwrap().contains("conflict:resolve"));
    }
}
