//! Renamed component types (collector-compat §1.6). A pure function of the names a build knows.

/// What a type name belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Brings telemetry in.
    Receiver,
    /// Changes or drops it.
    Processor,
    /// Sends it on.
    Exporter,
    /// Ends one pipeline and starts another.
    Connector,
    /// Serves the collector itself.
    Extension,
}

impl Kind {
    /// All kinds in the order of a configuration.
    pub const ALL: [Self; 5] = [Self::Receiver, Self::Processor, Self::Exporter, Self::Connector, Self::Extension];

    /// The word for one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Receiver => "receiver",
            Self::Processor => "processor",
            Self::Exporter => "exporter",
            Self::Connector => "connector",
            Self::Extension => "extension",
        }
    }

    /// The section of the configuration.
    pub fn section(self) -> &'static str {
        match self {
            Self::Receiver => "receivers",
            Self::Processor => "processors",
            Self::Exporter => "exporters",
            Self::Connector => "connectors",
            Self::Extension => "extensions",
        }
    }
}

/// Old name, new name: the pairs that are warned of.
const RENAMED: &[(Kind, &str, &str)] = &[
    (Kind::Exporter, "otlp", "otlp_grpc"),
    (Kind::Exporter, "otlphttp", "otlp_http"),
    (Kind::Exporter, "prometheusremotewrite", "prometheus_remote_write"),
    (Kind::Receiver, "prometheusremotewrite", "prometheus_remote_write"),
    (Kind::Exporter, "loadbalancing", "load_balancing"),
    (Kind::Receiver, "filelog", "file_log"),
    (Kind::Receiver, "hostmetrics", "host_metrics"),
    (Kind::Receiver, "kubeletstats", "kubelet_stats"),
    (Kind::Receiver, "fluentforward", "fluent_forward"),
    (Kind::Receiver, "httpcheck", "http_check"),
    (Kind::Processor, "k8sattributes", "k8s_attributes"),
    (Kind::Processor, "resourcedetection", "resource_detection"),
    (Kind::Processor, "cumulativetodelta", "cumulative_to_delta"),
    (Kind::Processor, "deltatocumulative", "delta_to_cumulative"),
    (Kind::Connector, "spanmetrics", "span_metrics"),
    (Kind::Connector, "servicegraph", "service_graph"),
    (Kind::Connector, "metricsaslogs", "metrics_as_logs"),
];

/// A type found among the known ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canonical<'k> {
    /// The known name.
    pub name: &'k str,
    /// The name as written is an old one that upstream warns of.
    pub deprecated: bool,
}

/// Looks a type up by its name with all `_` removed; the exporter `otlp` means `otlp_grpc`.
pub fn canonical<'k>(kind: Kind, written: &str, known: &[&'k str]) -> Option<Canonical<'k>> {
    let fold = |name: &str| name.replace('_', "");
    let wanted = match (kind, written) {
        (Kind::Exporter, "otlp") => "otlpgrpc".to_owned(),
        _ => fold(written),
    };
    let name =
        known.iter().find(|name| **name == written).or_else(|| known.iter().find(|name| fold(name) == wanted))?;
    let deprecated = RENAMED.iter().any(|(of, old, new)| *of == kind && *old == written && new == name);
    Some(Canonical { name, deprecated })
}

/// The detector names of `resource_detection`: `k8snode` is `k8s_api`, otherwise the rule of [`canonical`].
pub fn canonical_detector<'k>(written: &str, known: &[&'k str]) -> Option<Canonical<'k>> {
    let renamed = written == "k8snode";
    let wanted = if renamed { "k8sapi".to_owned() } else { written.replace('_', "") };
    let name = known.iter().find(|name| name.replace('_', "") == wanted)?;
    Some(Canonical { name, deprecated: renamed })
}

/// Upstream's warning for a deprecated name.
pub fn warning(old: &str, new: &str) -> String {
    format!("{} alias is deprecated; use {} instead", crate::quote(old), crate::quote(new))
}

/// Old names that resolve to `name` and are warned of, for listings.
pub fn old_names(kind: Kind, name: &str) -> Vec<&'static str> {
    RENAMED.iter().filter(|(of, _, new)| *of == kind && *new == name).map(|(_, old, _)| *old).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_found_under_any_placing_of_underscores() {
        let exporters = ["otlp_grpc", "otlp_http", "prometheus_remote_write", "debug"];
        let cases = [
            ("otlp", Some(("otlp_grpc", true))),
            ("otlp_grpc", Some(("otlp_grpc", false))),
            ("otlpgrpc", Some(("otlp_grpc", false))),
            ("otlphttp", Some(("otlp_http", true))),
            ("prometheusremotewrite", Some(("prometheus_remote_write", true))),
            ("debug", Some(("debug", false))),
            ("logging", None),
        ];
        for (written, expected) in cases {
            let expected = expected.map(|(name, deprecated)| Canonical { name, deprecated });
            assert_eq!(canonical(Kind::Exporter, written, &exporters), expected, "{written}");
        }
        let receiver = canonical(Kind::Receiver, "otlp", &["otlp", "otlp_grpc"]);
        assert_eq!(receiver, Some(Canonical { name: "otlp", deprecated: false }));
        assert_eq!(
            canonical_detector("k8snode", &["env", "k8s_api"]),
            Some(Canonical { name: "k8s_api", deprecated: true })
        );
        assert_eq!(warning("otlp", "otlp_grpc"), "\"otlp\" alias is deprecated; use \"otlp_grpc\" instead");
        assert_eq!(old_names(Kind::Exporter, "otlp_http"), ["otlphttp"]);
    }
}
