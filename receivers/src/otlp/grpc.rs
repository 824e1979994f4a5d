//! OTLP/gRPC: three Export methods.

use std::sync::Arc;

use bytes::Bytes;
use sluice_net::Reserve;
use sluice_net::grpc::{Admission, Refused, Reply, Request, UnaryService};
use sluice_net::listen::RequestHead;
use sluice_pdata::Signal;
use sluice_pdata::wire::{put_len, put_message, put_varint_field};
use sluice_pipeline::answer::GrpcAnswer;
use sluice_pipeline::outcome::SizeLimit;
use sluice_pipeline::{Accepted, Refusal};
use tonic::{Code, Status};

use super::intake::{Format, Intake};
use crate::gate::Admitted;

/// The service behind the gRPC listener.
pub(super) struct GrpcService {
    pub(super) intake: Intake,
    pub(super) reserve: Arc<dyn Reserve>,
}

impl UnaryService for GrpcService {
    type Route = Signal;
    type Context = Admitted;

    fn route(&self, path: &str) -> Option<Signal> {
        Signal::ALL.into_iter().find(|signal| signal.grpc_path() == path)
    }

    async fn admit(&self, signal: &Signal, head: &RequestHead) -> Result<Admission<Admitted>, Status> {
        let admitted = self.intake.admit(*signal, head).await;
        let (context, max_wire_bytes) = admitted.map_err(|refusal| self.status(*signal, &refusal))?;
        Ok(Admission { context, reserve: Arc::clone(&self.reserve), max_wire_bytes })
    }

    async fn call(&self, request: Request<Signal, Admitted>) -> Result<Reply, Status> {
        let Request { route: signal, head, context: admitted, body, must_finish } = request;
        match self.intake.take(signal, &head, admitted, body, Format::Protobuf, &must_finish).await {
            Ok(accepted) => Ok(Reply { message: response(&accepted) }),
            Err(refusal) => Err(answer(&refusal, self.intake.delay())),
        }
    }

    fn refused(&self, route: Option<&Signal>, cause: Refused) {
        let refusal = match cause {
            Refused::Head => Refusal::Headers,
            Refused::Method => Refusal::Method { allow: "POST" },
            Refused::ContentType => Refusal::ContentType,
            Refused::UnknownMethod => Refusal::UnknownPath,
            Refused::Encoding => Refusal::UnknownEncoding { encoding: String::new() },
            Refused::TooLarge { limit } => {
                Refusal::TooLarge { what: SizeLimit::Wire, size: limit as u64 + 1, limit: limit as u64 }
            }
            Refused::Busy => Refusal::Memory,
            Refused::Deadline => Refusal::DeadlineExceeded,
            Refused::Malformed => Refusal::Malformed { message: String::new() },
            Refused::ShuttingDown => Refusal::ShuttingDown,
            Refused::Internal => Refusal::Internal,
        };
        self.intake.count_refusal(route.copied().unwrap_or(Signal::Traces), &refusal);
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
