//! A token of its own for each project, so that Vault itself bounds what the project's applications may read: made by a token role that is
//! named for the project, with the agent's own token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::connection::Connection;
use super::login::Login;
use super::token::Tokens;
use crate::args::ProjectRole;
use crate::backend::BackendError;
use crate::metrics::Metrics;

pub(super) struct Projects {
    role: ProjectRole,
    own: Arc<Tokens>,
    connection: Connection,
    metrics: Metrics,
    /// As many as there are projects whose applications asked.
    tokens: Mutex<HashMap<String, Arc<Tokens>>>,
}

impl Projects {
    pub(super) fn new(
        role: ProjectRole,
        own: Arc<Tokens>,
        connection: Connection,
        metrics: Metrics,
    ) -> Self {
        Self {
            role,
            own,
            connection,
            metrics,
            tokens: Mutex::default(),
        }
    }

    /// A project's, and never the agent's own: that may be able to read more.
    pub(super) fn tokens(&self, project: &str) -> Result<Arc<Tokens>, BackendError> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tokens.get(project) {
            return Ok(Arc::clone(known));
        }
        let role = self.role.of(project).ok_or_else(|| BackendError::Project {
            project: project.escape_debug().to_string(),
            why: "its name can't be part of a role's".to_owned(),
        })?;
        let login = Login::by_token_role(
            project,
            role,
            Arc::clone(&self.own),
            &self.connection,
            self.metrics.clone(),
        )
        .map_err(|error| BackendError::Project {
            project: project.to_owned(),
            why: error.to_string(),
        })?;
        let made = Arc::new(Tokens::new(login, self.metrics.clone()));
        tokens.insert(project.to_owned(), Arc::clone(&made));
        Ok(made)
    }
}
