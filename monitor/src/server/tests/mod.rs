mod api;
mod page;
mod setup;
