//! Component types of the OpenTelemetry Collector and its contrib distribution (v0.159), so that what Sluice does not
//! have is told from what nobody has (collector-compat, rule 2). Spelled without `_`, as [`crate::alias`] compares.

use crate::alias::Kind;

const RECEIVERS: &str = "activedirectoryds aerospike apache apachespark awscloudwatch awscontainerinsight awsecscontainermetrics \
    awsfirehose awss3 awsxray azureblob azureeventhub azuremonitor bigip carbon chrony cloudflare cloudfoundry collectd couchdb \
    datadog dockerstats elasticsearch envoyals expvar faro filelog filestats flinkmetrics fluentforward github gitlab \
    googlecloudmonitoring googlecloudpubsub googlecloudspanner haproxy hostmetrics httpcheck huaweicloudces iis influxdb \
    jaeger jmx journald k8scluster k8sevents k8sobjects kafka kafkametrics kubeletstats libhoney loki memcached mongodb \
    mongodbatlas mysql namedpipe netflow nginx nop nsxt ntp opencensus oracledb osquery otelarrow otlpjsonfile podman postgresql \
    prometheus prometheusremotewrite pulsar purefa purefb rabbitmq receivercreator redis riak saphana sapm signalfx \
    simpleprometheus skywalking snmp snowflake solace splunkenterprise splunkhec sqlquery sqlserver sshcheck statsd stef \
    syslog systemd tcplog tlscheck udplog vcenter wavefront webhookevent windowseventlog windowsperfcounters \
    windowsservice yanggrpc zipkin zookeeper";
const PROCESSORS: &str = "coralogix cumulativetodelta datadogsemantics deltatocumulative deltatorate dnslookup geoip groupbyattrs \
    groupbytrace interval isolationforest k8sattributes logdedup logstransform lookup metricsgeneration metricstarttime \
    metricstransform probabilisticsampler queuebatch remotetap resourcedetection routing schema span sumologic \
    tailsampling transform unroll";
const EXPORTERS: &str = "alertmanager alibabacloudlogservice awscloudwatchlogs awsemf awskinesis awss3 awsxray azureblob \
    azuredataexplorer azuremonitor bmchelix carbon cassandra clickhouse coralogix datadog dataset doris elasticsearch faro file \
    googlecloud googlecloudpubsub googlecloudstorage googlemanagedprometheus honeycombmarker influxdb kafka kinetica \
    loadbalancing logicmonitor logzio loki mezmo opencensus opensearch otelarrow otlphttp prometheus pulsar rabbitmq sapm \
    sematext sentry signalfx splunkhec stef sumologic syslog tencentcloudlogservice tinybird topic zipkin";
const CONNECTORS: &str = "count countconnector datadog exceptions failover forward grafanacloud metricsaslogs otlpjson roundrobin \
    routing servicegraph signaltometrics slowsql spanmetrics sum";
const EXTENSIONS: &str = "ack asapauth avrologencoding awsproxy azureauth azureencoding basicauth bearertokenauth cfgardenobserver \
    cgroupruntime datadog dbstorage dockerobserver ecsobserver ecstaskobserver googleclientauth headerssetter healthcheck \
    healthcheckv2 hostobserver httpforwarder jaegerencoding jaegerremotesampling jsonlogencoding k8sleaderelector \
    k8sobserver kafkatopicsobserver memorylimiter oauth2client oidc opamp opampcustommessages otlpencoding pprof \
    redisstorage remotetap sigv4auth skywalkingencoding solarwindsapmsettings sumologic textencoding zipkinencoding zpages";

/// Whether upstream has a component of this type, under any placing of underscores.
pub(crate) fn knows(kind: Kind, written: &str) -> bool {
    let wanted = written.replace('_', "");
    let names = match kind {
        Kind::Receiver => RECEIVERS,
        Kind::Processor => PROCESSORS,
        Kind::Exporter => EXPORTERS,
        Kind::Connector => CONNECTORS,
        Kind::Extension => EXTENSIONS,
    };
    names.split_whitespace().any(|name| name == wanted)
}
