//! An application's health, by that of its members.

use super::HealthStatus;

/// What counts of what was looked at so far. Hooks don't.
#[derive(Default)]
pub(crate) struct Aggregate {
    worst: Option<(HealthStatus, String)>,
    absent: bool,
    live: bool,
}

impl Aggregate {
    /// A member isn't in the cluster: that its application is out of sync says so already.
    pub(crate) fn absent(&mut self) {
        self.absent = true;
    }

    /// A member whose health doesn't count.
    pub(crate) fn unasked(&mut self) {
        self.live = true;
    }

    /// A member with this health, none where its kind has none; `told` for a person, if it is the worst.
    pub(crate) fn live(&mut self, health: Option<HealthStatus>, told: impl FnOnce() -> String) {
        self.live = true;
        let before = self
            .worst
            .as_ref()
            .map_or(HealthStatus::Healthy, |(status, _)| *status);
        if let Some(status) = health
            && before.worse(status) != before
        {
            self.worst = Some((status, told()));
        }
    }

    /// An `Application` that is a member. What it is itself missing, or not known, is nothing that its parent lacks.
    pub(crate) fn child(&mut self, health: Option<HealthStatus>, told: impl FnOnce() -> String) {
        let counts = health
            .filter(|status| !matches!(status, HealthStatus::Missing | HealthStatus::Unknown));
        self.live(counts, told);
    }

    /// Status and message. It is missing only when all of it is.
    pub(crate) fn result(self) -> (HealthStatus, String) {
        match self.worst {
            Some(worst) => worst,
            None if self.absent && !self.live => (
                HealthStatus::Missing,
                "nothing of it is in the cluster".to_owned(),
            ),
            None => (HealthStatus::Healthy, String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(members: &[Option<HealthStatus>]) -> HealthStatus {
        let mut aggregate = Aggregate::default();
        for member in members {
            aggregate.live(*member, String::new);
        }
        aggregate.result().0
    }

    #[test]
    fn an_application_is_as_healthy_as_its_worst_member() {
        assert_eq!(of(&[]), HealthStatus::Healthy);
        assert_eq!(of(&[None, None]), HealthStatus::Healthy);
        for (at, status) in HealthStatus::ALL.into_iter().enumerate() {
            for better in &HealthStatus::ALL[..=at] {
                assert_eq!(of(&[Some(*better), Some(status), None]), status);
                assert_eq!(of(&[Some(status), Some(*better)]), status);
            }
        }
    }

    #[test]
    fn the_first_of_the_worst_is_told() {
        let mut aggregate = Aggregate::default();
        for (name, status) in [
            ("a", HealthStatus::Progressing),
            ("b", HealthStatus::Degraded),
            ("c", HealthStatus::Degraded),
        ] {
            aggregate.live(Some(status), || name.to_owned());
        }
        assert_eq!(aggregate.result(), (HealthStatus::Degraded, "b".to_owned()));
    }

    #[test]
    fn only_an_application_of_which_nothing_is_there_is_missing() {
        let mut none = Aggregate::default();
        none.absent();
        none.absent();
        assert_eq!(none.result().0, HealthStatus::Missing);
        for live in [Aggregate::unasked, |some: &mut Aggregate| {
            some.live(None, String::new);
        }] {
            let mut some = Aggregate::default();
            some.absent();
            live(&mut some);
            assert_eq!(some.result().0, HealthStatus::Healthy);
        }
    }

    #[test]
    fn a_child_that_is_missing_or_unknown_is_nothing_to_its_parent() {
        for (child, parent) in [
            (HealthStatus::Missing, HealthStatus::Healthy),
            (HealthStatus::Unknown, HealthStatus::Healthy),
            (HealthStatus::Degraded, HealthStatus::Degraded),
            (HealthStatus::Progressing, HealthStatus::Progressing),
        ] {
            let mut aggregate = Aggregate::default();
            aggregate.child(Some(child), String::new);
            assert_eq!(aggregate.result().0, parent, "{}", child.as_str());
        }
    }
}
