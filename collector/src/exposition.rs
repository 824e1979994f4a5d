//! Self-telemetry over HTTP: the Prometheus endpoint that `service::telemetry::metrics` asks for.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use sluice_config::service::{Metrics, MetricsLevel};
use sluice_net::Unlimited;
use sluice_net::compression::DecompressLimits;
use sluice_net::http::{
    Admission, HeaderValue, HttpService, Method, Refusal, Request, Response, ResponseBody, Server as HttpServer, header,
};
use sluice_net::listen::{Listener, ListenerSettings, RequestHead, Server, Sockets};
use sluice_pipeline::telemetry::{Naming, Telemetry};

use crate::failed_start::FailedStart;

/// Scrapes in flight have this long when their endpoint ends.
const GRACE: Duration = Duration::from_secs(2);

/// Serves `/metrics`.
struct Exposition {
    telemetry: Telemetry,
    naming: Naming,
}

impl HttpService for Exposition {
    type Route = ();
    type Context = ();

    fn route(&self, path: &str) -> Option<()> {
        (path == "/metrics").then_some(())
    }

    fn methods(&self, _route: &()) -> &[Method] {
        &[Method::GET, Method::HEAD]
    }

    async fn admit(&self, _route: &(), _head: &RequestHead) -> Result<Admission<()>, Response<ResponseBody>> {
        Ok(Admission {
            context: (),
            reserve: Arc::new(Unlimited),
            max_wire_bytes: 0,
            decompress: DecompressLimits::default(),
        })
    }

    async fn call(&self, _request: Request<(), ()>) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::from(Bytes::from(self.telemetry.render(&self.naming))));
        let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, text);
        response
    }

    fn refuse(&self, _head: &RequestHead, refusal: &Refusal) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::from(Bytes::from(refusal.to_string())));
        *response.status_mut() = refusal.status();
        response
    }
}

/// An endpoint as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    address: String,
    without_type_suffix: bool,
    without_units: bool,
}

/// The endpoints that run. A reload keeps those whose settings are the same.
pub struct Endpoints {
    telemetry: Telemetry,
    running: Vec<(Setting, Server)>,
}

/// Endpoints that are to run: those that do not are bound.
pub struct BoundEndpoints {
    wanted: Vec<Setting>,
    bound: Vec<(Setting, Listener)>,
}

impl Endpoints {
    pub fn new(telemetry: Telemetry) -> Self {
        Endpoints { telemetry, running: Vec::new() }
    }

    /// Binds what is configured and does not run yet.
    ///
    /// # Errors
    /// A reader that is not built in, and an address that cannot be had.
    pub async fn bind(&self, metrics: &Metrics) -> anyhow::Result<BoundEndpoints> {
        let wanted = settings(metrics)?;
        let mut sockets = Sockets::default();
        self.running.iter().filter(|(is, _)| !wanted.contains(is)).for_each(|(_, server)| server.offer(&mut sockets));
        let mut bound = Vec::new();
        for setting in wanted.iter().filter(|setting| self.running.iter().all(|(is, _)| is != *setting)) {
            let address = &setting.address;
            let listener =
                Listener::bind_or_take(ListenerSettings::tcp(address), &mut sockets).await.map_err(|error| {
                    FailedStart::of(format!("failed to start the metrics endpoint on {address}: {error}"), &error)
                })?;
            bound.push((setting.clone(), listener));
        }
        Ok(BoundEndpoints { wanted, bound })
    }

    /// Serves what is bound, and ends what is not wanted any more.
    pub async fn swap(&mut self, endpoints: BoundEndpoints) {
        let BoundEndpoints { wanted, bound } = endpoints;
        for (setting, listener) in bound {
            let naming = Naming {
                without_type_suffix: setting.without_type_suffix,
                without_units: setting.without_units,
                ..Naming::default()
            };
            let service = Exposition { telemetry: self.telemetry.clone(), naming };
            self.running.push((setting, listener.serve(HttpServer::new(Arc::new(service)))));
        }
        let (stay, end): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.running).into_iter().partition(|(setting, _)| wanted.contains(setting));
        self.running = stay;
        for (_, server) in end {
            server.retire(GRACE).await;
        }
    }

    /// Ends all of them at once.
    pub async fn stop(self) {
        for (_, server) in self.running {
            server.shutdown(Duration::ZERO).await;
        }
    }
}

fn settings(metrics: &Metrics) -> anyhow::Result<Vec<Setting>> {
    if metrics.level == MetricsLevel::None {
        return Ok(Vec::new());
    }
    let settings = metrics.readers.iter().map(|reader| {
        let Some(prometheus) = reader.prometheus() else {
            return Err(anyhow!("service::telemetry::metrics::readers: only pull readers are available yet"));
        };
        Ok(Setting {
            address: format!("{}:{}", prometheus.host, prometheus.port),
            without_type_suffix: prometheus.without_type_suffix,
            without_units: prometheus.without_units,
        })
    });
    settings.collect()
}
