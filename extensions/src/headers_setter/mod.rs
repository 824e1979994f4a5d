//! Extension `headers_setter`: headers of outgoing requests, fixed or from the request that brought the data.
//!
//! What a header comes from is kept with the data, on disk too, and data that differs in it is not sent together: the keys of
//! [`ClientAuth::metadata_keys`] see to both. Credentials of senders are never kept, so they cannot be passed on.
//!
//! | file | concept |
//! |---|---|
//! | `config` | upstream's fields |
//! | `change` | what is done to one header, and where its value comes from |

mod change;
mod config;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sluice_config::Secret;
use sluice_pipeline::clock::Clock;
use sluice_pipeline::component::{Component, Environment, Stability};
use sluice_pipeline::extension::{ClientAuth, Extension, NoCredentials};
use sluice_pipeline::factory::{Extensions, Factory, Meta};
use sluice_pipeline::{BoxFuture, ComponentId, Context, Error};

use change::{Change, Headers};
pub use config::{Config, Header};

use crate::credential::Current;
use crate::watch::{Contents, Watch, read, warn_of_open_modes};

/// Makes `headers_setter` extensions.
pub struct HeadersSetterFactory;

impl Factory<Extensions> for HeadersSetterFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta::new("headers_setter", Stability::Alpha)
    }

    fn metadata_keys(&self, config: &Config) -> Vec<String> {
        config.headers.iter().filter_map(|header| Change::new(header).metadata_key()).collect()
    }

    fn build(&self, config: &Config, environment: Environment) -> Result<Arc<dyn Extension>, Error> {
        Ok(Arc::new(HeadersSetter::new(config, &environment)?))
    }
}

/// The extension.
struct HeadersSetter {
    id: String,
    setter: Arc<Setter>,
    paths: Vec<PathBuf>,
    /// As first read.
    contents: Contents,
    clock: Arc<dyn Clock>,
    watch: Mutex<Option<Watch>>,
}

/// Sets the headers.
struct Setter {
    changes: Vec<Change>,
    /// What the files hold, in the order of the changes that have one.
    files: Current<Vec<Secret>>,
    additional: Option<Arc<dyn ClientAuth>>,
}

impl HeadersSetter {
    fn new(config: &Config, environment: &Environment) -> Result<Self, Error> {
        let paths: Vec<PathBuf> = config.headers.iter().filter_map(|header| header.value_file.clone()).collect();
        let contents = read(&paths)?;
        warn_of_open_modes(&paths);
        let additional = match config.additional_auth.as_deref() {
            None => None,
            Some(name) => Some(additional(name, environment)?),
        };
        let setter = Setter {
            changes: config.headers.iter().map(Change::new).collect(),
            files: Current::new(trimmed(&contents)),
            additional,
        };
        Ok(HeadersSetter {
            id: environment.id.as_str().to_owned(),
            setter: Arc::new(setter),
            paths,
            contents,
            clock: Arc::clone(&environment.clock),
            watch: Mutex::new(None),
        })
    }
}

/// The authenticator whose headers come on top.
fn additional(name: &str, environment: &Environment) -> Result<Arc<dyn ClientAuth>, Error> {
    let Some(extension) = environment.extensions.get(&ComponentId::from(name)) else {
        let text = format!("additional_auth: failed to resolve authenticator {name:?}: authenticator not found");
        return Err(Error::config(text));
    };
    extension.client_auth().ok_or_else(|| {
        Error::config(format!("additional_auth: {name:?}: requested authenticator is not a client authenticator"))
    })
}

fn trimmed(contents: &Contents) -> Vec<Secret> {
    contents.iter().map(|text| Secret::new(text.expose().trim())).collect()
}

impl Component for HeadersSetter {
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        if !self.paths.is_empty() {
            let setter = Arc::clone(&self.setter);
            let take = move |contents: &Contents| {
                setter.files.set(trimmed(contents));
                Ok(())
            };
            let watch =
                Watch::start(self.id.clone(), self.paths.clone(), self.contents.clone(), Arc::clone(&self.clock), take);
            *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch);
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Extension for HeadersSetter {
    fn client_auth(&self) -> Option<Arc<dyn ClientAuth>> {
        Some(Arc::clone(&self.setter) as Arc<dyn ClientAuth>)
    }
}

impl Setter {
    fn set(&self, context: &Context) -> Result<Vec<(String, Secret)>, NoCredentials> {
        let files = self.files.get();
        let (mut files, mut headers) = (files.iter(), Headers::default());
        for change in &self.changes {
            change.apply(context, &mut files, &mut headers).map_err(NoCredentials::ForThis)?;
        }
        Ok(headers.into_pairs())
    }
}

impl ClientAuth for Setter {
    fn headers<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<Vec<(String, Secret)>, NoCredentials>> {
        Box::pin(async {
            let mut headers = self.set(context)?;
            if let Some(additional) = &self.additional {
                // Behind ours: of a header that both set, the additional one counts.
                headers.extend(additional.headers(context).await?);
            }
            Ok(headers)
        })
    }

    fn metadata_keys(&self) -> Vec<String> {
        let own = self.changes.iter().filter_map(Change::metadata_key);
        own.chain(self.additional.iter().flat_map(|additional| additional.metadata_keys())).collect()
    }
}
