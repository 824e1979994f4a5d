//! The gRPC health service (grpc.health.v1) on the port of OTLP: whether requests are taken, in all and of each signal.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use sluice_net::body::Body;
use sluice_net::compression::DecompressLimits;
use sluice_net::grpc::Reply;
use sluice_pdata::Signal;
use sluice_pdata::wire::{Value, fields, put_varint_field};
use sluice_pipeline::receiver::CurrentIngress;
use tokio::sync::watch;
use tonic::Status;

/// Most bytes of a request: the name of a service.
pub(super) const MAX_BYTES: usize = 4 << 10;
/// How often who watches is told of a change that nothing else tells of.
const INTERVAL: Duration = Duration::from_secs(5);
/// `HealthCheckRequest.service` and `HealthCheckResponse.status`.
const SERVICE: u32 = 1;
const STATUS: u32 = 1;

/// A method of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Check,
    /// Answers at once, and then with each change.
    Watch,
}

impl Method {
    pub(super) fn find(path: &str) -> Option<Self> {
        match path.strip_prefix("/grpc.health.v1.Health/")? {
            "Check" => Some(Method::Check),
            "Watch" => Some(Method::Watch),
            _ => None,
        }
    }
}

/// `HealthCheckResponse.ServingStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serving {
    Yes = 1,
    No = 2,
    /// There is no such service.
    Unknown = 3,
}

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// The receiver as a whole.
    All,
    Export(Signal),
    Unknown,
}

/// One listener's.
#[derive(Clone)]
pub(super) struct Health {
    /// Whether requests are taken at all.
    serving: watch::Receiver<bool>,
}

impl Health {
    pub(super) fn new(serving: watch::Receiver<bool>) -> Self {
        Health { serving }
    }

    /// Answers a call.
    ///
    /// # Errors
    /// A body that is no request; `Check` of a service that there is not.
    pub(super) async fn call(
        &self,
        method: Method,
        body: &mut Body,
        ingress: &CurrentIngress,
    ) -> Result<Reply, Status> {
        let limits = DecompressLimits { max_bytes: MAX_BYTES, ..DecompressLimits::default() };
        let request = body.decompressed(&limits).await.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let subject = subject(&request)?;
        let now = self.status(subject, ingress);
        match (method, now) {
            (Method::Check, Serving::Unknown) => Err(Status::not_found("unknown service")),
            (Method::Check, _) => Ok(Reply::from(response(now))),
            (Method::Watch, _) => {
                let more = self.changes(subject, now, ingress.clone());
                Ok(Reply { message: response(now), more: Some(more) })
            }
        }
    }

    fn status(&self, subject: Subject, ingress: &CurrentIngress) -> Serving {
        let ingress = ingress.get();
        let serves = match subject {
            Subject::Unknown => return Serving::Unknown,
            Subject::Export(signal) if !ingress.takes(signal) => return Serving::Unknown,
            Subject::Export(signal) => ingress.ready(signal).is_ok(),
            Subject::All => true,
        };
        if serves && *self.serving.borrow() { Serving::Yes } else { Serving::No }
    }

    /// What it changes to, until the end: no request is taken any more.
    fn changes(&self, subject: Subject, now: Serving, ingress: CurrentIngress) -> BoxStream<'static, Bytes> {
        let clock = ingress.get().clock.clone();
        let state = (self.clone(), now, false);
        let next = move |(mut health, known, ended): (Health, Serving, bool)| {
            let (ingress, clock) = (ingress.clone(), clock.clone());
            async move {
                if ended {
                    return None;
                }
                loop {
                    let is_over = tokio::select! {
                        // Serving changes once, to the end.
                        _ = health.serving.changed() => true,
                        () = clock.sleep(INTERVAL) => false,
                    };
                    let now = health.status(subject, &ingress);
                    if now != known || is_over {
                        let ends_with = if is_over && now != Serving::Unknown { Serving::No } else { now };
                        return Some((response(ends_with), (health, ends_with, is_over)));
                    }
                }
            }
        };
        stream::unfold(state, next).boxed()
    }
}

/// # Errors
/// What is no `HealthCheckRequest`.
fn subject(request: &[u8]) -> Result<Subject, Status> {
    let mut service: &[u8] = &[];
    for field in fields(request) {
        let field = field.map_err(|error| Status::invalid_argument(error.to_string()))?;
        if let (SERVICE, Value::Len(name)) = (field.number, field.value) {
            service = name;
        }
    }
    let of =
        |signal: &Signal| signal.grpc_path().trim_start_matches('/').trim_end_matches("/Export").as_bytes() == service;
    Ok(match service {
        [] => Subject::All,
        _ => Signal::ALL.into_iter().find(of).map_or(Subject::Unknown, Subject::Export),
    })
}

fn response(status: Serving) -> Bytes {
    let mut out = Vec::with_capacity(2);
    put_varint_field(&mut out, STATUS, status as u64);
    Bytes::from(out)
}
