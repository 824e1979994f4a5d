//! Resources: metrics are grouped by them, and series of different ones never meet.

use std::sync::Arc;

use ahash::HashMap;
use sluice_pdata::view::{KeyValueView, ResourceView};
use sluice_pdata::wire::put_len;
use sluice_pdata::{Error, tags};
use sluice_pipeline::context::Tenant;

use super::dimension::{put_part, put_value};
use super::slab::Slab;

/// Resources as they were written that are remembered until the next flush.
const REMEMBERED: usize = 4096;
/// Rough size of a resource beside its bytes.
const OVERHEAD: usize = 256;

/// A resource that has series.
#[derive(Debug)]
pub struct Resource {
    pub tenant: Tenant,
    key: Arc<[u8]>,
    /// The attributes, as a `Resource` message.
    pub message: Box<[u8]>,
    /// When it last had a span.
    pub last_seen: u64,
    /// Series, by family.
    pub series: [usize; 3],
}

impl Resource {
    fn bytes(&self) -> usize {
        2 * self.key.len() + self.message.len() + OVERHEAD
    }
}

/// All resources.
#[derive(Debug, Default)]
pub struct Resources {
    slab: Slab<Resource>,
    by_key: HashMap<Arc<[u8]>, u32>,
    /// By tenant and the bytes of the message: most batches repeat them.
    by_bytes: HashMap<Box<[u8]>, u32>,
    scratch: Vec<u8>,
    bytes: usize,
}

impl Resources {
    /// The number of a resource. `None` if it is new and there is no `room`.
    ///
    /// # Errors
    /// Malformed bytes.
    pub fn find(
        &mut self,
        tenant: &Tenant,
        resource: ResourceView<'_>,
        key_attributes: &[Box<[u8]>],
        room: bool,
    ) -> Result<Option<u32>, Error> {
        self.scratch.clear();
        put_part(tenant.name().as_bytes(), &mut self.scratch);
        self.scratch.extend_from_slice(resource.0);
        if let Some(&number) = self.by_bytes.get(&self.scratch[..]) {
            return Ok(Some(number));
        }
        let written: Box<[u8]> = self.scratch[..].into();
        let number = self.find_by_key(tenant, resource, key_attributes, room)?;
        if let Some(number) = number {
            if self.by_bytes.len() >= REMEMBERED {
                self.forget_written();
            }
            self.bytes += written.len();
            self.by_bytes.insert(written, number);
        }
        Ok(number)
    }

    fn find_by_key(
        &mut self,
        tenant: &Tenant,
        resource: ResourceView<'_>,
        key_attributes: &[Box<[u8]>],
        room: bool,
    ) -> Result<Option<u32>, Error> {
        let written: Vec<KeyValueView<'_>> = resource.attributes().iter().collect::<Result<_, _>>()?;
        let mut pairs = written.clone();
        // Stable: of a name that is given twice, the first counts.
        pairs.sort_by(|a, b| a.key().cmp(b.key()));
        pairs.dedup_by(|later, first| later.key() == first.key());
        self.scratch.clear();
        put_part(tenant.name().as_bytes(), &mut self.scratch);
        let is_key = |pair: &&KeyValueView<'_>| {
            key_attributes.is_empty() || key_attributes.iter().any(|name| **name == *pair.key())
        };
        for pair in pairs.iter().filter(is_key) {
            put_part(pair.key(), &mut self.scratch);
            put_value(*pair, &mut self.scratch)?;
        }
        if let Some(&number) = self.by_key.get(&self.scratch[..]) {
            return Ok(Some(number));
        }
        if !room {
            return Ok(None);
        }
        let mut message = Vec::new();
        written.iter().for_each(|pair| put_len(&mut message, tags::resource::ATTRIBUTES, pair.bytes()));
        Ok(Some(self.insert(tenant, message)))
    }

    /// The resource without attributes that takes what has no room; `None` if there is no `room` for that either.
    pub fn overflow(&mut self, tenant: &Tenant, room: bool) -> Option<u32> {
        self.scratch.clear();
        self.scratch.push(0);
        self.scratch.extend_from_slice(tenant.name().as_bytes());
        match self.by_key.get(&self.scratch[..]) {
            Some(&number) => Some(number),
            None => room.then(|| self.insert(tenant, Vec::new())),
        }
    }

    /// Adds one under the key in `scratch`.
    fn insert(&mut self, tenant: &Tenant, message: Vec<u8>) -> u32 {
        let key: Arc<[u8]> = self.scratch[..].into();
        let resource = Resource {
            tenant: tenant.clone(),
            key: Arc::clone(&key),
            message: message.into(),
            last_seen: 0,
            series: [0; 3],
        };
        self.bytes += resource.bytes();
        let number = self.slab.insert(resource);
        self.by_key.insert(key, number);
        number
    }

    pub fn get(&self, number: u32) -> Option<&Resource> {
        self.slab.get(number)
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut Resource> {
        self.slab.get_mut(number)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &Resource)> {
        self.slab.iter()
    }

    pub fn count(&self) -> usize {
        self.slab.count()
    }

    /// What they take, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets the resources that have no series (any more), and how resources were written.
    pub fn sweep(&mut self) {
        self.forget_written();
        let empty: Vec<u32> =
            self.slab.iter().filter(|(_, resource)| resource.series == [0; 3]).map(|(number, _)| number).collect();
        for number in empty {
            if let Some(resource) = self.slab.remove(number) {
                self.bytes -= resource.bytes();
                self.by_key.remove(&resource.key);
            }
        }
    }

    fn forget_written(&mut self) {
        self.bytes -= self.by_bytes.keys().map(|written| written.len()).sum::<usize>();
        self.by_bytes.clear();
    }
}
