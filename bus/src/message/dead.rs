//! Dead letters: consumers of work → monitor. Each is a copy of the message that died, so what is read here is only what all
//! that can die have; headers say where it was published and why it is never delivered again.

use serde::{Deserialize, Serialize};

use super::Message;
use crate::identity::{AppId, ClusterId};

/// What a dead letter is about, whatever it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    pub app: AppId,
    pub cluster: ClusterId,
}

impl Message for DeadLetter {
    const KIND: &'static str = "letter.dead";

    fn about(&self) -> Option<&AppId> {
        Some(&self.app)
    }

    fn cluster(&self) -> Option<&ClusterId> {
        Some(&self.cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Generation;
    use crate::message::command::{Action, Command};
    use crate::message::desired::{Cascade, Deleted, Desired, DesiredState};

    #[test]
    fn all_that_can_die_is_read() {
        let app = AppId::new("argocd", "web").unwrap();
        let cluster = ClusterId::in_cluster();
        let desired = Desired {
            app: app.clone(),
            cluster: cluster.clone(),
            generation: Generation(1),
            state: DesiredState::Deleted(Deleted::new("u", Cascade::None)),
        };
        let command = Command {
            id: "1".to_owned(),
            app: app.clone(),
            cluster: cluster.clone(),
            user: "vera".to_owned(),
            issued: 0,
            action: Action::Pin,
        };
        let letter = DeadLetter { app, cluster };
        for body in [
            serde_json::to_vec(&desired).unwrap(),
            serde_json::to_vec(&command).unwrap(),
        ] {
            assert_eq!(serde_json::from_slice::<DeadLetter>(&body).unwrap(), letter);
        }
    }
}
