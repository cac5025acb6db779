//! Whether what an object says of itself may be shown: controllers, kubelets and scripts may repeat a secret that stands in it.

/// Of one object, and of what it owns in turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Words {
    #[default]
    Shown,
    /// A secret stands in it outside of a Secret's data: its health and its counts are shown, but no text and no image.
    Withheld,
}

/// In the place of what isn't shown.
const WITHHELD: &str = "what it says is withheld, since a secret stands in it; kubectl shows it to whoever may read it";

impl Words {
    /// The message as it may be shown; where there is none, there is nothing to withhold.
    pub(crate) const fn of(self, message: &str) -> &str {
        match self {
            Self::Withheld if !message.is_empty() => WITHHELD,
            Self::Shown | Self::Withheld => message,
        }
    }
}
