pub(crate) mod crash;
pub(crate) mod deletion;
pub(crate) mod drift;
pub(crate) mod load;
pub(crate) mod pin;
pub(crate) mod release;
pub(crate) mod secret;
