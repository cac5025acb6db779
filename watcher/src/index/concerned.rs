//! Which of a repository's applications a look is about: what one application brings costs a look at that one.

use std::collections::BTreeSet;

use bus::AppId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concerned {
    Some(BTreeSet<AppId>),
    All,
}

impl Default for Concerned {
    fn default() -> Self {
        Self::Some(BTreeSet::new())
    }
}

impl Concerned {
    pub fn one(app: &AppId) -> Self {
        Self::Some([app.clone()].into())
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Some(apps) if apps.is_empty())
    }

    pub fn add(&mut self, others: Self) {
        match (self, others) {
            (Self::All, _) => {}
            (this, Self::All) => *this = Self::All,
            (Self::Some(apps), Self::Some(others)) => apps.extend(others),
        }
    }

    pub fn insert(&mut self, app: AppId) {
        if let Self::Some(apps) = self {
            apps.insert(app);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_added_one_by_one_are_all_concerned_and_all_stays_all() {
        let app = |name: &str| AppId::new("argocd", name).unwrap();
        let mut concerned = Concerned::default();
        assert!(concerned.is_empty());
        concerned.add(Concerned::one(&app("a")));
        concerned.insert(app("b"));
        assert_eq!(concerned, Concerned::Some([app("a"), app("b")].into()));
        concerned.add(Concerned::All);
        concerned.add(Concerned::one(&app("a")));
        concerned.insert(app("c"));
        assert_eq!(concerned, Concerned::All);
    }
}
