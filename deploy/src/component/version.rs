//! Versions of components: read from what a program prints, compared with the
//! pinned one.

use std::fmt;

/// Three numbers, as in `v1.37.2`. A pre-release is not a version that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

/// How near a found version must be to the pinned one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    Exact,
    /// The same minor release, at least the pinned patch.
    SameMinor,
}

impl Version {
    pub(crate) const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// The first version in a program's output, with or without `v` before it.
    pub(crate) fn first_in(text: &str) -> Option<Self> {
        text.split(|c: char| c.is_whitespace() || c == ',')
            .find_map(Self::parse)
    }

    pub(crate) fn serves(self, pinned: Self, fit: Fit) -> bool {
        match fit {
            Fit::Exact => self == pinned,
            Fit::SameMinor => {
                (self.major, self.minor) == (pinned.major, pinned.minor)
                    && self.patch >= pinned.patch
            }
        }
    }

    pub(crate) fn minor(self) -> u32 {
        self.minor
    }

    pub(crate) fn major(self) -> u32 {
        self.major
    }

    fn parse(word: &str) -> Option<Self> {
        let word = word.strip_prefix('v').unwrap_or(word);
        // Build metadata (`+g1a2b3c`) says nothing about what the program does.
        let release = word.split('+').next()?;
        let mut numbers = release.split('.').map(str::parse::<u32>);
        let version = Self::new(
            numbers.next()?.ok()?,
            numbers.next()?.ok()?,
            numbers.next()?.ok()?,
        );
        numbers.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PINNED: Version = Version::new(1, 37, 2);

    #[test]
    fn the_version_is_found_in_what_each_program_prints() {
        for (output, expected) in [
            ("nats-server: v2.15.2\n", Version::new(2, 15, 2)),
            (
                "etcd Version: 3.7.3\nGit SHA: Not provided\nGo Version: go1.26.8\n",
                Version::new(3, 7, 3),
            ),
            ("Kubernetes v1.37.2\n", PINNED),
            (
                "kwok version v0.8.0 go1.26.8 (linux/amd64)\n",
                Version::new(0, 8, 0),
            ),
            (
                "Vault v1.21.1, built 2025-11-24T21:54:24Z\n",
                Version::new(1, 21, 1),
            ),
            ("v4.3.1+gabcdef0\n", Version::new(4, 3, 1)),
        ] {
            assert_eq!(Version::first_in(output), Some(expected), "{output}");
        }
    }

    #[test]
    fn a_pre_release_and_a_word_are_no_versions() {
        for output in [
            "Kubernetes v1.37.2-alpha.1",
            "(devel)",
            "",
            "1.2",
            "1.2.3.4",
        ] {
            assert_eq!(Version::first_in(output), None, "{output}");
        }
    }

    #[test]
    fn a_later_patch_of_the_same_minor_serves() {
        assert!(PINNED.serves(PINNED, Fit::SameMinor));
        assert!(Version::new(1, 37, 9).serves(PINNED, Fit::SameMinor));
        assert!(!Version::new(1, 37, 1).serves(PINNED, Fit::SameMinor));
        assert!(!Version::new(1, 38, 2).serves(PINNED, Fit::SameMinor));
        assert!(!Version::new(2, 37, 2).serves(PINNED, Fit::SameMinor));
    }

    #[test]
    fn an_exact_fit_takes_no_other_patch() {
        assert!(PINNED.serves(PINNED, Fit::Exact));
        assert!(!Version::new(1, 37, 3).serves(PINNED, Fit::Exact));
    }
}
