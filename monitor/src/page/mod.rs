//! The page.
use crate::server::Shared;
use axum::Router;
pub(crate) fn routes() -> Router<Shared> {
    Router::new()
}
