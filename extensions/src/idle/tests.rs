use sluice_pipeline::factory::Registry;

use super::*;

#[test]
fn upstreams_fields_are_accepted_and_the_user_is_told_that_they_do_nothing() {
    let mut registry = Registry::<Extensions>::new();
    registry.register(ZpagesFactory).register(PprofFactory).register(CgroupRuntimeFactory);
    for (name, config, accepted) in [
        ("zpages", "{}", true),
        ("zpages", "endpoint: localhost:55679\nexpvar: {enabled: true}", true),
        ("zpages", "endpoint: localhost:x", false),
        (
            "pprof",
            "{endpoint: 'localhost:1777', block_profile_fraction: 3, mutex_profile_fraction: 5, save_to_file: x}",
            true,
        ),
        ("pprof", "{port: 1}", false),
        ("cgroupruntime", "{gomaxprocs: {enabled: true}, gomemlimit: {enabled: true, ratio: 0.8}}", true),
    ] {
        let node = sluice_config::parse(config.as_bytes()).unwrap();
        match registry.decode(name, &node).unwrap() {
            Ok(configured) => {
                assert!(accepted, "{name}: {config}");
                let told =
                    configured.warnings.iter().any(|it| it.message.contains("has no effect and listens nowhere"));
                assert!(told, "{name}: {:?}", configured.warnings);
            }
            Err(found) => assert!(!accepted, "{name}: {config}: {found:?}"),
        }
    }
}
