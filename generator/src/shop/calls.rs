//! What an operation does on its way: work, queries, calls, messages.

use super::topology::{Entry, Operation, Step};
use super::walk::{Ending, Running, Walk, ms};
use crate::encode::{Attributes, Exception, Kind, Scope, Severity};
use crate::metrics::Instrument;
use crate::settings::Nanos;

impl Walk<'_> {
    pub fn step(&mut self, step: &'static Step, caller: Running, now: Nanos) -> (Nanos, Option<Exception>) {
        match step {
            Step::Work(median) => {
                let end = now + ms(self.world.random.log_normal(*median, 0.6));
                if self.world.random.chance(0.25) {
                    let body = format!("step took {} µs", (end - now) / 1_000);
                    self.log(caller, end, Severity::Debug, body, None, false);
                }
                (end, None)
            }
            Step::Query { system, operation, collection, ms: median } => {
                self.query(system, operation, collection, *median, caller, now)
            }
            Step::External { host, method, ms: median } => self.external(host, method, *median, caller, now),
            Step::Call(operation) => self.call(operation, caller, now),
            Step::Together(operations) => {
                let mut end = now;
                let mut failure = None;
                for operation in *operations {
                    let (ended, failed) = self.call(operation, caller, now);
                    end = end.max(ended);
                    failure = failure.or(failed);
                }
                (end, failure)
            }
            Step::Publish(operation) => (self.publish(operation, caller, now), None),
        }
    }

    fn query(
        &mut self,
        system: &'static str,
        operation: &'static str,
        collection: &'static str,
        median: f64,
        caller: Running,
        now: Nanos,
    ) -> (Nanos, Option<Exception>) {
        let running = self.open(caller.instance, Some(caller.id), now);
        let end = now + ms(self.world.random.log_normal(median, 0.7));
        let error_rate = self.world.error_rate(0.001, false);
        let failure = self.world.random.chance(error_rate).then(|| Exception {
            kind: "DatabaseException".to_owned(),
            message: format!("{operation} {collection}: deadlock detected"),
            at: end,
        });
        let measured: Attributes = vec![
            ("db.system.name", system.into()),
            ("db.operation.name", operation.into()),
            ("db.collection.name", collection.into()),
        ];
        self.observe(running, Instrument::DbClient, measured.clone(), (end - now) as f64 / 1e9, end);
        let mut attributes = measured;
        attributes.push(("db.query.text", format!("{operation} {collection} WHERE id = ?").into()));
        attributes.push(("server.address", format!("{system}.shop.svc").into()));
        let name = format!("{operation} {collection}");
        let ending =
            Ending { scope: Scope::Database, kind: Kind::Client, name, attributes, failure: failure.clone(), end };
        self.close(running, ending);
        (end, failure)
    }

    fn external(
        &mut self,
        host: &'static str,
        method: &'static str,
        median: f64,
        caller: Running,
        now: Nanos,
    ) -> (Nanos, Option<Exception>) {
        let running = self.open(caller.instance, Some(caller.id), now);
        let end = now + ms(self.world.random.log_normal(median, 0.7));
        let error_rate = self.world.error_rate(0.01, false);
        let failure = self.world.random.chance(error_rate).then(|| Exception {
            kind: "HttpError".to_owned(),
            message: format!("{method} https://{host}: 503"),
            at: end,
        });
        let attributes = self.http_client(running, host, method, if failure.is_some() { 503 } else { 200 }, end);
        let name = method.to_owned();
        let ending =
            Ending { scope: Scope::Client, kind: Kind::Client, name, attributes, failure: failure.clone(), end };
        self.close(running, ending);
        (end, failure)
    }

    fn http_client(
        &mut self,
        running: Running,
        host: &str,
        method: &'static str,
        status: i64,
        end: Nanos,
    ) -> Attributes {
        let measured: Attributes = vec![
            ("http.request.method", method.into()),
            ("server.address", host.into()),
            ("http.response.status_code", status.into()),
        ];
        self.observe(running, Instrument::HttpClient, measured.clone(), (end - running.start) as f64 / 1e9, end);
        measured
    }

    fn call(&mut self, operation: &'static Operation, caller: Running, now: Nanos) -> (Nanos, Option<Exception>) {
        let running = self.open(caller.instance, Some(caller.id), now);
        let callee = self.world.any(operation.service);
        let there = now + ms(self.world.random.log_normal(0.4, 0.4));
        let (ended, failed) = self.serve(operation, callee, Some(running.id), there);
        let end = ended + ms(self.world.random.log_normal(0.4, 0.4));
        let (name, attributes) = match operation.entry {
            Entry::Http { method, .. } => {
                let host = format!("{}.shop.svc", self.world.instances[callee].service.name);
                (
                    method.to_owned(),
                    self.http_client(running, &host, method, if failed.is_some() { 500 } else { 200 }, end),
                )
            }
            Entry::Rpc { service, method } => {
                let status = if failed.is_some() { 13 } else { 0 };
                let attributes: Attributes = vec![
                    ("rpc.system", "grpc".into()),
                    ("rpc.service", service.into()),
                    ("rpc.method", method.into()),
                    ("rpc.grpc.status_code", status.into()),
                ];
                let millis = (end - now) as f64 / 1e6;
                self.observe(running, Instrument::RpcClient, attributes.clone(), millis, end);
                (format!("{service}/{method}"), attributes)
            }
            Entry::Consume { destination } => (format!("send {destination}"), Vec::new()),
        };
        let failure = failed.map(|failed| Exception { at: end, ..failed });
        let ending =
            Ending { scope: Scope::Client, kind: Kind::Client, name, attributes, failure: failure.clone(), end };
        self.close(running, ending);
        (end, failure)
    }

    fn publish(&mut self, operation: &'static Operation, caller: Running, now: Nanos) -> Nanos {
        let running = self.open(caller.instance, Some(caller.id), now);
        let end = now + ms(self.world.random.log_normal(1.5, 0.5));
        let destination = if let Entry::Consume { destination } = operation.entry { destination } else { "orders" };
        let attributes = messaging(destination, "send", self.world.random.bits());
        let name = format!("send {destination}");
        let ending = Ending { scope: Scope::Messaging, kind: Kind::Producer, name, attributes, failure: None, end };
        self.close(running, ending);
        let consumer = self.world.any(operation.service);
        let taken = end + ms(self.world.random.log_normal(30.0, 1.0));
        // Its failures are nobody's who has published.
        let _ = self.serve(operation, consumer, Some(running.id), taken);
        end
    }
}

/// Attributes of a message's span.
pub(super) fn messaging(destination: &'static str, kind: &'static str, message: u64) -> Attributes {
    vec![
        ("messaging.system", "kafka".into()),
        ("messaging.destination.name", destination.into()),
        ("messaging.operation.name", kind.into()),
        ("messaging.operation.type", kind.into()),
        ("messaging.message.id", format!("{message:016x}").into()),
    ]
}
