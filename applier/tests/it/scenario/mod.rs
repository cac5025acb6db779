pub mod crash;
pub mod deletion;
pub mod drift;
pub mod load;
pub mod pin;
pub mod release;
