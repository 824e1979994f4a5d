//! The match ladder: by which key an identity is matched with a target (`up`, Match ladder).
//!
//! Each rung makes keys of the labels of a target and of the attributes of an identity; equal keys match. The keys of
//! all targets are in one index of hashes, seeded because senders choose the attributes.

use std::collections::HashMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::identity::{Attribute, Identity};
use super::labels::Labels;

/// A rung of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// Pod UID, with the container name if both sides have it.
    PodUid,
    /// `service.instance.id` as the Kubernetes conventions make it: `<namespace>.<pod>.<container>`.
    K8sInstance,
    /// Namespace and pod name.
    PodName,
    /// The labels `job` and `instance`.
    JobInstance,
    /// Container id.
    ContainerId,
    /// Host id.
    HostId,
    /// Host name, short and fully qualified compared.
    HostName,
    /// Pod IP as the sender states it.
    PodIp,
    /// The transport peer.
    PeerIp,
    /// The service alone: says how many instances live, not which.
    Service,
}

impl Rung {
    /// The rungs that a job uses unless it says otherwise.
    pub const DEFAULT: [Rung; 9] = [
        Rung::PodUid,
        Rung::K8sInstance,
        Rung::PodName,
        Rung::JobInstance,
        Rung::ContainerId,
        Rung::HostId,
        Rung::HostName,
        Rung::PodIp,
        Rung::PeerIp,
    ];
    /// All rungs, in the order of their indices.
    pub const ALL: [Rung; 10] = [
        Rung::PodUid,
        Rung::K8sInstance,
        Rung::PodName,
        Rung::JobInstance,
        Rung::ContainerId,
        Rung::HostId,
        Rung::HostName,
        Rung::PodIp,
        Rung::PeerIp,
        Rung::Service,
    ];

    /// The name in configuration and labels.
    pub fn name(self) -> &'static str {
        [
            "pod_uid",
            "k8s_instance",
            "pod_name",
            "job_instance",
            "container_id",
            "host_id",
            "host_name",
            "pod_ip",
            "peer_ip",
            "service",
        ][self as usize]
    }

    /// Whether a match by this rung binds the sender to the target: later data of the same instance that lacks the
    /// key is matched all the same.
    pub fn is_strong(self) -> bool {
        matches!(
            self,
            Rung::PodUid | Rung::K8sInstance | Rung::PodName | Rung::JobInstance | Rung::ContainerId | Rung::HostId
        )
    }
}

/// A position in the engine's table of targets.
pub type Slot = u32;

/// Which targets have which key.
#[derive(Debug)]
pub struct LadderIndex {
    seed: ahash::RandomState,
    by_key: HashMap<u64, SmallVec<[Slot; 1]>, ahash::RandomState>,
}

/// What a rung found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The identity has no such key, or no target has it.
    Miss,
    /// One target.
    Hit(Slot),
    /// Several targets: the rung says nothing.
    Ambiguous,
}

impl LadderIndex {
    /// An empty index.
    pub fn new(seed: ahash::RandomState) -> Self {
        LadderIndex { seed, by_key: HashMap::default() }
    }

    /// Adds the keys of a target of a job.
    pub fn insert(&mut self, job: u32, slot: Slot, rungs: &[Rung], labels: &Labels) {
        for key in self.target_keys(job, rungs, labels) {
            let slots = self.by_key.entry(key).or_default();
            if !slots.contains(&slot) {
                slots.push(slot);
            }
        }
    }

    /// Removes the keys of a target of a job.
    pub fn remove(&mut self, job: u32, slot: Slot, rungs: &[Rung], labels: &Labels) {
        for key in self.target_keys(job, rungs, labels) {
            if let Some(slots) = self.by_key.get_mut(&key) {
                slots.retain(|s| *s != slot);
                if slots.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
    }

    /// The target of a job with the same key, among those that `compatible` accepts (tenant and cluster).
    pub fn lookup(&self, job: u32, rung: Rung, identity: &Identity, compatible: impl Fn(Slot) -> bool) -> Lookup {
        for key in self.identity_keys(job, rung, identity) {
            let Some(slots) = self.by_key.get(&key) else { continue };
            let mut found = slots.iter().copied().filter(|slot| compatible(*slot));
            match (found.next(), found.next()) {
                (None, _) => {}
                (Some(slot), None) => return Lookup::Hit(slot),
                (Some(_), Some(_)) => return Lookup::Ambiguous,
            }
        }
        Lookup::Miss
    }

    fn hash(&self, job: u32, rung: Rung, part: u8, values: &[&str]) -> u64 {
        self.seed.hash_one((job, rung, part, values))
    }

    fn target_keys(&self, job: u32, rungs: &[Rung], labels: &Labels) -> Vec<u64> {
        let mut keys = Vec::new();
        for &rung in rungs {
            let mut add = |part: u8, values: &[&str]| {
                if values.iter().all(|value| !value.is_empty()) {
                    keys.push(self.hash(job, rung, part, values));
                }
            };
            let namespace = labels.get("__meta_kubernetes_namespace");
            let pod = labels.get("__meta_kubernetes_pod_name");
            let container = labels.get("__meta_kubernetes_pod_container_name");
            match rung {
                Rung::PodUid => {
                    let uid = labels.get("__meta_kubernetes_pod_uid");
                    // Part 0: for senders without a container name. Part 2: targets without one.
                    add(0, &[uid]);
                    if container.is_empty() {
                        add(2, &[uid]);
                    } else {
                        add(1, &[uid, container]);
                    }
                }
                Rung::K8sInstance => {
                    let annotated =
                        labels.get("__meta_kubernetes_pod_annotation_resource_opentelemetry_io_service_instance_id");
                    if !annotated.is_empty() {
                        add(0, &[annotated]);
                    } else if !namespace.is_empty() && !pod.is_empty() && !container.is_empty() {
                        add(0, &[&format!("{namespace}.{pod}.{container}")]);
                    }
                }
                Rung::PodName => {
                    add(0, &[namespace, pod]);
                    if container.is_empty() {
                        add(2, &[namespace, pod]);
                    } else {
                        add(1, &[namespace, pod, container]);
                    }
                }
                Rung::JobInstance => add(0, &[labels.get("job"), labels.get("instance")]),
                Rung::ContainerId => {
                    for name in ["__meta_kubernetes_pod_container_id", "__meta_docker_container_id"] {
                        let id = labels.get(name);
                        add(0, &[id.rsplit_once("://").map_or(id, |(_, id)| id)]);
                    }
                }
                Rung::HostId => {
                    for name in HOST_ID_LABELS {
                        add(0, &[labels.get(name)]);
                    }
                }
                Rung::HostName => {
                    for name in HOST_NAME_LABELS {
                        add_host(labels.get(name), &mut add);
                    }
                    let host = host_of(labels.get("__address__"));
                    if host.parse::<IpAddr>().is_err() {
                        add_host(host, &mut add);
                    }
                }
                Rung::PodIp => add(0, &[&canonical_ip(labels.get("__meta_kubernetes_pod_ip"))]),
                Rung::PeerIp => {
                    add(0, &[&canonical_ip(labels.get("__meta_kubernetes_pod_ip"))]);
                    add(0, &[&canonical_ip(host_of(labels.get("__address__")))]);
                }
                Rung::Service => add(0, &[labels.get("job")]),
            }
        }
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The keys of an identity, best first.
    fn identity_keys(&self, job: u32, rung: Rung, identity: &Identity) -> SmallVec<[u64; 2]> {
        let mut keys = SmallVec::new();
        let container = identity.get(Attribute::ContainerName);
        let mut with_container = |values: &[&str]| match container {
            Some(container) => {
                let mut with = SmallVec::<[&str; 3]>::from_slice(values);
                with.push(container);
                keys.push(self.hash(job, rung, 1, &with));
                keys.push(self.hash(job, rung, 2, values));
            }
            None => keys.push(self.hash(job, rung, 0, values)),
        };
        match rung {
            Rung::PodUid => {
                if let Some(uid) = identity.get(Attribute::PodUid) {
                    with_container(&[uid]);
                }
            }
            Rung::PodName => {
                if let (Some(namespace), Some(pod)) =
                    (identity.get(Attribute::Namespace), identity.get(Attribute::PodName))
                {
                    with_container(&[namespace, pod]);
                }
            }
            Rung::JobInstance => {
                if let (Some(pushed), Some(instance)) = (identity.job(), identity.instance()) {
                    keys.push(self.hash(job, rung, 0, &[&pushed, instance]));
                }
            }
            Rung::HostName => {
                if let Some(name) = identity.get(Attribute::HostName) {
                    let name = normal_host(name);
                    keys.push(self.hash(job, rung, 0, &[&name]));
                    match name.split_once('.') {
                        // Fully qualified here, short there.
                        Some((short, _)) => keys.push(self.hash(job, rung, 0, &[short])),
                        // Short here, fully qualified there.
                        None => keys.push(self.hash(job, rung, 1, &[&name])),
                    }
                }
            }
            Rung::PodIp => {
                if let Some(ip) = identity.get(Attribute::PodIp) {
                    keys.push(self.hash(job, rung, 0, &[&canonical_ip(ip)]));
                }
            }
            Rung::PeerIp => {
                if let Some(peer) = identity.peer() {
                    keys.push(self.hash(job, rung, 0, &[&peer.to_string()]));
                }
            }
            Rung::Service => {
                if let Some(pushed) = identity.job() {
                    keys.push(self.hash(job, rung, 0, &[&pushed]));
                }
            }
            Rung::K8sInstance | Rung::ContainerId | Rung::HostId => {
                let attribute = match rung {
                    Rung::K8sInstance => Attribute::ServiceInstanceId,
                    Rung::ContainerId => Attribute::ContainerId,
                    _ => Attribute::HostId,
                };
                if let Some(value) = identity.get(attribute) {
                    keys.push(self.hash(job, rung, 0, &[value]));
                }
            }
        }
        keys
    }
}

/// Whether tenant and cluster of both sides agree, where both have them.
pub fn same_scope(labels: &Labels, identity: &Identity) -> bool {
    let agrees = |label: &str, pushed: Option<&str>| {
        let expected = labels.get(label);
        expected.is_empty() || pushed.is_none_or(|pushed| pushed == expected)
    };
    agrees("__tenant__", identity.tenant()) && agrees("__k8s_cluster_name__", identity.get(Attribute::Cluster))
}

const HOST_ID_LABELS: [&str; 7] = [
    "__meta_ec2_instance_id",
    "__meta_gce_instance_id",
    "__meta_azure_machine_id",
    "__meta_digitalocean_droplet_id",
    "__meta_hetzner_server_id",
    "__meta_openstack_instance_id",
    "__meta_scaleway_instance_id",
];

const HOST_NAME_LABELS: [&str; 7] = [
    "__meta_kubernetes_node_name",
    "__meta_kubernetes_pod_node_name",
    "__meta_ec2_private_dns_name",
    "__meta_gce_instance_name",
    "__meta_azure_machine_computer_name",
    "__meta_consul_node",
    "__meta_dockerswarm_node_hostname",
];

fn add_host(name: &str, add: &mut impl FnMut(u8, &[&str])) {
    let name = normal_host(name);
    add(0, &[&name]);
    if let Some((short, _)) = name.split_once('.') {
        add(1, &[short]);
    }
}

fn normal_host(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// The host of `host:port`, `[v6]:port`, or a bare host.
fn host_of(address: &str) -> &str {
    if let Some(bracketed) = address.strip_prefix('[') {
        return bracketed.split_once(']').map_or("", |(host, _)| host);
    }
    match address.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        // More than one colon without brackets: a bare IPv6 address.
        _ => address,
    }
}

/// One spelling for each address; "" if it is none.
fn canonical_ip(text: &str) -> String {
    text.parse::<IpAddr>().map(|ip| ip.to_canonical().to_string()).unwrap_or_default()
}
