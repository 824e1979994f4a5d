//! Self-telemetry over HTTP: the Prometheus endpoint that `service::telemetry::metrics` asks for.

use std::sync::Arc;

use anyhow::anyhow;
use bytes::Bytes;
use sluice_net::Unlimited;
use sluice_net::http::{
    Admission, HeaderValue, HttpService, Method, Refusal, Request, Response, ResponseBody, Server as HttpServer, header,
};
use sluice_net::listen::{Listener, ListenerSettings, RequestHead, Server};
use sluice_pipeline::telemetry::{Naming, Telemetry};

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
        Ok(Admission { context: (), reserve: Arc::new(Unlimited), max_wire_bytes: 0 })
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

/// Starts the endpoint at `host:port`.
pub async fn serve(telemetry: Telemetry, naming: Naming, address: &str) -> anyhow::Result<Server> {
    let listener = Listener::bind(ListenerSettings::tcp(address))
        .await
        .map_err(|error| anyhow!("failed to start the metrics endpoint on {address}: {error}"))?;
    Ok(listener.serve(HttpServer::new(Arc::new(Exposition { telemetry, naming }))))
}
