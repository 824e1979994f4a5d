//! What is measured, over requests of the load generator's shape.

use crate::chain::{self, Processed};
use crate::decoded::Edits;
use crate::walk;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use sluice_benches::payload::Shape;
use sluice_pdata::pass::Scratch;
use sluice_pdata::{Signal, framing};
use std::error::Error;
use std::hint::black_box;

/// One way of going through a request.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    work: Work,
}

#[derive(Clone, Copy)]
enum Work {
    Copy,
    Framing,
    Walk,
    Views,
    Decode,
    DecodedChain,
    /// A chain of [`Workload::chains`].
    Pass(usize),
}

pub(crate) const WALK: &str = "walk";
pub(crate) const PASS_CHAIN: &str = "pass-chain";
pub(crate) const DECODED_CHAIN: &str = "decode-edit-encode";

/// The processors of each [`Work::Pass`].
const CHAINS: [&[&str]; 5] =
    [&["filter"], &["redaction"], &["resource"], &["filter", "resource"], &["filter", "redaction", "resource"]];

const fn case(name: &'static str, work: Work, what: &'static str) -> Case {
    Case { name, what, work }
}

pub(crate) const CASES: &[Case] = &[
    case("copy", Work::Copy, "the request's bytes copied"),
    case("framing", Work::Framing, "the check at the receiver, down to items"),
    case(WALK, Work::Walk, "every field visited once, by hand-written code"),
    case("views", Work::Views, "every field read through the views"),
    case("decode", Work::Decode, "decoded into generated types"),
    case(DECODED_CHAIN, Work::DecodedChain, "the chain over generated types"),
    case("pass-drop", Work::Pass(0), "filter: drops 5 %"),
    case("pass-mask", Work::Pass(1), "redaction: masks an e-mail address by a user's pattern"),
    case("pass-insert", Work::Pass(2), "resource: inserts an attribute"),
    case("pass-drop-insert", Work::Pass(3), "filter, resource"),
    case(PASS_CHAIN, Work::Pass(4), "filter, redaction, resource"),
];

/// Requests of one signal, and what is done with them.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    signal: Signal,
    requests: Vec<Bytes>,
    next: usize,
    edits: Edits,
    chains: Vec<Processed>,
    scratch: Scratch,
}

/// Items in a request.
const ITEMS: u32 = 1000;

/// Requests that take turns; together they do not stay in the inner caches.
const REQUESTS: u32 = 8;

impl Workload {
    pub(crate) const NAMES: [&'static str; 2] = ["spans", "logs"];

    pub(crate) fn new(name: &str) -> Result<Self, Box<dyn Error>> {
        use sluice_benches::signal::Signal as Sent;
        let (name, signal, sent, scenario) = match name {
            "spans" => ("spans", Signal::Traces, Sent::Traces, "spans-chain"),
            "logs" => ("logs", Signal::Logs, Sent::Logs, "logs-chain"),
            _ => return Err("no such workload".into()),
        };
        let shape = Shape { signal: sent, items: ITEMS, drop_share: 0.05, tracked: false };
        let chains = CHAINS.iter().map(|wanted| chain::of_scenario(scenario, signal, wanted));
        Ok(Self {
            name,
            signal,
            requests: (0..REQUESTS).map(|index| shape.body(index).bytes.into()).collect(),
            next: 0,
            edits: Edits::new()?,
            chains: chains.collect::<Result<_, _>>()?,
            scratch: Scratch::default(),
        })
    }

    pub(crate) fn items(&self) -> u32 {
        ITEMS
    }

    /// Mean bytes of an item, its share of the resource included.
    pub(crate) fn item_size(&self) -> usize {
        self.requests.iter().map(Bytes::len).sum::<usize>() / (self.requests.len() * ITEMS as usize)
    }

    /// Works on the next request.
    pub(crate) fn run(&mut self, case: &Case) -> Result<(), Box<dyn Error>> {
        self.next = (self.next + 1) % self.requests.len();
        let Some(request) = self.requests.get(self.next).map(black_box) else { return Err("no requests".into()) };
        let traces = self.signal == Signal::Traces;
        match case.work {
            Work::Copy => drop(black_box(request.to_vec())),
            Work::Framing => drop(black_box(framing::check(self.signal, request)?)),
            Work::Walk => drop(black_box(walk::by_hand(request, traces).ok_or("malformed")?)),
            Work::Views => drop(black_box(if traces { walk::traces(request)? } else { walk::logs(request)? })),
            Work::Decode if traces => drop(black_box(ExportTraceServiceRequest::decode(&request[..])?)),
            Work::Decode => drop(black_box(ExportLogsServiceRequest::decode(&request[..])?)),
            Work::DecodedChain => drop(black_box(decoded_chain(&self.edits, traces, request)?)),
            Work::Pass(chain) => {
                let Some(Processed { chain, context }) = self.chains.get(chain) else {
                    return Err("no such chain".into());
                };
                let mut passed = chain.run(request.clone(), ITEMS as usize, context, &mut self.scratch)?;
                passed.apply_effects();
                drop(black_box(passed.bytes));
            }
        }
        Ok(())
    }

    /// The pass gives what decode–edit–encode gives.
    pub(crate) fn verify(&mut self) -> Result<(), Box<dyn Error>> {
        let Some(Processed { chain, context }) = self.chains.last() else { return Err("no chain".into()) };
        for request in &self.requests {
            let passed = chain.run(request.clone(), ITEMS as usize, context, &mut self.scratch)?.bytes;
            let traces = self.signal == Signal::Traces;
            let expected = decoded_chain(&self.edits, traces, request)?;
            let same = if traces {
                ExportTraceServiceRequest::decode(passed)? == ExportTraceServiceRequest::decode(&expected[..])?
            } else {
                ExportLogsServiceRequest::decode(passed)? == ExportLogsServiceRequest::decode(&expected[..])?
            };
            if !same || memchr::memmem::find_iter(&expected, "****").count() < 900 {
                return Err(format!("{}: the pass and decode–edit–encode differ", self.name).into());
            }
        }
        Ok(())
    }
}

fn decoded_chain(edits: &Edits, traces: bool, request: &[u8]) -> Result<Vec<u8>, prost::DecodeError> {
    if traces {
        let mut decoded = ExportTraceServiceRequest::decode(request)?;
        edits.traces(&mut decoded);
        Ok(decoded.encode_to_vec())
    } else {
        let mut decoded = ExportLogsServiceRequest::decode(request)?;
        edits.logs(&mut decoded);
        Ok(decoded.encode_to_vec())
    }
}
