//! Operations: a method, a path, the permission it takes and what answers it, in one line each.

use crate::App;
use crate::doors::native;
use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use engine::access::Permission;
use http::Method;
use metrics::{Counter, Histogram, counter, histogram};
use std::sync::Arc;
use std::time::Duration;

/// Binds an operation to what all operations share.
type Attach = Box<dyn FnOnce(MethodFilter, &Arc<App>, bool) -> MethodRouter>;

/// One operation of one door.
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path, in axum's pattern language.
    pub path: &'static str,
    /// What a caller must be allowed to do; `None` when anybody may call it.
    pub permission: Option<Permission>,
    /// Counts against the share of clients without a key.
    limited: bool,
    attach: Attach,
}

impl Route {
    /// An operation for callers that hold `permission`. The answering function must pass the same
    /// permission on to `auth::authenticate`; each door has one wrapper that does.
    pub fn guarded<H, F>(
        method: Method,
        path: &'static str,
        permission: Permission,
        handler: H,
    ) -> Self
    where
        H: Fn(Arc<App>, Permission, Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let guarded = move |app, request| handler(app, permission, request);
        Self { permission: Some(permission), limited: false, ..Self::open(method, path, guarded) }
    }

    /// An operation for everybody, within the share of clients without a key.
    pub fn open<H, F>(method: Method, path: &'static str, handler: H) -> Self
    where
        H: Fn(Arc<App>, Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let name = method.clone();
        let attach = move |filter: MethodFilter, app: &Arc<App>, limited: bool| {
            let context = Arc::new((Arc::clone(app), Meter::new(&name, path)));
            on(filter, move |request: Request| {
                let (context, handler) = (Arc::clone(&context), handler.clone());
                async move {
                    let (app, meter) = &*context;
                    let started = app.engine.now();
                    let excess = if limited { native::refuse_excess(app, &request) } else { None };
                    let response = match excess {
                        Some(refused) => refused,
                        None => handler(Arc::clone(app), request).await,
                    };
                    let took_ms = app.engine.now().ms_since(started);
                    meter.record(response.status().as_u16(), took_ms);
                    response
                }
            })
        };
        Self { method, path, permission: None, limited: true, attach: Box::new(attach) }
    }

    /// The same, for callers that nobody counts: those who run the service, and providers.
    #[must_use]
    pub fn unlimited(self) -> Self {
        Self { limited: false, ..self }
    }

    /// Adds the operation to a router.
    pub fn add_to(self, router: Router, app: &Arc<App>) -> Router {
        // Every method that a door uses has a filter; `TRACE` and inventions have none.
        let filter = MethodFilter::try_from(self.method).unwrap_or(MethodFilter::GET);
        router.route(self.path, (self.attach)(filter, app, self.limited))
    }
}

/// Counts requests to routes that the server adds.
pub fn measured(routes: Router, app: &Arc<App>) -> Router {
    let app = Arc::clone(app);
    routes.route_layer(middleware::from_fn(
        move |path: MatchedPath, request: Request, next: Next| {
            let app = Arc::clone(&app);
            async move {
                let meter = Meter::new(request.method(), path.as_str());
                let started = app.engine.now();
                let response = next.run(request).await;
                meter.record(response.status().as_u16(), app.engine.now().ms_since(started));
                response
            }
        },
    ))
}

/// What is counted per operation. The handles are made once, so counting is one atomic addition.
struct Meter {
    by_class: [Counter; 4],
    seconds: Histogram,
}

impl Meter {
    fn new(method: &Method, path: &str) -> Self {
        let method = method.to_string();
        let by_class = ["2xx", "3xx", "4xx", "5xx"].map(|class| {
            counter!(
                "refundry_http_requests_total",
                "method" => method.clone(), "route" => path.to_owned(), "status" => class
            )
        });
        let seconds = histogram!(
            "refundry_http_request_seconds", "method" => method, "route" => path.to_owned()
        );
        Self { by_class, seconds }
    }

    fn record(&self, status: u16, took_ms: i64) {
        let class = usize::from((status / 100).saturating_sub(2)).min(3);
        if let Some(counter) = self.by_class.get(class) {
            counter.increment(1);
        }
        let took = Duration::from_millis(u64::try_from(took_ms).unwrap_or(0));
        self.seconds.record(took.as_secs_f64());
    }
}
