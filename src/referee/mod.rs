//! The judge of oversells: knows every sale at the moment it happens.
