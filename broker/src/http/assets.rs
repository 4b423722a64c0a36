//! The page and the API browsers, embedded when the binary is built.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use parlor_protocol::code::Code;
use rust_embed::RustEmbed;

use super::App;
use crate::refusal::Refusal;

/// Files of the page, as the web build leaves them. Without a build there are none.
#[derive(RustEmbed)]
#[folder = "../web/dist"]
#[allow_missing = true]
struct Files;

const PAGE: &str = "index.html";
/// The build puts a hash of the content into these names, so they never change.
const HASHED: &str = "assets/";
const NOT_BUILT: &str = "This server was built without its page. Build it with `npm ci` and \
    `npm run build` in the folder `web`, then build the server again. The API works; it is \
    described at /openapi.json.\n";

/// Returns the routes of pages: paths that the page itself takes apart.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(page))
        .route("/setup", get(page))
        .route("/invite/{code}", get(page))
        .route("/rooms/{*room}", get(page))
        .route("/docs", get(async |headers: HeaderMap| serve("docs/index.html", &headers)))
        .route("/redoc", get(async |headers: HeaderMap| serve("redoc/index.html", &headers)))
}

/// Serves a file of the page, or says that there is nothing.
pub(super) async fn fallback(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let path =
        path.strip_suffix('/').map_or_else(|| path.to_owned(), |dir| format!("{dir}/{PAGE}"));
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads && path != PAGE && Files::get(&path).is_some() {
        return serve(&path, request.headers());
    }
    Refusal::new(Code::NotFound, "There is nothing at this address.").into_response()
}

async fn page(headers: HeaderMap) -> Response {
    serve(PAGE, &headers)
}

fn serve(path: &str, headers: &HeaderMap) -> Response {
    let Some(file) = Files::get(path) else {
        let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
        return (StatusCode::NOT_FOUND, headers, NOT_BUILT).into_response();
    };
    let tag = format!("\"{}\"", hex(&file.metadata.sha256_hash()));
    let cache =
        if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut response = if known.is_some_and(|known| matches(known, &tag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let kind = media_type(path);
        ([(CONTENT_TYPE, kind)], Body::from(file.data)).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    response
}

/// Tells whether a browser has the file already. Compression makes its tag a weak one.
fn matches(known: &str, tag: &str) -> bool {
    known.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == tag)
}

fn media_type(path: &str) -> String {
    if path.ends_with(".webmanifest") {
        return "application/manifest+json".to_owned();
    }
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let text = kind.type_() == mime_guess::mime::TEXT;
    if text { format!("{kind}; charset=utf-8") } else { kind.to_string() }
}

fn hex(bytes: &[u8]) -> String {
    // Half of a SHA-256 is more than enough to tell versions of a file apart.
    let mut text = String::with_capacity(32);
    for byte in bytes.iter().take(16) {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn page_that_was_not_built_says_how_to_build_it() {
        let response = serve("no-such-page.html", &HeaderMap::new());
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        let body = axum::body::to_bytes(response.into_body(), 4_096).await.unwrap();
        assert!(std::str::from_utf8(&body).unwrap().contains("npm run build"));
    }

    #[test]
    fn tags_are_compared_one_by_one() {
        assert!(matches("\"a\", W/\"b\"", "\"b\""));
        assert!(!matches("\"ab\"", "\"b\""));
    }

    #[test]
    fn text_is_marked_as_utf_8() {
        assert_eq!(media_type("index.html"), "text/html; charset=utf-8");
        assert_eq!(media_type("assets/a.js"), "text/javascript; charset=utf-8");
        assert_eq!(media_type("manifest.webmanifest"), "application/manifest+json");
        assert_eq!(media_type("favicon.svg"), "image/svg+xml");
    }
}
