//! Random chains: the same processors as models and as the real steps, and the law that they agree.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value as Json, json};
use sluice_config::parse;
use sluice_pdata::pass::{Passed, Progress, Scratch};
use sluice_pdata::schema::{self, Kind};
use sluice_pdata::testing::{Decoded, Meaning, Node, Oddities, Rng, Shape, meaning, odd, request_of};
use sluice_pdata::{Error, Signal, canonical, split};
use sluice_pipeline::admission::MemBudget;
use sluice_pipeline::clock::{Clock, Monotonic, VirtualClock, WallTime};
use sluice_pipeline::component::Environment;
use sluice_pipeline::context::{Arrival, Context, Identity, Metadata, MetadataKeys, Tenant, Transport};
use sluice_pipeline::extension::Extensions;
use sluice_pipeline::factory::{Processors, Registry};
use sluice_pipeline::processor::Processor;
use sluice_pipeline::rng::SplitMix;
use sluice_pipeline::telemetry::Telemetry;
use sluice_pipeline::{Chain, ComponentId, PipelineId, Step};

use super::attributes::{Attributes, Resource};
use super::filter::Filter;
use super::plant::planted;
use super::redaction::Redaction;
use super::tree::{Refused, Request, difference, tidy};
use super::walk::{self, Plain};

/// One processor of a chain: its config, and its model.
pub struct Made {
    pub name: &'static str,
    pub config: Json,
    model: Model,
}

enum Model {
    Plain(Box<dyn Plain>),
    Redaction(Box<Redaction>),
    /// It changes nothing.
    Observer,
}

impl Made {
    pub fn filter(rng: &mut Rng, signal: Signal, refuses: bool) -> Self {
        let filter = Filter::random(rng, signal, refuses);
        Made { name: "filter", config: filter.config(), model: Model::Plain(Box::new(filter)) }
    }

    pub fn attributes(rng: &mut Rng) -> Self {
        let attributes = Attributes::random(rng);
        Made { name: "attributes", config: attributes.config(), model: Model::Plain(Box::new(attributes)) }
    }

    pub fn resource(rng: &mut Rng) -> Self {
        let resource = Resource::random(rng);
        Made { name: "resource", config: resource.config(), model: Model::Plain(Box::new(resource)) }
    }

    pub fn redaction(rng: &mut Rng, signal: Signal) -> Self {
        let redaction = Redaction::random(rng, signal);
        Made { name: "redaction", config: redaction.config(), model: Model::Redaction(Box::new(redaction)) }
    }

    pub fn up(rng: &mut Rng) -> Self {
        let config = json!({"learned": {"enabled": rng.chance(50)}});
        Made { name: "up", config, model: Model::Observer }
    }

    /// Any processor.
    pub fn random(rng: &mut Rng, signal: Signal) -> Self {
        match rng.below(10) {
            0..3 => Made::filter(rng, signal, true),
            3 | 4 => Made::attributes(rng),
            5 | 6 => Made::resource(rng),
            7 | 8 => Made::redaction(rng, signal),
            _ => Made::up(rng),
        }
    }

    fn apply(&self, request: &mut Request, context: &Context) -> Result<(), Refused> {
        match &self.model {
            Model::Plain(model) => walk::run(&**model, request, context),
            Model::Redaction(model) => {
                model.apply(request);
                Ok(())
            }
            Model::Observer => Ok(()),
        }
    }
}

/// The configs of a chain, to be shown with a failure.
pub fn shown(chain: &[Made]) -> String {
    chain.iter().map(|made| format!("\n  {}: {}", made.name, made.config)).collect()
}

/// The real steps of a chain, and the request headers that they read.
pub fn steps(signal: Signal, chain: &[Made]) -> (Vec<Arc<Step>>, Vec<String>) {
    let mut registry = Registry::<Processors>::new();
    crate::register(&mut registry);
    let mut headers = Vec::new();
    let mut steps = Vec::new();
    for (at, made) in chain.iter().enumerate() {
        // YAML takes no raw DEL.
        let node = parse(made.config.to_string().replace('\u{7f}', "\\u007f").as_bytes()).unwrap();
        let configured = registry.decode(made.name, &node).unwrap().unwrap_or_else(|problems| {
            panic!("{problems:#?}\n{}", shown(chain));
        });
        headers.extend(configured.metadata_keys.iter().cloned());
        match configured.build(environment(signal, made.name, at)).unwrap() {
            Processor::Step(step) | Processor::Emitting(step, _) => steps.push(step),
            _ => panic!("{} is no step", made.name),
        }
    }
    (steps, headers)
}

/// What a component is built with.
pub fn environment(signal: Signal, name: &str, at: usize) -> Environment {
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new(WallTime(1_760_000_000_000_000_000)));
    Environment {
        id: ComponentId::new(name, &at.to_string()),
        signals: Arc::new([signal]),
        pipeline: Some(PipelineId::new(signal, "")),
        pipelines: Arc::from([]),
        memory: MemBudget::new(1 << 30, Arc::clone(&clock)),
        clock,
        rng: Arc::new(SplitMix::seeded(1)),
        telemetry: Telemetry::new(),
        extensions: Extensions::default(),
        verdicts: sluice_pipeline::verdict::VerdictBoard::default(),
        gates: Default::default(),
    }
}

/// Where a request may have come from.
pub fn context(rng: &mut Rng, headers: &[String]) -> Context {
    let sent = [("X-Team", "blue"), ("x-scope-orgid", "a"), ("X-Scope-OrgID", "b"), ("x-other", "never kept")];
    let keys = MetadataKeys::new(headers.iter().map(String::as_str));
    let claims = vec![("auth.claims.role".into(), "admin".into())];
    Context {
        peer: rng.chance(70).then(|| rng.pick(&["192.0.2.7:4317", "[2001:db8::1]:9"]).parse().unwrap()),
        identity: rng.chance(50).then(|| Identity { subject: "sender".into(), scopes: Vec::new(), attributes: claims }),
        tenant: Tenant::new(rng.pick(&["", "blue"])),
        metadata: Metadata::collect(&keys, sent.into_iter().filter(|_| rng.chance(70))),
        arrival: Arrival { monotonic: Monotonic::default(), wall: WallTime(1_760_000_000_000_000_000) },
        deadline: None,
        receiver: ComponentId::new("otlp", ""),
        transport: Transport::GRPC,
        tainted: Default::default(),
    }
}

/// A random request as a receiver hands it on: its envelopes are plain, everything else may be odd. Says also whether
/// fields may stand in any order.
pub fn random_request(signal: Signal, seed: u64, rng: &mut Rng) -> (Bytes, bool) {
    let shape = Shape { broken_utf8: rng.chance(40), ..Shape::default() };
    let mut request = request_of(signal, seed, &shape);
    if rng.chance(50) {
        let percent = rng.pick(&[3, 10, 30]);
        request = planted(signal.request(), &request, rng, percent, shape.broken_utf8);
    }
    let kind = rng.below(4);
    let oddities = match kind {
        0 => None,
        1 => Some(Oddities::UNKNOWN),
        2 => Some(Oddities { shuffle: false, ..Oddities::ALL }),
        _ => Some(Oddities::ALL),
    };
    if let Some(oddities) = oddities {
        request = odd(signal.request(), &request, rng, &oddities);
    }
    (canonical::envelopes(signal, &request).unwrap().into(), kind == 3)
}

/// Runs a chain in slices of some size.
pub fn pass(
    signal: Signal,
    steps: Vec<Arc<Step>>,
    context: &Context,
    bytes: &Bytes,
    slice: usize,
) -> Result<Passed, Error> {
    let chain = Chain::new(signal, steps);
    let mut scratch = Scratch::default();
    let mut run = chain.start(bytes.clone(), split::count(signal, bytes).unwrap());
    loop {
        match run.advance(context, &mut scratch, slice)? {
            Progress::Yield(resumed) => run = resumed,
            Progress::Done(passed) => return Ok(passed),
        }
    }
}

/// Takes the number from the end of a masked key.
fn without_number(pair: &mut Meaning) {
    for key in pair.0.get_mut(&1).into_iter().flatten() {
        let Node::Bytes(text) = key else { panic!("{key:?}") };
        let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let front = text.len() - digits;
        if digits > 0 && text[..front].ends_with(b"_") {
            text.truncate(front - 1);
        }
    }
}

/// Visits every attribute and map entry.
fn each_pair(schema: &'static schema::Message, tree: &mut Meaning, visit: &mut impl FnMut(&mut Meaning)) {
    if schema.name == "KeyValue" {
        visit(tree);
    }
    for (number, nodes) in &mut tree.0 {
        let Some(Kind::Message(inner)) = schema.field(*number).map(|field| field.kind) else { continue };
        for node in nodes {
            if let Node::Message(content) = node {
                each_pair(inner, content, visit);
            }
        }
    }
}

/// The law: what the pass makes of a random request is what the models make of it, one after another; a request that
/// a model refuses is refused; and what nobody changed is the same allocation.
pub fn agrees(signal: Signal, seed: u64, rng: &mut Rng, chain: &[Made]) {
    let (bytes, shuffled) = random_request(signal, seed, rng);
    let (steps, headers) = steps(signal, chain);
    let context = context(rng, &headers);
    let slice = if rng.chance(50) { usize::MAX } else { 1 + rng.below(300) };
    let before = Request::new(signal, &bytes);
    let mut expected = before.clone();
    let model = chain.iter().try_for_each(|made| made.apply(&mut expected, &context));
    let passed = pass(signal, steps, &context, &bytes, slice);
    let passed = match (model, passed) {
        (Ok(()), Ok(passed)) => passed,
        (Err(_), Err(_)) => return,
        (model, passed) => {
            panic!("the model says {model:?}, the pass {:?}{}", passed.map(|passed| passed.items), shown(chain))
        }
    };
    let schema = signal.request();
    let found = meaning(schema, &passed.bytes).unwrap();
    let (mut found_tree, mut expected_tree) = (tidy(schema, found), tidy(schema, expected.tree));
    // Keys that are masked alike are numbered as they come.
    let unnumbered = shuffled && chain.iter().any(|made| matches!(made.model, Model::Redaction(_)));
    let lax = chain.iter().any(|made| matches!(&made.model, Model::Redaction(model) if model.is_lax()));
    for tree in [&mut found_tree, &mut expected_tree] {
        if unnumbered {
            each_pair(schema, tree, &mut without_number);
        }
        if lax {
            each_pair(schema, tree, &mut |pair| {
                *pair = std::mem::take(pair).without_unknown(&schema::KEY_VALUE);
            });
        }
    }
    if let Some(difference) = difference(schema, &found_tree, &expected_tree) {
        panic!("{difference}{}", shown(chain));
    }
    if Decoded::new(signal, &bytes).is_ok() {
        let found = Decoded::new(signal, &passed.bytes).unwrap();
        assert!(unnumbered || found == expected.decoded, "{}\n{found:#?}\n{:#?}", shown(chain), expected.decoded);
    }
    assert_eq!(passed.items, expected.decoded.items(), "{}", shown(chain));
    let dropped: usize = passed.dropped.iter().map(|drop| drop.2).sum();
    assert_eq!(dropped, before.decoded.items() - passed.items, "{}", shown(chain));
    if passed.bytes == bytes && !expected.touched.get() {
        assert_eq!(passed.bytes.as_ptr(), bytes.as_ptr(), "unchanged, but copied{}", shown(chain));
    }
}
