//! The step in a pass: it changes no byte, and notes who sent what, as a plain model of contacts does.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use sluice_pdata::Signal;
use sluice_pdata::testing::{Decoded, Rng, laws};
use sluice_pdata::wire::{Value as Wire, fields};
use sluice_pipeline::Step;

use super::world::seed;
use crate::model::chain::{Made, context, pass, random_request, steps};
use crate::model::tree::{Request, real};
use crate::up::identity::Attribute;
use crate::up::observer::Observer;
use crate::up::step::UpStep;

const KEYS: [(&str, Attribute); 12] = [
    ("service.name", Attribute::ServiceName),
    ("service.namespace", Attribute::ServiceNamespace),
    ("service.instance.id", Attribute::ServiceInstanceId),
    ("k8s.pod.uid", Attribute::PodUid),
    ("k8s.pod.name", Attribute::PodName),
    ("k8s.namespace.name", Attribute::Namespace),
    ("k8s.container.name", Attribute::ContainerName),
    ("k8s.pod.ip", Attribute::PodIp),
    ("k8s.cluster.name", Attribute::Cluster),
    ("container.id", Attribute::ContainerId),
    ("host.id", Attribute::HostId),
    ("host.name", Attribute::HostName),
];

/// Who sent, and what.
#[derive(Clone, Debug, Default, PartialEq, PartialOrd)]
struct Contact {
    attributes: Vec<Option<String>>,
    tenant: Option<String>,
    peer: Option<IpAddr>,
    items: u64,
    requests: u32,
    bytes: u64,
    newest: Option<Duration>,
    /// There are data points, and none has a value.
    all_gone: bool,
}

/// What one resource says about its sender: of each key the first text that is neither empty nor too long.
fn identify(pairs: &[KeyValue]) -> Vec<Option<String>> {
    let text = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => Some(text.clone()),
        _ => None,
    };
    let usable = |text: &String| !text.is_empty() && text.len() <= 1024 && real(text) == text.as_bytes();
    let first = |key: &str| pairs.iter().filter(|pair| pair.key == key).filter_map(text).find(usable);
    KEYS.iter().map(|(key, _)| first(key)).collect()
}

/// Times and flags of the points of a metric.
fn points(metric: &Metric) -> Vec<(u64, u32)> {
    macro_rules! points {
        ($data:expr) => {
            $data.data_points.iter().map(|point| (point.time_unix_nano, point.flags)).collect()
        };
    }
    match &metric.data {
        None => Vec::new(),
        Some(Data::Gauge(data)) => points!(data),
        Some(Data::Sum(data)) => points!(data),
        Some(Data::Histogram(data)) => points!(data),
        Some(Data::ExponentialHistogram(data)) => points!(data),
        Some(Data::Summary(data)) => points!(data),
    }
}

/// The contacts of a request, in the order of its resources.
fn contacts(request: &Decoded) -> Vec<Contact> {
    let resource = |resource: &Option<opentelemetry_proto::tonic::resource::v1::Resource>, items: usize| Contact {
        attributes: identify(resource.as_ref().map_or(&[], |resource| &resource.attributes)),
        items: items as u64,
        requests: 1,
        ..Contact::default()
    };
    match request {
        Decoded::Traces(request) => request
            .resource_spans
            .iter()
            .map(|group| resource(&group.resource, group.scope_spans.iter().map(|group| group.spans.len()).sum()))
            .collect(),
        Decoded::Logs(request) => request
            .resource_logs
            .iter()
            .map(|group| resource(&group.resource, group.scope_logs.iter().map(|group| group.log_records.len()).sum()))
            .collect(),
        Decoded::Metrics(request) => request
            .resource_metrics
            .iter()
            .map(|group| {
                let metrics = group.scope_metrics.iter().flat_map(|group| &group.metrics);
                let points: Vec<_> = metrics.flat_map(points).collect();
                Contact {
                    newest: points.iter().map(|point| point.0).max().filter(|time| *time > 0).map(Duration::from_nanos),
                    all_gone: !points.is_empty() && points.iter().all(|point| point.1 & 1 == 1),
                    ..resource(&group.resource, points.len())
                }
            })
            .collect(),
    }
}

/// The contacts of an encoded request; those with the same bytes in their resource are one.
fn model(signal: Signal, bytes: &[u8]) -> Vec<Contact> {
    let inner = |message: &[u8], number: u32| -> Vec<Vec<u8>> {
        let payloads = fields(message).map(Result::unwrap).filter(|field| field.number == number);
        payloads
            .filter_map(|field| match field.value {
                Wire::Len(payload) => Some(payload.to_vec()),
                _ => None,
            })
            .collect()
    };
    let mut merged: BTreeMap<Vec<u8>, Contact> = BTreeMap::new();
    for (group, contact) in inner(bytes, 1).into_iter().zip(contacts(&Request::new(signal, bytes).decoded)) {
        let contact = Contact { bytes: group.len() as u64, ..contact };
        let resource = inner(&group, 1).concat();
        match merged.get_mut(&resource) {
            None => drop(merged.insert(resource, contact)),
            Some(first) => {
                first.items += contact.items;
                first.requests += contact.requests;
                first.bytes += contact.bytes;
                first.newest = first.newest.max(contact.newest);
                first.all_gone = contact.all_gone;
            }
        }
    }
    merged.into_values().collect()
}

fn sorted(mut contacts: Vec<Contact>) -> Vec<Contact> {
    contacts.sort_by(|one, other| one.partial_cmp(other).unwrap());
    contacts
}

#[test]
fn up_law() {
    laws(|signal, seed_of_case| {
        let mut rng = Rng::new(seed_of_case ^ 0x7570);
        // What stands in front may drop, so that a sender is not seen; `resource` is not among it, because the size that
        // is noted is the one from before the walk.
        let front: Vec<Made> = (0..rng.below(3))
            .map(|_| match rng.below(3) {
                0 => Made::attributes(&mut rng),
                _ => Made::filter(&mut rng, signal, false),
            })
            .collect();
        let (bytes, _) = random_request(signal, seed_of_case, &mut rng);
        let (front_steps, headers) = steps(signal, &front);
        let context = context(&mut rng, &headers);
        let before = pass(signal, front_steps.clone(), &context, &bytes, usize::MAX).unwrap();

        let observer = Arc::new(Observer::new(seed(), 100_000));
        let up: Arc<Step> = Arc::new(UpStep {
            observer: Arc::clone(&observer),
            alignment: None,
            lane: None,
            seed: seed(),
            trusted_proxies: Arc::default(),
        });
        let chain: Vec<Arc<Step>> = front_steps.into_iter().chain([up]).collect();
        let slice = if rng.chance(50) { usize::MAX } else { 1 + rng.below(300) };
        let mut passed = pass(signal, chain, &context, &bytes, slice).unwrap();
        assert!(passed.bytes == before.bytes, "an observer changes nothing");
        if front.is_empty() {
            assert_eq!(passed.bytes.as_ptr(), bytes.as_ptr());
        }
        assert_eq!(passed.dropped, before.dropped);

        assert!(observer.waiting().is_empty(), "nobody is heard of before the request is accepted");
        passed.apply_effects();
        let heard = observer.waiting().into_iter().map(|(identity, arrival)| Contact {
            attributes: KEYS.iter().map(|(_, attribute)| identity.get(*attribute).map(str::to_owned)).collect(),
            tenant: identity.tenant().map(str::to_owned),
            peer: identity.peer(),
            items: arrival.items,
            requests: arrival.requests,
            bytes: arrival.bytes,
            newest: arrival.newest_data,
            all_gone: arrival.all_no_recorded_value,
        });
        let peer = context.peer.map(|peer| peer.ip());
        let mut expected = model(signal, &passed.bytes);
        let tenant = Some(context.tenant.name()).filter(|name| !name.is_empty()).map(str::to_owned);
        for contact in &mut expected {
            (contact.peer, contact.tenant) = (peer, tenant.clone());
        }
        assert_eq!(sorted(heard.collect()), sorted(expected));
    });
}
