//! `POST /v1/search`: the nearest items to a picture, an item or a vector.

use std::time::Instant;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{self, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;
use super::filter::{self, FilterRequest};
use super::list::within;
use super::openapi::PictureBytes;
use super::problem::Problem;
use super::state::AppState;
use super::upload::{Fields, JsonPicture, Upload, one_picture};
use crate::config::SearchLimits;
use crate::service::{HitView, Metadata, Search, SearchBy, SearchReply as Found, Stages};

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What to search for. Exactly one of `image`, `id` and `vector`, or a picture beside this JSON.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchRequest {
    /// Search by this picture.
    image: Option<JsonPicture>,
    /// Search by an item of the gallery; it is its own nearest hit.
    #[schema(example = "boot.7")]
    id: Option<String>,
    /// Search by a vector of the current generation, as `POST /v1/embed` gives it; only its direction counts.
    vector: Option<Vec<f32>>,
    /// Most hits, 1 to `search.max_limit` of the configuration (default 1000). Also accepted as `top_k`.
    #[serde(alias = "top_k")]
    #[schema(minimum = 1, default = 10)]
    limit: Option<usize>,
    /// Compare with every item, instead of asking the graph.
    exact: Option<bool>,
    /// Candidates that the graph keeps while searching; more finds more and takes longer.
    #[schema(minimum = 1)]
    ef: Option<usize>,
    /// What each hit carries beside id and distance; `["metadata"]` if absent.
    include: Option<Vec<Include>>,
    /// Only items that match are hits.
    filter: Option<FilterRequest>,
}

/// A part of a hit that may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Include {
    /// The item's metadata.
    Metadata,
    /// The item's vector.
    Vector,
}

impl Fields for SearchRequest {
    const PART: &'static str = "query";

    fn take_pictures(&mut self) -> Vec<(String, JsonPicture)> {
        self.image.take().map(|image| ("/image".to_owned(), image)).into_iter().collect()
    }
}

/// The same as in JSON, for a picture that is the whole body. Where both say something, the body counts.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchParameters {
    /// Most hits.
    #[serde(alias = "top_k")]
    #[param(minimum = 1)]
    limit: Option<usize>,
    /// Compare with every item.
    exact: Option<bool>,
    /// Candidates that the graph keeps while searching.
    #[param(minimum = 1)]
    ef: Option<usize>,
    /// What each hit carries beside id and distance: `metadata`, `vector`, both with a comma between, or nothing.
    #[param(default = "metadata", example = "metadata,vector")]
    include: Option<String>,
    /// A [filter](#/components/schemas/FilterRequest) as JSON, URL-encoded.
    #[param(example = r#"{"must":[{"key":"label","match":"boot"}]}"#)]
    filter: Option<String>,
}

/// A search with a picture, as a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a form; never made")]
pub(super) struct SearchForm {
    image: PictureBytes,
    query: Option<SearchRequest>,
}

/// The nearest items, nearest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SearchReply {
    /// Net and index that answered.
    generation: String,
    hits: Vec<Hit>,
    /// Milliseconds from the whole request being read to this reply.
    took_ms: f64,
}

/// One item found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Hit {
    id: String,
    /// Euclidean distance between unit vectors, 0 to 2.
    distance: f32,
    /// Cosine similarity, −1 to 1: 1 − distance² / 2.
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<Vec<f32>>,
}

/// Search the gallery
///
/// By a picture (raw body, form, or base64 in JSON), by an item (`id`), or by a vector; among all items, or those that match
/// a `filter`. A filter never loses hits: where the graph finds too few, or few items match, each of these is compared. The
/// stages of the work are timed in the header `Server-Timing`.
#[utoipa::path(
    post,
    path = "/v1/search",
    tag = "search",
    params(SearchParameters),
    request_body(content(
        (SearchRequest = "application/json", example = json!({"id": "boot.7", "limit": 5})),
        (PictureBytes = "image/*"),
        (SearchForm = "multipart/form-data"),
    )),
    responses(
        (status = 200, description = "The nearest items", body = SearchReply),
        (status = 400, description = "A wrong field, dimension or number", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No item has this id", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too many bytes or pixels", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not a picture, or a damaged one", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Busy; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn search(
    state: web::Data<AppState>,
    request: HttpRequest,
    parameters: Query<SearchParameters>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let upload = Upload::read(&request, payload, state.config.http.max_body_bytes).await?;
    let started = Instant::now();
    let (found, fields) = state
        .into_inner()
        .blocking(move |state| {
            let (pictures, mut fields) = upload.parse::<SearchRequest>()?;
            fields.fill_in(parameters.into_inner())?;
            let search = fields.take_search(pictures, &state.config.search)?;
            Ok((state.service.search(&search)?, fields))
        })
        .await?;
    let timing = server_timing(&found.stages);
    Ok(HttpResponse::Ok().insert_header((SERVER_TIMING, timing)).json(SearchReply::new(found, &fields, started)))
}

impl SearchReply {
    pub(super) fn new(found: Found, wanted: &SearchRequest, started: Instant) -> Self {
        let hits = found.hits.into_iter().map(|hit| Hit::new(hit, wanted)).collect();
        SearchReply { generation: found.generation, hits, took_ms: started.elapsed().as_secs_f64() * 1000.0 }
    }
}

impl SearchRequest {
    fn fill_in(&mut self, parameters: SearchParameters) -> Result<(), ApiError> {
        let SearchParameters { limit, exact, ef, include, filter } = parameters;
        self.limit = self.limit.or(limit);
        self.exact = self.exact.or(exact);
        self.ef = self.ef.or(ef);
        // Checked even where the body counts.
        let include = include.as_deref().map(Include::list).transpose()?;
        self.include = self.include.take().or(include);
        let filter = filter.as_deref().map(filter::from_parameter).transpose()?;
        self.filter = self.filter.take().or(filter);
        Ok(())
    }

    fn includes(&self, part: Include) -> bool {
        self.include.as_ref().map_or(part == Include::Metadata, |parts| parts.contains(&part))
    }

    pub(super) fn take_search(&mut self, pictures: Vec<Vec<u8>>, limits: &SearchLimits) -> Result<Search, ApiError> {
        let by = match (pictures.is_empty(), self.id.take(), self.vector.take()) {
            (false, None, None) => SearchBy::Picture(one_picture(pictures)?),
            (true, Some(id), None) => SearchBy::Id(id),
            (true, None, Some(vector)) => SearchBy::Vector(vector),
            (true, None, None) => {
                return Err(ApiError::invalid("search by a picture, an `id` or a `vector`; got none"));
            }
            _ => return Err(ApiError::invalid("search by only one of picture, `id` and `vector`")),
        };
        let limit = within("limit", self.limit.unwrap_or(limits.default_limit), limits.max_limit)?;
        let ef = self.ef.map(|ef| within("ef", ef, limits.max_ef)).transpose()?;
        let include_vector = self.includes(Include::Vector);
        let filter = self.filter.take().map(|filter| filter.into_filter(limits)).transpose()?;
        Ok(Search { by, limit, exact: self.exact.unwrap_or(false), ef, include_vector, filter })
    }
}

impl Include {
    /// Parses the form of the query string.
    fn list(parameter: &str) -> Result<Vec<Self>, ApiError> {
        let part = |name: &str| match name {
            "metadata" => Ok(Self::Metadata),
            "vector" => Ok(Self::Vector),
            other => {
                Err(ApiError::invalid_at("/include", format!("include knows `metadata` and `vector`, not `{other}`")))
            }
        };
        parameter.split(',').filter(|name| !name.is_empty()).map(part).collect()
    }
}

impl Hit {
    fn new(hit: HitView, wanted: &SearchRequest) -> Self {
        let HitView { id, distance, score, metadata, vector } = hit;
        Hit { id, distance, score, metadata: wanted.includes(Include::Metadata).then_some(metadata), vector }
    }
}

/// The header `Server-Timing`: milliseconds by stage.
pub(super) fn server_timing(stages: &Stages) -> HeaderValue {
    let entries: Vec<String> = stages
        .iter()
        .map(|(stage, duration)| format!("{};dur={:.3}", stage.name(), duration.as_secs_f64() * 1000.0))
        .collect();
    HeaderValue::from_str(&entries.join(", ")).expect("stage names and numbers are ASCII. This is a bug.")
}
