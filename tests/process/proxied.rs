//! Exporters behind a proxy that the environment names.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::sink::Sink;
use crate::sluice::{NO_STATE, READY, Sluice};
use crate::wire::{frame, grpc, trace};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A proxy that opens tunnels to a port of this machine, whatever it is asked for. Returns its own port and the heads it reads.
fn proxy(target: u16) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let noted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let (mut near, noted) = (near.unwrap(), Arc::clone(&noted));
            std::thread::spawn(move || {
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && near.read_exact(&mut byte).is_ok() {
                    head.push(byte[0]);
                }
                noted.lock().unwrap().push(String::from_utf8(head).unwrap());
                let far = TcpStream::connect(("127.0.0.1", target)).unwrap();
                near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                let (mut from, mut to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                let mut far = far;
                let _ = std::io::copy(&mut near, &mut far);
            });
        }
    });
    (port, asked)
}

#[test]
fn spans_reach_a_backend_that_only_the_proxy_knows() {
    let sink = Sink::start();
    let (port, asked) = proxy(sink.port);
    let url = format!("http://agent:canary@127.0.0.1:{port}");
    let config = format!(
        "receivers: {{otlp: {{protocols: {{grpc: , http: }}}}}}\n\
         exporters:\n  otlp_grpc: {{endpoint: 'backend.invalid:4317', compression: none, tls: {{insecure: true}}}}\n  \
         otlp_grpc/near: {{endpoint: '127.0.0.1:{}', compression: none, tls: {{insecure: true}}}}\n\
         service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_grpc, otlp_grpc/near]}}}}}}\n",
        sink.port
    );
    let variables = [("HTTPS_PROXY", url.as_str()), ("NO_PROXY", "example.com")];
    let mut sluice = Sluice::spawn_with(&["-c", &format!("yaml:{config}")], NO_STATE, &variables);
    sluice.wait_for(READY);
    assert_eq!(grpc(sluice.grpc, EXPORT, &[], &frame(&trace("far away"))).code, 0);
    sluice.signal("TERM");
    let (status, log, _) = sluice.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(sink.arrived().get("far away"), Some(&2), "by the proxy, and directly: {log}");
    let asked = asked.lock().unwrap();
    assert!(
        !asked.is_empty() && asked.iter().all(|head| head.starts_with("CONNECT backend.invalid:4317 HTTP/1.1\r\n"))
    );
    assert!(asked[0].contains("Proxy-Authorization: Basic YWdlbnQ6Y2FuYXJ5\r\n"), "{asked:?}");
    assert!(!log.contains("canary"), "{log}");
}
