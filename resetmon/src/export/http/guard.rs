//! Who may have which page, and the headers that the web configuration adds.

use http_body_util::{Either, Full};
use hyper::body::{self, Bytes};
use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use hyper::{Request, Response, StatusCode};

use tokio::sync::watch;

use super::events::{self, Body, Patience};
use super::pages::{self, Pages};
use super::web_config::WebConfig;

/// What a client is asked for (RFC 7617).
const CHALLENGE: &str = "Basic realm=\"resetmon\", charset=\"UTF-8\"";

/// Pages without basic auth: a kubelet's probes carry no credentials, and what these pages tell is
/// whether the agent works, nothing of the workload.
const OPEN: &[&str] = &["/healthz", "/readyz"];

/// Answers one request as `web` has it. An answer without end lasts as long as `patience`, and
/// until `stop` changes.
pub(super) async fn answer<B: body::Body>(
    pages: &dyn Pages,
    web: &WebConfig,
    request: &Request<B>,
    patience: &Patience,
    stop: watch::Receiver<()>,
) -> Response<Body> {
    let path = request.uri().path();
    let is_open = OPEN.contains(&path);
    let mut response = match (&web.users, pages.events()) {
        (Some(users), _) if !is_open && !users.admit(request.headers()).await => {
            unauthorized().map(Either::Left)
        }
        (_, Some(feed)) if path == events::PATH => events::answer(feed, request, patience, stop),
        _ => pages::answer(pages, request).map(Either::Left),
    };
    for (name, value) in &web.headers {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

fn unauthorized() -> Response<Full<Bytes>> {
    let text = "a user name and password are needed\n";
    let mut response = pages::respond(StatusCode::UNAUTHORIZED, pages::TEXT, text);
    let challenge = HeaderValue::from_static(CHALLENGE);
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}
