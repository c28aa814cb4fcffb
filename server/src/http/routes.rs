//! The route table.

use actix_web::guard::{Any, Get, Head};
use actix_web::{Resource, Route, web};

use super::error::ApiError;
use super::{
    batch, embed, embeddings, health, items, list, models, openapi, robustness, search, search_batch, snapshots,
};
use crate::ui;

/// All routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(
        resource("/v1/items/{id}", "GET, HEAD, PUT, DELETE")
            .route(web::put().to(items::put_item))
            .route(read().to(items::get_item))
            .route(web::delete().to(items::delete_item)),
    )
    .service(resource("/v1/items/{id}/image", "GET, HEAD").route(read().to(items::get_image)))
    .service(resource("/v1/items", "GET, HEAD").route(read().to(list::list_items)))
    .service(resource("/v1/items:batch", "POST").route(web::post().to(batch::put_items)))
    .service(resource("/v1/items:count", "GET, HEAD").route(read().to(list::count_items)))
    .service(resource("/v1/items:delete", "POST").route(web::post().to(list::delete_items)))
    .service(resource("/v1/search", "POST").route(web::post().to(search::search)))
    .service(resource("/v1/search:batch", "POST").route(web::post().to(search_batch::search_batch)))
    .service(resource("/v1/embed", "POST").route(web::post().to(embed::embed)))
    .service(resource("/v1/embeddings", "POST").route(web::post().to(embeddings::embeddings)))
    .service(
        resource("/v1/snapshots", "GET, HEAD, POST")
            .route(web::post().to(snapshots::make))
            .route(read().to(snapshots::list)),
    )
    .service(
        resource("/v1/snapshots/{id}", "GET, HEAD, DELETE")
            .route(read().to(snapshots::download))
            .route(web::delete().to(snapshots::delete)),
    )
    .service(resource("/v1/generations", "GET, HEAD").route(read().to(models::generations)))
    .service(resource("/v1/models", "GET, HEAD").route(read().to(models::models)))
    .service(resource("/v1/robustness", "GET, HEAD").route(read().to(robustness::latest)))
    .service(resource("/v1/robustness/windows", "GET, HEAD").route(read().to(robustness::windows)))
    .service(resource("/healthz", "GET, HEAD").route(read().to(health::healthz)))
    .service(resource("/livez", "GET, HEAD").route(read().to(health::livez)))
    .service(resource("/readyz", "GET, HEAD").route(read().to(health::readyz)))
    .service(resource("/metrics", "GET, HEAD").route(read().to(health::metrics)))
    .service(resource("/openapi.json", "GET, HEAD").route(read().to(openapi::document)))
    .service(resource("/docs", "GET, HEAD").route(read().to(openapi::to_docs)))
    .service(openapi::swagger_ui())
    .configure(ui::configure)
    .default_service(web::to(no_such_route));
}

/// A path whose other methods are answered 405 with the header `Allow`.
fn resource(path: &'static str, allowed: &'static str) -> Resource {
    let refuse = move || async move { Err::<&str, _>(ApiError::MethodNotAllowed { allowed }) };
    web::resource(path).default_service(web::to(refuse))
}

/// GET, and HEAD, for which the server leaves the body away.
fn read() -> Route {
    web::route().guard(Any(Get()).or(Head()))
}

async fn no_such_route() -> Result<&'static str, ApiError> {
    Err(ApiError::NoSuchRoute)
}
