//! The shop: its services, what each operation does, and how customers use it.

/// A service.
#[derive(Debug)]
pub struct Service {
    pub name: &'static str,
    pub version: &'static str,
    /// Of its SDK.
    pub language: &'static str,
    /// Whether its log bridge fills the trace flags of log records. Old ones leave them zero.
    pub fills_log_flags: bool,
    pub delta: bool,
    pub exponential: bool,
}

const fn service(name: &'static str, version: &'static str, language: &'static str) -> Service {
    Service { name, version, language, fills_log_flags: true, delta: false, exponential: false }
}

/// Index into [`SERVICES`].
pub type ServiceId = usize;

const FRONTEND: ServiceId = 0;
const CART: ServiceId = 1;
const CHECKOUT: ServiceId = 2;
const PAYMENT: ServiceId = 3;
const INVENTORY: ServiceId = 4;
const SHIPPING: ServiceId = 5;
const CATALOG: ServiceId = 6;
const RECOMMENDATION: ServiceId = 7;
const EMAIL: ServiceId = 8;

/// All of them.
pub static SERVICES: [Service; 9] = [
    service("frontend", "3.1.0", "nodejs"),
    Service { exponential: true, ..service("cart", "2.4.1", "dotnet") },
    service("checkout", "5.0.2", "go"),
    Service { delta: true, ..service("payment", "1.9.7", "java") },
    service("inventory", "2.0.0", "java"),
    Service { fills_log_flags: false, ..service("shipping", "0.8.4", "php") },
    Service { delta: true, exponential: true, ..service("catalog", "4.2.0", "go") },
    service("recommendation", "1.3.3", "python"),
    service("email", "1.0.5", "ruby"),
];

/// How an operation is reached.
#[derive(Clone, Copy, Debug)]
pub enum Entry {
    Http { method: &'static str, route: &'static str },
    Rpc { service: &'static str, method: &'static str },
    Consume { destination: &'static str },
}

/// What a service does on request.
#[derive(Debug)]
pub struct Operation {
    pub service: ServiceId,
    pub entry: Entry,
    /// How often it fails of itself.
    pub error_rate: f64,
    pub exception: &'static str,
    pub steps: &'static [Step],
}

/// A part of an operation.
#[derive(Debug)]
pub enum Step {
    /// Its own work: median in ms.
    Work(f64),
    Query {
        system: &'static str,
        operation: &'static str,
        collection: &'static str,
        ms: f64,
    },
    /// A service outside of the shop.
    External {
        host: &'static str,
        method: &'static str,
        ms: f64,
    },
    Call(&'static Operation),
    /// Calls at the same time.
    Together(&'static [&'static Operation]),
    /// Someone will do this later.
    Publish(&'static Operation),
}

use Step::{Call, External, Publish, Query, Together, Work};

const fn operation(service: ServiceId, entry: Entry, error_rate: f64, steps: &'static [Step]) -> Operation {
    Operation { service, entry, error_rate, exception: "RuntimeException", steps }
}

const fn query(system: &'static str, operation: &'static str, collection: &'static str, ms: f64) -> Step {
    Query { system, operation, collection, ms }
}

static GET_PRODUCT: Operation = operation(
    CATALOG,
    Entry::Rpc { service: "shop.Catalog", method: "GetProduct" },
    0.002,
    &[Work(1.0), query("postgresql", "SELECT", "products", 3.0)],
);
static LIST_PRODUCTS: Operation = operation(
    CATALOG,
    Entry::Rpc { service: "shop.Catalog", method: "ListProducts" },
    0.003,
    &[query("postgresql", "SELECT", "products", 12.0), Work(4.0)],
);
static RECOMMEND: Operation = operation(
    RECOMMENDATION,
    Entry::Rpc { service: "shop.Recommendation", method: "List" },
    0.01,
    &[Work(15.0), query("redis", "MGET", "features", 1.0), Call(&LIST_PRODUCTS)],
);
static GET_CART: Operation = operation(
    CART,
    Entry::Rpc { service: "shop.Cart", method: "Get" },
    0.002,
    &[query("redis", "HGETALL", "cart", 0.8), Work(1.0)],
);
static ADD_TO_CART: Operation = operation(
    CART,
    Entry::Rpc { service: "shop.Cart", method: "Add" },
    0.004,
    &[query("redis", "HSET", "cart", 0.9), Work(1.0)],
);
static EMPTY_CART: Operation =
    operation(CART, Entry::Rpc { service: "shop.Cart", method: "Empty" }, 0.002, &[query("redis", "DEL", "cart", 0.7)]);
static RESERVE: Operation = Operation {
    exception: "OutOfStockException",
    ..operation(
        INVENTORY,
        Entry::Http { method: "POST", route: "/v1/reservations/{sku}" },
        0.02,
        &[Work(3.0), query("postgresql", "UPDATE", "stock", 9.0), query("postgresql", "INSERT", "reservations", 5.0)],
    )
};
static CHARGE: Operation = Operation {
    exception: "CardDeclinedException",
    ..operation(
        PAYMENT,
        Entry::Rpc { service: "shop.Payment", method: "Charge" },
        0.03,
        &[
            Work(5.0),
            External { host: "api.bank.example", method: "POST", ms: 120.0 },
            query("mysql", "INSERT", "charges", 6.0),
        ],
    )
};
static QUOTE: Operation =
    operation(SHIPPING, Entry::Http { method: "GET", route: "/v1/quotes/{country}" }, 0.005, &[Work(8.0)]);
static SHIP: Operation = operation(
    SHIPPING,
    Entry::Http { method: "POST", route: "/v1/shipments" },
    0.01,
    &[Work(10.0), External { host: "carrier.example", method: "POST", ms: 60.0 }],
);
static CONFIRM: Operation = operation(
    EMAIL,
    Entry::Consume { destination: "orders" },
    0.01,
    &[Work(12.0), External { host: "smtp.example", method: "POST", ms: 40.0 }],
);
static PLACE_ORDER: Operation = operation(
    CHECKOUT,
    Entry::Rpc { service: "shop.Checkout", method: "PlaceOrder" },
    0.01,
    &[
        Call(&GET_CART),
        Together(&[&GET_PRODUCT, &QUOTE, &RESERVE]),
        Work(4.0),
        Call(&CHARGE),
        Call(&SHIP),
        Publish(&CONFIRM),
        Call(&EMPTY_CART),
    ],
);

static HOME: Operation = operation(
    FRONTEND,
    Entry::Http { method: "GET", route: "/" },
    0.002,
    &[Work(6.0), Together(&[&LIST_PRODUCTS, &RECOMMEND]), Work(10.0)],
);
static PRODUCT: Operation = operation(
    FRONTEND,
    Entry::Http { method: "GET", route: "/products/{id}" },
    0.003,
    &[Work(4.0), Together(&[&GET_PRODUCT, &RECOMMEND]), Work(8.0)],
);
static VIEW_CART: Operation = operation(
    FRONTEND,
    Entry::Http { method: "GET", route: "/cart" },
    0.002,
    &[Call(&GET_CART), Together(&[&GET_PRODUCT, &QUOTE]), Work(6.0)],
);
static ADD: Operation = operation(
    FRONTEND,
    Entry::Http { method: "POST", route: "/cart" },
    0.004,
    &[Work(2.0), Call(&GET_PRODUCT), Call(&ADD_TO_CART), Work(3.0)],
);
static BUY: Operation = operation(
    FRONTEND,
    Entry::Http { method: "POST", route: "/orders" },
    0.006,
    &[Work(5.0), Call(&PLACE_ORDER), Work(4.0)],
);

/// What customers do, of 100 requests.
pub static REQUESTS: [(u64, &Operation); 5] = [(30, &HOME), (30, &PRODUCT), (12, &VIEW_CART), (13, &ADD), (15, &BUY)];

/// The service that runs the giant trace: a nightly count of the whole stock.
pub const GIANT: ServiceId = INVENTORY;
