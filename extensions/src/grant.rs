//! What a credential allows: a tenant, and scopes (security §4.3).

use std::sync::Arc;

use sluice_config::Problems;
use sluice_pipeline::Signal;
use sluice_pipeline::context::{Identity, Tenant};
use sluice_pipeline::extension::Principal;
use sluice_pipeline::factory::field;

/// Scopes that can be granted.
const SCOPES: [&str; 4] = ["write:traces", "write:metrics", "write:logs", "tenant:any"];

/// A tenant and scopes. The default may send everything, for the tenant without a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub tenant: Option<Tenant>,
    pub scopes: Vec<Arc<str>>,
}

impl Default for Grant {
    fn default() -> Self {
        Grant { tenant: None, scopes: Signal::ALL.map(|signal| format!("write:{}", signal.name()).into()).to_vec() }
    }
}

impl Grant {
    /// As configured: no name for no tenant, `None` for the default scopes.
    pub fn new(tenant: &str, scopes: Option<&[String]>) -> Self {
        let default = Grant::default();
        Grant {
            tenant: (!tenant.is_empty()).then(|| Tenant::new(tenant)),
            scopes: scopes.map_or(default.scopes, |scopes| scopes.iter().map(|scope| scope.as_str().into()).collect()),
        }
    }

    /// Somebody with this grant.
    pub fn to(&self, subject: Arc<str>, attributes: Vec<(Arc<str>, Arc<str>)>) -> Principal {
        let identity = Identity { subject, scopes: self.scopes.clone(), attributes };
        Principal { identity, tenant: self.tenant.clone() }
    }
}

/// Whether there is such a scope.
pub fn is_scope(scope: &str) -> bool {
    SCOPES.contains(&scope)
}

/// Reports scopes that do not exist.
pub fn check_scopes(scopes: Option<&[String]>, at: &str, problems: &mut Problems<'_>) {
    for (index, scope) in scopes.iter().copied().flatten().enumerate().filter(|(_, scope)| !is_scope(scope)) {
        let path = field(at, &format!("scopes::{index}"));
        problems.error(&path, format!("unknown scope {scope:?}, use one of {}", SCOPES.join(", ")));
    }
}
