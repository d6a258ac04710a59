//! Operations: method, path, permission and handler, in one line each.

use crate::app::App;
use crate::http::admit::{RateLimited, count_public};
use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use engine::access::KeyScope;
use http::Method;
use metrics::{Counter, Histogram, counter, histogram};
use std::sync::Arc;
use std::time::Duration;

/// Binds an operation to the shared state.
type Attach = Box<dyn FnOnce(MethodFilter, &Arc<App>, Option<OverLimit>) -> MethodRouter>;

/// How a door answers a request that exceeds the rate limit for clients without a key.
pub type OverLimit = fn(&App, RateLimited) -> Response;

/// One operation of one door.
pub struct Route {
    pub method: Method,
    /// In axum's pattern language.
    pub path: &'static str,
    /// The scope that a caller's key must hold; `None` when anybody may call the operation.
    pub permission: Option<KeyScope>,
    /// Set when requests count against the share of clients without a key.
    over_limit: Option<OverLimit>,
    attach: Attach,
}

impl Route {
    /// An operation for callers that hold `permission`. The answering function must pass the same
    /// permission on to `auth::authenticate`; each door has one wrapper that does.
    pub fn guarded<H, F>(
        method: Method,
        path: &'static str,
        permission: KeyScope,
        handler: H,
    ) -> Self
    where
        H: Fn(Arc<App>, KeyScope, Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let guarded = move |app, request| handler(app, permission, request);
        Self { permission: Some(permission), ..Self::open(method, path, guarded) }
    }

    /// An operation for everybody, within the share of clients without a key. `over_limit` refuses
    /// an excess request in the words of its door.
    pub fn public<H, F>(
        method: Method,
        path: &'static str,
        over_limit: OverLimit,
        handler: H,
    ) -> Self
    where
        H: Fn(Arc<App>, Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        Self { over_limit: Some(over_limit), ..Self::open(method, path, handler) }
    }

    /// An operation without a rate limit, for callers that need no key: operators and providers.
    pub fn open<H, F>(method: Method, path: &'static str, handler: H) -> Self
    where
        H: Fn(Arc<App>, Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let name = method.clone();
        let attach = move |filter: MethodFilter, app: &Arc<App>, over_limit: Option<OverLimit>| {
            let context = Arc::new((Arc::clone(app), Meter::new(&name, path)));
            on(filter, move |request: Request| {
                let (context, handler) = (Arc::clone(&context), handler.clone());
                async move {
                    let (app, meter) = &*context;
                    let started = app.engine.now();
                    let excess = over_limit
                        .and_then(|refuse| Some(refuse(app, count_public(app, &request)?)));
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
        Self { method, path, permission: None, over_limit: None, attach: Box::new(attach) }
    }

    /// Adds the operation to a router.
    pub fn add_to(self, router: Router, app: &Arc<App>) -> Router {
        // Every method that a door uses has a filter.
        let filter = MethodFilter::try_from(self.method).unwrap_or(MethodFilter::GET);
        router.route(self.path, (self.attach)(filter, app, self.over_limit))
    }
}

/// Counts requests to routes that the server adds.
pub fn measured(routes: Router, app: &Arc<App>) -> Router {
    // axum refuses a layer over a router without routes.
    if !routes.has_routes() {
        return routes;
    }
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

/// The metrics of one operation. The handles are made once, so counting is one atomic addition.
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
