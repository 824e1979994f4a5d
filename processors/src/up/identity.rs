//! Identities: who a pushed resource says it is.

use std::hash::BuildHasher;
use std::net::IpAddr;

/// A longer attribute value identifies nobody; it is taken as absent, so that memory stays bounded.
const MAX_VALUE_BYTES: usize = 1024;

/// The resource attributes that can identify a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// `service.name`
    ServiceName,
    /// `service.namespace`
    ServiceNamespace,
    /// `service.instance.id`
    ServiceInstanceId,
    /// `k8s.pod.uid`
    PodUid,
    /// `k8s.pod.name`
    PodName,
    /// `k8s.namespace.name`
    Namespace,
    /// `k8s.container.name`
    ContainerName,
    /// `k8s.pod.ip`
    PodIp,
    /// `k8s.cluster.name`
    Cluster,
    /// `container.id`
    ContainerId,
    /// `host.id`
    HostId,
    /// `host.name`
    HostName,
}

impl Attribute {
    const COUNT: usize = 12;

    /// The attribute with this key, if it can identify a sender.
    pub fn from_key(key: &[u8]) -> Option<Attribute> {
        Some(match key {
            b"service.name" => Attribute::ServiceName,
            b"service.namespace" => Attribute::ServiceNamespace,
            b"service.instance.id" => Attribute::ServiceInstanceId,
            b"k8s.pod.uid" => Attribute::PodUid,
            b"k8s.pod.name" => Attribute::PodName,
            b"k8s.namespace.name" => Attribute::Namespace,
            b"k8s.container.name" => Attribute::ContainerName,
            b"k8s.pod.ip" => Attribute::PodIp,
            b"k8s.cluster.name" => Attribute::Cluster,
            b"container.id" => Attribute::ContainerId,
            b"host.id" => Attribute::HostId,
            b"host.name" => Attribute::HostName,
            _ => return None,
        })
    }
}

/// Who sent: identifying attributes of the resource, and where it came from.
///
/// Two resources that differ in other attributes, or in the peer's port, are one identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    key: u64,
    label_key: u64,
    attributes: [Option<Box<str>>; Attribute::COUNT],
    tenant: Option<Box<str>>,
    peer: Option<IpAddr>,
}

impl Identity {
    /// An identity from resource attributes (keys and text values, in order: the first of a key counts), the tenant
    /// and the address of the transport peer.
    ///
    /// The key of the identity is a hash with the caller's seed: peers choose the attributes.
    pub fn new<'a>(
        attributes: impl IntoIterator<Item = (&'a [u8], &'a str)>,
        tenant: Option<&str>,
        peer: Option<IpAddr>,
        seed: &impl BuildHasher,
    ) -> Self {
        let mut known: [Option<Box<str>>; Attribute::COUNT] = Default::default();
        for (key, value) in attributes {
            if let Some(attribute) = Attribute::from_key(key)
                && known[attribute as usize].is_none()
                && !value.is_empty()
                && value.len() <= MAX_VALUE_BYTES
            {
                known[attribute as usize] = Some(value.into());
            }
        }
        let tenant = tenant.filter(|t| !t.is_empty() && t.len() <= MAX_VALUE_BYTES).map(Box::from);
        let peer = peer.map(|peer| peer.to_canonical());
        let key = seed.hash_one((&known, &tenant, &peer));
        let naming = [Attribute::ServiceNamespace, Attribute::ServiceName, Attribute::ServiceInstanceId];
        let label_key = seed.hash_one(naming.map(|attribute| &known[attribute as usize]));
        Identity { key, label_key, attributes: known, tenant, peer }
    }

    /// A seeded hash of everything that makes this identity.
    pub fn key(&self) -> u64 {
        self.key
    }

    /// A seeded hash of what makes the labels `job` and `instance`.
    pub fn label_key(&self) -> u64 {
        self.label_key
    }

    /// An attribute, if the resource has it.
    pub fn get(&self, attribute: Attribute) -> Option<&str> {
        self.attributes[attribute as usize].as_deref()
    }

    /// The tenant whose data it is.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The address of the transport peer.
    pub fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// The label `job` that the translation to Prometheus gives: `[service.namespace/]service.name`.
    pub fn job(&self) -> Option<String> {
        let name = self.get(Attribute::ServiceName)?;
        Some(match self.get(Attribute::ServiceNamespace) {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        })
    }

    /// The label `instance` that the translation to Prometheus gives.
    pub fn instance(&self) -> Option<&str> {
        self.get(Attribute::ServiceInstanceId)
    }
}
