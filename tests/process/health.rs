//! Health, asked from start to stop: the extension `health_check`, and grpc.health.v1 on the port of OTLP.

use crate::auth::TOKEN;
use crate::durable::Folder;
use crate::sluice::{Sluice, free_port};
use crate::wire::{frame, grpc, http};

#[test]
fn health_is_told_from_start_to_stop() {
    let port = free_port();
    let health = |extra: &str| {
        format!(
            "receivers: {{otlp: {{protocols: {{grpc: , http: }}}}}}\nexporters: {{nop: }}\n\
             extensions: {{health_check: {{endpoint: '127.0.0.1:{port}'{extra}}}}}\n\
             service: {{extensions: [health_check], pipelines: {{traces: {{receivers: [otlp], exporters: [nop]}}}}}}\n"
        )
    };
    let folder = Folder::new("health");
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, health("")).unwrap();
    let mut sluice = Sluice::start(&["-c", path.to_str().unwrap()]);
    let answer = http(port, "GET", "/", &[], b"");
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains(r#""status":"Server available""#), "{}", answer.body);
    assert_eq!(http(port, "GET", "/other", &[], b"").status, 404);
    assert_eq!(http(port, "POST", "/", &[], b"").status, 405);
    // Another path and another body on the same address.
    std::fs::write(&path, health(", path: /health, response_body: {healthy: fine, unhealthy: ill}")).unwrap();
    sluice.signal("HUP");
    sluice.wait_for("Configuration reloaded");
    let answer = http(port, "GET", "/health", &[], b"");
    assert_eq!((answer.status, answer.body.as_str()), (200, "fine"));
    assert_eq!(http(port, "GET", "/", &[], b"").status, 404);
}

const CHECK: &str = "/grpc.health.v1.Health/Check";
const SERVING: u8 = 1;
const NOT_SERVING: u8 = 2;
const SERVICE_UNKNOWN: u8 = 3;

/// A `HealthCheckRequest`.
fn about(service: &str) -> Vec<u8> {
    let mut request = vec![0x0a, service.len() as u8];
    request.extend(service.as_bytes());
    frame(&request)
}

/// A `HealthCheckResponse`, in its frame.
fn says(status: u8) -> Vec<u8> {
    frame(&[0x08, status])
}

/// A collector for traces only, whose senders need a token.
fn guarded() -> Sluice {
    let config = format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{auth: {{authenticator: bearertokenauth}}}}, http: }}}}}}\n\
         exporters: {{nop: }}\nextensions: {{bearertokenauth: {{token: {TOKEN}}}}}\n\
         service: {{extensions: [bearertokenauth], pipelines: {{traces: {{receivers: [otlp], exporters: [nop]}}}}}}\n"
    );
    Sluice::start(&["-c", &format!("yaml:{config}")])
}

const TRACES: &str = "opentelemetry.proto.collector.trace.v1.TraceService";
const LOGS: &str = "opentelemetry.proto.collector.logs.v1.LogsService";

#[test]
fn grpc_probes_need_no_credentials_and_are_told_of_each_service() {
    let sluice = guarded();
    for service in ["", TRACES] {
        let status = grpc(sluice.grpc, CHECK, &[], &about(service));
        assert_eq!((status.code, &status.body), (0, &says(SERVING)), "{service:?}");
    }
    assert_eq!(grpc(sluice.grpc, CHECK, &[], &frame(b"")).body, says(SERVING), "all of it");
    for service in [LOGS, "nothing", "opentelemetry.proto.collector.trace.v1.TraceService/Export"] {
        assert_eq!(grpc(sluice.grpc, CHECK, &[], &about(service)).code, 5, "{service:?}");
    }
    assert_eq!(grpc(sluice.grpc, CHECK, &[], &frame(b"\x0a\xff")).code, 3, "malformed");
    assert_eq!(grpc(sluice.grpc, CHECK, &[], &about(&"x".repeat(100)).repeat(2)).code, 3, "two messages");
    assert_eq!(grpc(sluice.grpc, CHECK, &[], &frame(&[0; 5000])).code, 8, "too large");
    assert_eq!(grpc(sluice.grpc, "/grpc.health.v1.Health/List", &[], &frame(b"")).code, 12);
}

/// What `Watch` of a service says, message by message, and its status at the end.
async fn watched(sluice: &Sluice, service: &str, mut each: impl FnMut(&Sluice, Vec<u8>)) -> String {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", sluice.grpc)).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post("http://sluice/grpc.health.v1.Health/Watch");
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    let mut client = client.ready().await.unwrap();
    let (response, mut body) = client.send_request(request.body(()).unwrap(), false).unwrap();
    body.send_data(about(service).into(), true).unwrap();
    let mut incoming = response.await.unwrap().into_body();
    while let Some(data) = incoming.data().await {
        let data = data.unwrap();
        let _ = incoming.flow_control().release_capacity(data.len());
        each(sluice, data.to_vec());
    }
    let trailers = incoming.trailers().await.unwrap().unwrap();
    trailers["grpc-status"].to_str().unwrap().to_owned()
}

#[test]
fn who_watches_is_told_of_the_end_and_does_not_delay_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (service, first, last) in
        [("", SERVING, NOT_SERVING), (TRACES, SERVING, NOT_SERVING), (LOGS, SERVICE_UNKNOWN, SERVICE_UNKNOWN)]
    {
        let sluice = guarded();
        let mut said = Vec::new();
        let status = runtime.block_on(watched(&sluice, service, |sluice, message| {
            if said.is_empty() {
                sluice.signal("TERM");
            }
            said.push(message);
        }));
        assert_eq!((said, status.as_str()), (vec![says(first), says(last)], "0"), "{service:?}");
        let (status, log, _) = sluice.end();
        assert!(status.success(), "{log}");
    }
}
