//! Users of the cluster: a token file that the API server reads at its start.
//! `TokenReview` answers for these tokens as for any other.

use std::{
    io,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};

use super::keys;
use crate::token;

/// Somebody whom the API server knows by a token.
#[derive(Clone, Debug)]
pub struct ClusterUser {
    pub token: SecretString,
    pub name: String,
    pub groups: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error(
        "the user {name:?} can't be written to a token file: names, groups and tokens must hold \
         no quote, comma or line break, and neither name nor token may be empty"
    )]
    Unwritable { name: String },
    #[error("cannot write the token file {}", path.display())]
    File { path: PathBuf, source: io::Error },
}

impl ClusterUser {
    /// A user with a random token.
    pub fn new(name: impl Into<String>, groups: impl IntoIterator<Item = String>) -> Self {
        Self {
            token: token::random().into(),
            name: name.into(),
            groups: groups.into_iter().collect(),
        }
    }

    pub(super) fn administrator() -> Self {
        Self::new("towline-admin", ["system:masters".to_owned()])
    }

    fn line(&self) -> Result<String, UserError> {
        let token = self.token.expose_secret();
        let writable = |text: &str| !text.contains(['"', ',', '\n', '\r']);
        let groups = self.groups.join(",");
        if self.name.is_empty()
            || token.is_empty()
            || ![self.name.as_str(), token].into_iter().all(writable)
            || !self.groups.iter().map(String::as_str).all(writable)
        {
            return Err(UserError::Unwritable {
                name: self.name.clone(),
            });
        }
        let name = &self.name;
        Ok(format!("{token},{name},{name},\"{groups}\"\n"))
    }
}

pub(super) fn write<'a>(
    path: &Path,
    users: impl Iterator<Item = &'a ClusterUser>,
) -> Result<(), UserError> {
    let text = users
        .map(ClusterUser::line)
        .collect::<Result<String, _>>()?;
    keys::write_private(path, &text).map_err(|source| UserError::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, groups: &[&str]) -> ClusterUser {
        ClusterUser {
            token: "t0ken".to_owned().into(),
            name: name.to_owned(),
            groups: groups.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn groups_share_one_quoted_column() {
        assert_eq!(
            user("alice", &["dev", "ops"]).line().unwrap(),
            "t0ken,alice,alice,\"dev,ops\"\n"
        );
    }

    #[test]
    fn a_name_that_would_break_the_file_is_refused() {
        assert!(user("a,b", &[]).line().is_err());
        assert!(user("", &[]).line().is_err());
        assert!(user("alice", &["a\nb"]).line().is_err());
    }
}
