//! What is not deleted without a person's word.

use super::Pruning;

/// Up to this many objects are deleted without asking, whatever their share.
const FREE: usize = 10;

/// Why objects that left the manifests stay for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Withheld {
    /// Pruning isn't asked for.
    NotAsked { count: usize },
    /// The render is empty, and `allowEmpty` isn't set.
    Empty { count: usize },
    /// More than half of more than ten objects.
    TooMany { count: usize, of: usize },
}

impl Withheld {
    /// For a person, where one has to decide.
    pub(crate) fn confirmation(&self) -> Option<String> {
        match self {
            Self::NotAsked { .. } => None,
            Self::Empty { count } => Some(format!(
                "the render is empty: {count} objects are kept; set syncPolicy.automated.allowEmpty, or sync with prune to delete them"
            )),
            Self::TooMany { count, of } => Some(format!(
                "{count} of {of} objects would be deleted, which is more than half; sync with prune to confirm"
            )),
        }
    }
}

/// Why none of `count` objects may go; none when all may. `members` is the size of the inventory.
pub(crate) fn withheld(
    count: usize,
    members: usize,
    render_is_empty: bool,
    pruning: Pruning,
) -> Option<Withheld> {
    if count == 0 {
        return None;
    }
    match pruning {
        Pruning::Confirmed => None,
        Pruning::No => Some(Withheld::NotAsked { count }),
        Pruning::Automated { allow_empty: false } if render_is_empty => {
            Some(Withheld::Empty { count })
        }
        Pruning::Automated { allow_empty } => {
            let whole = render_is_empty && allow_empty;
            (members > FREE && count * 2 > members && !whole)
                .then_some(Withheld::TooMany { count, of: members })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTOMATED: Pruning = Pruning::Automated { allow_empty: false };

    #[test]
    fn more_than_half_of_many_needs_a_word() {
        assert_eq!(withheld(6, 12, false, AUTOMATED), None);
        assert_eq!(
            withheld(7, 12, false, AUTOMATED),
            Some(Withheld::TooMany { count: 7, of: 12 })
        );
        assert_eq!(withheld(7, 12, false, Pruning::Confirmed), None);
        assert_eq!(withheld(9, 10, false, AUTOMATED), None);
    }

    #[test]
    fn an_empty_render_deletes_nothing_unless_allowed() {
        assert_eq!(
            withheld(2, 2, true, AUTOMATED),
            Some(Withheld::Empty { count: 2 })
        );
        assert_eq!(
            withheld(20, 20, true, Pruning::Automated { allow_empty: true }),
            None
        );
        assert_eq!(withheld(2, 2, true, Pruning::Confirmed), None);
    }
}
