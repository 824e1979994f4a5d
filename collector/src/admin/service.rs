//! The API as an HTTP service.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sluice_net::compression::DecompressLimits;
use sluice_net::http::{Admission, HttpService, Method, Refusal, Request, Response, ResponseBody, StatusCode};
use sluice_net::{Encoding, RequestHead, Unlimited};
use sluice_pipeline::admission::{Class as MemoryClass, MemBudget, Reservation};
use sluice_pipeline::ledger::Ledger;
use sluice_pipeline::telemetry::{Naming, Telemetry};
use tokio::sync::{mpsc, oneshot};

use super::access::Gate;
use super::answer::{self, Trouble};
use super::health::Health;
use super::queues;
use super::routes::{Query, Route};
use crate::live::Live;
use crate::queue::report::{Queues, Which};
use crate::reload::{Ask, Reloaded};

/// Most bytes of a request's body.
const BODY: usize = 64 << 10;
/// Longest a request is worked on.
const HANDLER: Duration = Duration::from_secs(5);
const TEXT: &str = "text/plain; charset=utf-8";
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
/// A body is there as bytes, as base64 and as JSON.
const COPIES: u64 = 4;

/// What routes have in common. Shared by the listeners.
pub struct Api {
    pub gate: Gate,
    pub live: Live,
    pub health: Health,
    pub telemetry: Telemetry,
    pub ledger: Ledger,
    pub memory: MemBudget,
    pub reloads: mpsc::Sender<Ask>,
}

/// The API on one listener.
pub struct Service(pub Arc<Api>);

impl HttpService for Service {
    type Route = Route;
    type Context = Query;

    fn route(&self, path: &str) -> Option<Route> {
        Route::find(path)
    }

    fn methods(&self, route: &Route) -> &[Method] {
        route.methods()
    }

    async fn admit(&self, route: &Route, head: &RequestHead) -> Result<Admission<Query>, Response<ResponseBody>> {
        let query = Query::parse(head.uri.query());
        // Who may not ask is not told what is wrong with the question.
        let class = route.class(query.as_ref().unwrap_or(&Query::default()));
        if let Err(denied) = self.0.gate.check(class, head) {
            return Err(answer::refused(denied.status, denied.code, denied.message.to_owned(), denied.help));
        }
        let bad = |name: String| answer::trouble(&Trouble::bad(format!("query parameter {name:?}")));
        let context = query.map_err(bad)?;
        Ok(Admission {
            context,
            reserve: Arc::new(Unlimited),
            max_wire_bytes: BODY,
            decompress: DecompressLimits::default(),
        })
    }

    async fn call(&self, request: Request<Route, Query>) -> Response<ResponseBody> {
        match tokio::time::timeout(HANDLER, handle(Arc::clone(&self.0), request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(trouble)) => answer::trouble(&trouble),
            Err(_) => answer::trouble(&Trouble::unavailable("it takes longer than 5 s, and may go on")),
        }
    }

    fn refuse(&self, _head: &RequestHead, refusal: &Refusal) -> Response<ResponseBody> {
        answer::refused(refusal.status(), "refused", refusal.to_string(), "")
    }

    fn encodings(&self) -> &[Encoding] {
        &[]
    }
}

async fn handle(api: Arc<Api>, request: Request<Route, Query>) -> Result<Response<ResponseBody>, Trouble> {
    let query = request.context;
    match request.route {
        Route::Live => Ok(probe(api.health.live())),
        Route::Ready => Ok(probe(api.health.ready())),
        Route::Metrics => {
            let rendered = blocking(move || Ok(api.telemetry.render(&Naming::default()))).await?;
            Ok(answer::text(StatusCode::OK, EXPOSITION, rendered))
        }
        Route::Ledger => Ok(answer::json(StatusCode::OK, &queues::ledger(&api.ledger))),
        Route::Queues => {
            let mut found = blocking(move || queues::list(&api.live, &api.telemetry)).await?;
            found.retain(|queue| queue.id.contains(&query.filter));
            let mut listed = Queues::new(found);
            // In the order of their ids, and few: a page begins at a number.
            let from = usize::try_from(query.cursor).unwrap_or(usize::MAX);
            listed.queues = listed.queues.into_iter().skip(from).take(query.limit).collect();
            Ok(answer::json(StatusCode::OK, &listed))
        }
        Route::Dead(id) => {
            let held = Mutex::new(None);
            let answered = blocking(move || {
                let reserve = |bytes| hold(&api.memory, bytes, &held);
                let room: Option<&dyn Fn(u64) -> Result<(), Trouble>> =
                    if query.bodies { Some(&reserve) } else { None };
                let page = queues::dead(&api.live, &id, query.cursor, query.limit, room)?;
                Ok(answer::json(StatusCode::OK, &page))
            });
            answered.await
        }
        Route::Work(id, action) => {
            let which: Which = parsed(&request.body.bytes)?;
            let done = blocking(move || queues::work(&api.live, &id, action, &which)).await?;
            Ok(answer::json(StatusCode::OK, &done))
        }
        Route::Reload => reload(&api, query.dry_run).await,
    }
}

fn probe(healthy: Result<(), impl ToString>) -> Response<ResponseBody> {
    match healthy {
        Ok(()) => answer::text(StatusCode::OK, TEXT, "ok\n"),
        Err(why) => answer::text(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{}\n", why.to_string())),
    }
}

fn parsed<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Trouble> {
    serde_json::from_slice(body).map_err(|error| Trouble::bad(format!("the body: {error}")))
}

/// Takes memory for bodies.
fn hold(memory: &MemBudget, bytes: u64, held: &Mutex<Option<Reservation>>) -> Result<(), Trouble> {
    let wanted = bytes.saturating_mul(COPIES);
    let reservation = memory.try_reserve(MemoryClass::Own, wanted);
    let Some(reservation) = reservation else {
        let most = memory.class_limit(MemoryClass::Own);
        return Err(Trouble::unavailable(format!(
            "bodies take {wanted} bytes of memory, and there are {most} for that"
        )));
    };
    *held.lock().unwrap_or_else(PoisonError::into_inner) = Some(reservation);
    Ok(())
}

/// Does what may touch the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Trouble> + Send + 'static) -> Result<T, Trouble> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Trouble::unavailable("the instance is ending")))
}

async fn reload(api: &Api, dry_run: bool) -> Result<Response<ResponseBody>, Trouble> {
    let (tell, told) = oneshot::channel();
    let ending = || Trouble::unavailable("the instance is starting or ending");
    if api.live.running().is_none() {
        return Err(ending());
    }
    // Whoever is in the middle of one has room for one more in line.
    api.reloads.try_send(Ask { dry_run, tell }).map_err(|_| Trouble::conflict("a reload is under way"))?;
    match tokio::time::timeout(HANDLER - Duration::from_millis(500), told).await {
        Ok(Ok(reloaded)) => {
            let status = match reloaded {
                Reloaded::Refused { .. } => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::OK,
            };
            Ok(answer::json(status, &reloaded.shown()))
        }
        Ok(Err(_)) => Err(ending()),
        // What the configuration before has begun may take its time.
        Err(_) => Ok(answer::json(StatusCode::ACCEPTED, &serde_json::json!({"result": "pending"}))),
    }
}
