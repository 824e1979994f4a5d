//! Extension `health_check`: 200 while the collector takes data, 503 before and after.
//!
//! It listens from the start on, so that whoever probes a collector that still reads its journal gets an answer.

mod config;
mod service;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sluice_net::http::Server as HttpServer;
use sluice_net::listen::{Listener, ListenerSettings, Server, Sockets, Versions};
use sluice_net::tls::ServerTls;
use sluice_net::{Bind, BufferPool, ListenerLimits};
use sluice_pipeline::component::{Component, Environment, Stability};
use sluice_pipeline::extension::Extension;
use sluice_pipeline::factory::{Extensions, Factory, Meta};
use sluice_pipeline::listening::Listening;
use sluice_pipeline::telemetry::{Telemetry, show_certificates};
use sluice_pipeline::{BoxFuture, ComponentId, Error};

pub use config::{Config, ResponseBody};
use service::{Health, Service};

/// Makes `health_check` extensions.
pub struct HealthCheckFactory;

impl Factory<Extensions> for HealthCheckFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta::new("health_check", Stability::Alpha)
    }

    /// Whether the collector is well is no secret.
    fn listeners(&self, config: &Config) -> Vec<Listening> {
        vec![Listening { exempt: true, ..Listening::http("", &config.server, config.endpoint()) }]
    }

    fn build(&self, config: &Config, environment: Environment) -> Result<Arc<dyn Extension>, Error> {
        let health = Arc::new(Health::new(environment.clock));
        let (id, telemetry) = (environment.id, environment.telemetry);
        Ok(Arc::new(HealthCheck {
            id,
            telemetry,
            config: config.clone(),
            health,
            bound: Mutex::new(None),
            server: Mutex::new(None),
        }))
    }
}

struct HealthCheck {
    id: ComponentId,
    telemetry: Telemetry,
    config: Config,
    health: Arc<Health>,
    bound: Mutex<Option<Listener>>,
    server: Mutex<Option<Server>>,
}

impl HealthCheck {
    fn settings(&self) -> Result<ListenerSettings, Error> {
        let failed = Error::Network;
        let endpoint = self.config.endpoint();
        let tls = match &self.config.server.tls {
            None => None,
            Some(block) => {
                let settings = block.settings();
                settings.validate().map_err(failed)?;
                let tls = ServerTls::new(settings, Versions::Both).map_err(failed)?;
                show_certificates(&self.telemetry, &[("extension", self.id.as_str())], tls.watch());
                Some(tls)
            }
        };
        let mut limits = ListenerLimits::default();
        self.config.server.bound_connections(&mut limits);
        Ok(ListenerSettings {
            bind: match self.config.server.transport.as_str() {
                "unix" => Bind::Unix(PathBuf::from(endpoint)),
                _ => Bind::Tcp(endpoint.to_owned()),
            },
            limits,
            tls,
            pool: BufferPool::default(),
        })
    }
}

impl Component for HealthCheck {
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        let bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listener) = bound {
            let service = Service { health: Arc::clone(&self.health), config: self.config.clone() };
            let server = listener.serve(HttpServer::new(Arc::new(service)));
            *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn stop(&self, grace: Duration) -> BoxFuture<'_, ()> {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move {
            if let Some(server) = server {
                server.retire(grace).await;
            }
        })
    }
}

impl Extension for HealthCheck {
    fn bind<'a>(&'a self, sockets: &'a mut Sockets) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let listener = Listener::bind_or_take(self.settings()?, sockets).await;
            let listener = listener.map_err(Error::Network)?;
            *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
            Ok(())
        })
    }

    fn offer(&self, sockets: &mut Sockets) {
        if let Some(server) = &*self.server.lock().unwrap_or_else(PoisonError::into_inner) {
            server.offer(sockets);
        }
    }

    fn ready(&self) {
        self.health.set(true);
    }

    fn not_ready(&self) {
        self.health.set(false);
    }
}
