//! The web page at `/`: search by picture and the robustness panel, served from the binary.
//!
//! Everything comes from this server and nothing from elsewhere, so the page works without internet. It is plain HTML,
//! CSS and JavaScript modules without a build step; the files beside this one are what the browser gets.

use actix_web::http::header::{self, ETag, EntityTag, Header, IfNoneMatch};
use actix_web::{HttpRequest, HttpResponse, web};
use sha2::{Digest, Sha256};

/// Only this server's own files; no inline script or style, no frames, no plugins.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// One file of the page.
struct Asset {
    path: &'static str,
    content_type: &'static str,
    content: &'static str,
}

/// Every file of the page.
static ASSETS: &[Asset] = &[
    Asset { path: "/", content_type: "text/html; charset=utf-8", content: include_str!("index.html") },
    Asset { path: "/ui/mark.svg", content_type: "image/svg+xml", content: include_str!("mark.svg") },
    Asset { path: "/ui/style.css", content_type: CSS, content: include_str!("style.css") },
    Asset { path: "/ui/controls.css", content_type: CSS, content: include_str!("controls.css") },
    Asset { path: "/ui/search.css", content_type: CSS, content: include_str!("search.css") },
    Asset { path: "/ui/pages.css", content_type: CSS, content: include_str!("pages.css") },
    Asset { path: "/ui/robustness.css", content_type: CSS, content: include_str!("robustness.css") },
    Asset { path: "/ui/app.js", content_type: JAVASCRIPT, content: include_str!("app.js") },
    Asset { path: "/ui/api.js", content_type: JAVASCRIPT, content: include_str!("api.js") },
    Asset { path: "/ui/elements.js", content_type: JAVASCRIPT, content: include_str!("elements.js") },
    Asset { path: "/ui/notice.js", content_type: JAVASCRIPT, content: include_str!("notice.js") },
    Asset { path: "/ui/key.js", content_type: JAVASCRIPT, content: include_str!("key.js") },
    Asset { path: "/ui/pages.js", content_type: JAVASCRIPT, content: include_str!("pages.js") },
    Asset { path: "/ui/pictures.js", content_type: JAVASCRIPT, content: include_str!("pictures.js") },
    Asset { path: "/ui/metadata.js", content_type: JAVASCRIPT, content: include_str!("metadata.js") },
    Asset { path: "/ui/filter.js", content_type: JAVASCRIPT, content: include_str!("filter.js") },
    Asset { path: "/ui/filterbar.js", content_type: JAVASCRIPT, content: include_str!("filterbar.js") },
    Asset { path: "/ui/cards.js", content_type: JAVASCRIPT, content: include_str!("cards.js") },
    Asset { path: "/ui/details.js", content_type: JAVASCRIPT, content: include_str!("details.js") },
    Asset { path: "/ui/deletion.js", content_type: JAVASCRIPT, content: include_str!("deletion.js") },
    Asset { path: "/ui/search.js", content_type: JAVASCRIPT, content: include_str!("search.js") },
    Asset { path: "/ui/gallery.js", content_type: JAVASCRIPT, content: include_str!("gallery.js") },
    Asset { path: "/ui/add.js", content_type: JAVASCRIPT, content: include_str!("add.js") },
    Asset { path: "/ui/server.js", content_type: JAVASCRIPT, content: include_str!("server.js") },
    Asset { path: "/ui/robustness.js", content_type: JAVASCRIPT, content: include_str!("robustness.js") },
    Asset { path: "/ui/attacks.js", content_type: JAVASCRIPT, content: include_str!("attacks.js") },
];

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Adds the routes of the page: `/` and `/ui/…`, for GET and HEAD.
pub fn configure(routes: &mut web::ServiceConfig) {
    for asset in ASSETS {
        let tag = EntityTag::new_strong(fingerprint(asset.content));
        let serve = move |request: HttpRequest| {
            let reply = serve(asset, tag.clone(), &request);
            async move { reply }
        };
        routes.service(web::resource(asset.path).route(web::get().to(serve.clone())).route(web::head().to(serve)));
    }
}

/// The file, or 304 where the browser has it already.
///
/// Browsers ask each time, so that a page never mixes files of two releases; the answer is a few bytes.
fn serve(asset: &'static Asset, tag: EntityTag, request: &HttpRequest) -> HttpResponse {
    let known = is_current(request, &tag);
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header(ETag(tag))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"));
    if known {
        return response.finish();
    }
    response.content_type(asset.content_type).body(asset.content)
}

fn is_current(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(tag)),
        Ok(IfNoneMatch::Any) => true,
        Err(_) => false,
    }
}

/// Sixteen hexadecimal digits that change with the content.
fn fingerprint(content: &str) -> String {
    Sha256::digest(content.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use actix_web::App;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};

    use super::*;

    #[actix_web::test]
    async fn every_file_of_the_page_is_served_under_a_policy_that_allows_nothing_foreign() {
        let app = init_service(App::new().configure(configure)).await;
        for asset in ASSETS {
            let response = call_service(&app, TestRequest::get().uri(asset.path).to_request()).await;

            assert_eq!(response.status(), 200, "{}", asset.path);
            let header = |name| response.headers().get(name).unwrap();
            assert_eq!(header(header::CONTENT_SECURITY_POLICY), CONTENT_SECURITY_POLICY);
            assert_eq!(header(header::CONTENT_TYPE), asset.content_type);
            assert_eq!(read_body(response).await, asset.content);
        }
    }

    #[actix_web::test]
    async fn a_browser_that_has_the_file_gets_no_second_copy() {
        let app = init_service(App::new().configure(configure)).await;
        let first = call_service(&app, TestRequest::get().uri("/").to_request()).await;
        let tag = first.headers().get(header::ETAG).unwrap().clone();

        let request = TestRequest::get().uri("/").insert_header((header::IF_NONE_MATCH, tag)).to_request();
        let second = call_service(&app, request).await;

        assert_eq!(second.status(), 304);
        assert!(read_body(second).await.is_empty());
    }

    #[test]
    fn the_page_names_no_other_host_and_makes_no_markup_from_data() {
        for asset in ASSETS {
            let foreign = asset.content.replace("http://www.w3.org/2000/svg", "");

            assert!(!foreign.contains("http://") && !foreign.contains("https://"), "{} names a host", asset.path);
            assert!(!asset.content.contains("innerHTML"), "{} writes markup", asset.path);
        }
    }

    #[test]
    fn every_file_that_the_page_asks_for_is_served() {
        for asset in ASSETS {
            let references = asset.content.split('"').filter(|text| text.starts_with("/ui/") || text.starts_with("./"));
            for reference in references {
                let path = reference.replace("./", "/ui/");
                assert!(ASSETS.iter().any(|other| other.path == path), "{} asks for {path}", asset.path);
            }
        }
    }
}
