//! `collector.instance.id`: which collector wrote a series, so that two never write the same one.
//!
//! The same after a restart, so that restarts begin no new series: made of the component's id and what names the machine or
//! container. Two collectors with the same component id on one machine share it; they need different names.

use std::path::Path;

use aws_lc_rs::digest;
use sluice_pipeline::ComponentId;

/// Files that name the machine or container: they differ between replicas, and outlive the process.
const FILES: [&str; 3] = ["/proc/sys/kernel/hostname", "/etc/hostname", "/etc/machine-id"];

/// The id of this machine's instance of a component, in the form of a UUID.
pub fn instance_id(component: &ComponentId) -> String {
    let facts = FILES.iter().map(|path| std::fs::read_to_string(Path::new(path)).unwrap_or_default());
    of_facts(component, facts)
}

fn of_facts(component: &ComponentId, facts: impl Iterator<Item = String>) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(component.as_str().as_bytes());
    for fact in facts {
        hash.update(&[0]);
        hash.update(fact.trim().as_bytes());
    }
    let digest = hash.finish();
    let mut id = [0; 16];
    id.iter_mut().zip(digest.as_ref()).for_each(|(byte, hashed)| *byte = *hashed);
    // Version 8, made by a rule of one's own (RFC 9562 §5.8).
    id[6] = id[6] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in id.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_id_depends_on_component_and_machine_and_nothing_else() {
        let id = |component: &str, host: &str| {
            of_facts(&ComponentId::from(component), ["a", host].into_iter().map(str::to_owned))
        };
        assert_eq!(id("span_metrics", "gw-0"), id("span_metrics", "gw-0\n"));
        assert_ne!(id("span_metrics", "gw-0"), id("span_metrics", "gw-1"));
        assert_ne!(id("span_metrics", "gw-0"), id("span_metrics/b", "gw-0"));
        assert_eq!(id("x", "y").len(), 36);
        assert_eq!(instance_id(&ComponentId::from("x")), instance_id(&ComponentId::from("x")));
    }
}
