//! OTLP/gRPC: three Export methods, and the health service beside them.

use std::sync::Arc;

use bytes::Bytes;
use sluice_net::Reserve;
use sluice_net::compression::DecompressLimits;
use sluice_net::grpc::{Admission, Refused, Reply, Request, UnaryService};
use sluice_net::listen::RequestHead;
use sluice_pdata::Signal;
use sluice_pdata::wire::{put_len, put_message, put_varint_field};
use sluice_pipeline::answer::GrpcAnswer;
use sluice_pipeline::outcome::SizeLimit;
use sluice_pipeline::{Accepted, Refusal};
use tonic::{Code, Status};

use super::health::{self, Health};
use super::intake::{Format, Intake, Sizes};
use crate::gate::Admitted;

/// The service behind the gRPC listener.
pub(super) struct GrpcService {
    pub(super) intake: Intake,
    pub(super) reserve: Arc<dyn Reserve>,
    pub(super) health: Health,
}

/// A method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Export(Signal),
    Health(health::Method),
}

/// Leave to read a body.
pub(super) enum Leave {
    Export(Admitted),
    /// Health is told to whoever may connect: probes have no credentials.
    Health,
}

impl UnaryService for GrpcService {
    type Route = Method;
    type Context = Leave;

    fn route(&self, path: &str) -> Option<Method> {
        let export = Signal::ALL.into_iter().find(|signal| signal.grpc_path() == path).map(Method::Export);
        export.or_else(|| health::Method::find(path).map(Method::Health))
    }

    async fn admit(&self, method: &Method, head: &RequestHead) -> Result<Admission<Leave>, Status> {
        let reserve = Arc::clone(&self.reserve);
        let Method::Export(signal) = *method else {
            return Ok(Admission {
                context: Leave::Health,
                reserve,
                max_wire_bytes: health::MAX_BYTES,
                decompress: DecompressLimits::default(),
            });
        };
        let admitted = self.intake.admit(signal, head).await;
        let (admitted, sizes) = admitted.map_err(|refusal| self.status(signal, &refusal))?;
        let Sizes { wire_bytes: max_wire_bytes, decompress } = sizes;
        Ok(Admission { context: Leave::Export(admitted), reserve, max_wire_bytes, decompress })
    }

    async fn call(&self, request: Request<Method, Leave>) -> Result<Reply, Status> {
        let Request { route, head, context, mut body, must_finish } = request;
        match (route, context) {
            (Method::Export(signal), Leave::Export(admitted)) => {
                match self.intake.take(signal, &head, admitted, body, Format::Protobuf, &must_finish).await {
                    Ok(accepted) => Ok(Reply::from(response(&accepted))),
                    Err(refusal) => Err(answer(&refusal, self.intake.delay())),
                }
            }
            (Method::Health(method), _) => self.health.call(method, &mut body, &self.intake.ingress).await,
            (Method::Export(_), Leave::Health) => Err(Status::internal("internal error")),
        }
    }

    fn refused(&self, route: Option<&Method>, cause: Refused) {
        let refusal = match cause {
            Refused::Head => Refusal::Headers,
            Refused::Method => Refusal::Method { allow: "POST" },
            Refused::ContentType => Refusal::ContentType,
            Refused::UnknownMethod => Refusal::UnknownPath,
            Refused::Encoding => Refusal::UnknownEncoding { encoding: String::new() },
            Refused::TooLarge { limit } => {
                Refusal::TooLarge { what: SizeLimit::Wire, size: limit as u64 + 1, limit: limit as u64 }
            }
            Refused::Inflates { limit } => {
                Refusal::TooLarge { what: SizeLimit::Decompressed, size: limit as u64 + 1, limit: limit as u64 }
            }
            Refused::Busy => Refusal::Memory,
            Refused::Deadline => Refusal::DeadlineExceeded,
            Refused::Malformed => Refusal::Malformed { message: String::new() },
            Refused::ShuttingDown => Refusal::ShuttingDown,
            Refused::Internal => Refusal::Internal,
        };
        let signal = match route {
            Some(Method::Export(signal)) => *signal,
            Some(Method::Health(_)) | None => Signal::Traces,
        };
        self.intake.count_refusal(signal, &refusal);
    }
}

impl GrpcService {
    fn status(&self, signal: Signal, refusal: &Refusal) -> Status {
        self.intake.count_refusal(signal, refusal);
        answer(refusal, self.intake.delay())
    }
}

fn answer(refusal: &Refusal, delay: std::time::Duration) -> Status {
    match refusal.grpc(delay) {
        GrpcAnswer::Status { status, .. } => {
            let code = Code::from_i32(status.code as i32);
            if status.details.is_empty() {
                Status::new(code, status.message)
            } else {
                let details = Bytes::from(status.to_protobuf());
                Status::with_details(code, status.message, details)
            }
        }
        // Resets and closes are the listener's own refusals and never come from a batch.
        GrpcAnswer::Reset(_) | GrpcAnswer::Close => Status::unavailable("connection is closing"),
    }
}

/// An `Export*ServiceResponse`: empty on full success, else with `partial_success`. The same bytes for all signals.
pub(super) fn response(accepted: &Accepted) -> Bytes {
    const PARTIAL_SUCCESS: u32 = 1;
    const REJECTED: u32 = 1;
    const ERROR_MESSAGE: u32 = 2;
    let Some(partial) = &accepted.partial else { return Bytes::new() };
    let mut out = Vec::with_capacity(partial.message.len() + 16);
    put_message(&mut out, PARTIAL_SUCCESS, |out| {
        if partial.rejected > 0 {
            put_varint_field(out, REJECTED, partial.rejected);
        }
        if !partial.message.is_empty() {
            put_len(out, ERROR_MESSAGE, partial.message.as_bytes());
        }
    });
    Bytes::from(out)
}
